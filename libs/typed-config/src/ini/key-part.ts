import { canonicalType, type TypeName, unknownType } from '../types.js';
import { IniError } from './lines.js';

/** What stands before the value: `"a:b" int =`. */
export interface KeyPart {
  key: string;
  type: TypeName;
  /** As gokeeper keeps it: key and type with the space between them. */
  written: string;
  /** The rest of the line. */
  rest: string;
  warnings: string[];
}

const QUOTES = ['"""', '"', '`'];

/** Splits a line at its first `=` or `:` outside a quoted name. */
export function readKeyPart(line: string): KeyPart {
  const quote = QUOTES.find((each) => line.startsWith(each));
  return quote === undefined ? plainKey(line) : quotedKey(line, quote);
}

function plainKey(line: string): KeyPart {
  const end = delimiter(line);
  const rest = line.slice(end + 1);
  const warnings = [];
  if (line[end] === ':' && /^\S+(?:\s+\S+)?\s+=/.test(rest)) {
    warnings.push(`the key ends at its first ':'; one with ':' in its name stands in quotes`);
  }
  const written = line.slice(0, end).trim();
  return { ...keyAndType(written), written, rest, warnings };
}

function quotedKey(line: string, quote: string): KeyPart {
  const close = line.indexOf(quote, quote.length);
  if (close === -1) throw new IniError(`the name of the key begins with ${quote} and does not end`);
  const tail = line.slice(close + quote.length);
  const end = delimiter(tail);
  const outside = tail.slice(0, end).trim();
  const written = line.slice(quote.length, close).trim();
  const warnings =
    outside === '' ? [] : [`gokeeper would not see the type that stands behind the quoted name`];
  const parsed = keyAndType(`${written} ${outside}`);
  return { ...parsed, written, rest: tail.slice(end + 1), warnings };
}

/** The message does not quote the line: it may hold a secret behind a forgotten '='. */
function delimiter(text: string): number {
  const end = text.search(/[=:]/);
  if (end === -1) throw new IniError(`no '=' between key and value`);
  return end;
}

function keyAndType(text: string): { key: string; type: TypeName } {
  const [key, type = 'string', ...more] = text.trim().split(/\s+/);
  if (!key) throw new IniError('a key has a name');
  if (key === '-') throw new IniError(`'-' is no key: gokeeper numbers such keys; give it a name`);
  if (more.length > 0) {
    throw new IniError(`${more.length + 1} words behind key '${key}'; one names its type`);
  }
  const canonical = canonicalType(type);
  if (canonical === undefined) throw new IniError(unknownType(type));
  return { key, type: canonical };
}
