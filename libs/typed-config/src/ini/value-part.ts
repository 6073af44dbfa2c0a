import { jsonEnd } from '../json-text.js';
import type { TypeName } from '../types.js';
import { valueFault } from '../values.js';
import { IniError, type Lines } from './lines.js';

/** A value as its author means it, and as gokeeper's own parser takes it. */
export interface ValuePart {
  raw: string;
  gokeeper: string;
  /** What gokeeper takes for a comment behind the value. */
  comment: string;
  warnings: string[];
}

/** What may stand behind a finished value. */
const COMMENT = /^\s*(?:[#;]|$)/;

/** Reads what stands behind the delimiter, and the lines that continue it. */
export function readValuePart(rest: string, type: TypeName, lines: Lines): ValuePart {
  const text = rest.trim();
  const quote = ['"""', '`'].find((each) => text.startsWith(each));
  if (quote !== undefined) return rawValue(rest.trimStart(), quote, lines);
  if (text.endsWith('\\')) return continuedValue(text.slice(0, -1), lines);
  return plainValue(text, type);
}

/**
 * Verbatim between the quotes, over many lines if need be; the value ends at the last closing quote
 * of the first line that has one. Ours alone: a backslash behind it, and the next line begins with
 * a quote, joins the two by a line end. Gokeeper has no way to write such a value.
 */
function rawValue(text: string, quote: string, lines: Lines): ValuePart {
  const { raw, after } = closed(text.slice(quote.length), quote, lines);
  const warnings = new RegExp(`${quote}\\s+[#;]`).test(raw)
    ? [`the value ends at the last ${quote} of its line, so what looks like a comment is in it`]
    : [];
  const more = after.trim() === '\\' ? lines.peek()?.trimStart() : undefined;
  const nextQuote = ['"""', '`'].find((each) => more?.startsWith(each));
  if (more !== undefined && nextQuote !== undefined) {
    lines.take();
    const next = rawValue(more, nextQuote, lines);
    return { ...next, raw: `${raw}\n${next.raw}`, gokeeper: raw };
  }
  if (!COMMENT.test(after)) throw new IniError(`text behind the closing ${quote}`);
  return { raw, gokeeper: raw, comment: '', warnings };
}

function closed(first: string, quote: string, lines: Lines): { raw: string; after: string } {
  const opened = lines.number;
  const before: string[] = [];
  let line: string | undefined = first;
  while (line !== undefined) {
    const close = line.lastIndexOf(quote);
    if (close !== -1) {
      const raw = [...before, line.slice(0, close)].join('\n');
      return { raw, after: line.slice(close + quote.length) };
    }
    before.push(line);
    line = lines.take();
  }
  throw new IniError(`the ${quote} of line ${opened} is not closed`);
}

/** Lines that end with a backslash go on in the next one, trimmed; nothing in them is a comment. */
function continuedValue(first: string, lines: Lines): ValuePart {
  let raw = first;
  for (;;) {
    const next = lines.take()?.trim() ?? '';
    raw += next;
    if (!next.endsWith('\\')) return { raw, gokeeper: raw, comment: '', warnings: [] };
    raw = raw.slice(0, -1);
  }
}

function plainValue(text: string, type: TypeName): ValuePart {
  const cut = text.search(/[#;]/);
  const comment = cut === -1 ? '' : text.slice(cut);
  const gokeeper = unquoted(cut === -1 ? text : text.slice(0, cut).trim());
  const raw = evident(text, type, gokeeper);
  const isDoubtful = raw === '' && /^[#;][^\s#;]/.test(text);
  const warnings = isDoubtful ? ['the value is empty: what follows is a comment'] : [];
  return { raw, gokeeper, comment, warnings };
}

/** Gokeeper strips one pair of quotes, unless the value is nothing else. */
function unquoted(text: string): string {
  const quote = text[0];
  const isPair = text.length > 2 && (quote === '"' || quote === "'");
  return isPair && text.indexOf(quote, 1) === text.length - 1 ? text.slice(1, -1) : text;
}

/** A comment begins behind a space, and not inside quotes or JSON. */
function evident(text: string, type: TypeName, gokeeper: string): string {
  const end = type === 'json' ? jsonEnd(text, 0) : undefined;
  if (end !== undefined && COMMENT.test(text.slice(end))) return text.slice(0, end);
  const close = /^["']/.test(text) ? text.indexOf(text.charAt(0), 1) : -1;
  if (close !== -1 && COMMENT.test(text.slice(close + 1))) return text.slice(1, close);
  const isListMap = type === 'map[string][]string';
  const cut = text.search(isListMap ? /(?:^|\s)#/ : /(?:^|\s)[#;]/);
  const raw = unquoted(cut === -1 ? text : text.slice(0, cut).trim());
  if (isListMap || valueFault(type, raw) === undefined) return raw;
  return valueFault(type, gokeeper) === undefined ? gokeeper : raw;
}
