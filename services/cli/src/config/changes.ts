import { config } from '@malabar/contracts';
import type { Terminal } from '../terminal.js';

/** Lines that a value may have before the rest of them is only counted. */
const VALUE_LINES_MAX = 200;

/** The changes as a unified diff: files and sections as headings, `-` before, `+` after. */
export function changeLines(terminal: Terminal, changes: readonly config.Change[]): string[] {
  const lines: string[] = [];
  let heading = '';
  for (const change of changes) {
    const next = headingOf(change);
    if (next !== heading) lines.push(terminal.style('cyan', `@@ ${next} @@`));
    heading = next;
    lines.push(...entryLines('-', change.before).map((line) => terminal.style('red', line)));
    lines.push(...entryLines('+', change.after).map((line) => terminal.style('green', line)));
    if (isMaskedChange(change)) lines.push(terminal.style('dim', '# the secret is another one'));
  }
  return lines;
}

/** A change for programs. */
export function changeJson({ kind, file, section, key, before, after }: config.Change): object {
  return {
    kind: (config.ChangeKind[kind] ?? 'unknown').toLowerCase(),
    file,
    section,
    key,
    before,
    after,
  };
}

/** `/redis.conf [DEFAULT]`; schema and parent belong to the file as a whole. */
function headingOf({ file, section }: config.Change): string {
  return section === '' ? file : `${file} [${section}]`;
}

function entryLines(sign: string, entry: config.ConfigEntry | undefined): string[] {
  if (entry === undefined) return [];
  const [first = '', ...rest] = entry.raw.split('\n');
  const name = [entry.key, entry.type].filter(Boolean).join(' ');
  const more = rest.length - VALUE_LINES_MAX;
  return [
    `${sign}${name} = ${first}`,
    ...rest.slice(0, VALUE_LINES_MAX).map((line) => `${sign}  ${line}`),
    ...(more > 0 ? [`${sign}  ... ${more} more lines`] : []),
  ];
}

function isMaskedChange({ before, after }: config.Change): boolean {
  return before?.type === 'secret' && after?.type === 'secret';
}
