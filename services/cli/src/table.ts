import { stripVTControlCharacters } from 'node:util';
import type { Terminal } from './terminal.js';

/** A column: its title and, for numbers, alignment to the right. */
export interface Column {
  title: string;
  right?: boolean;
}

const width = (text: string): number => stripVTControlCharacters(text).length;

function pad(text: string, to: number, right: boolean | undefined): string {
  const space = ' '.repeat(Math.max(0, to - width(text)));
  return right ? space + text : text + space;
}

/** Plain aligned text, one string a line, titles first, two spaces between columns. */
export function renderTable(columns: readonly Column[], rows: readonly string[][]): string[] {
  const lines = [columns.map(({ title }) => title), ...rows];
  const widths = columns.map((_, at) => Math.max(...lines.map((cells) => width(cells[at] ?? ''))));
  return lines.map((cells) =>
    columns
      .map(({ right }, at) => pad(cells[at] ?? '', widths[at] ?? 0, right))
      .join('  ')
      .trimEnd(),
  );
}

/** Prints the table, its titles in bold. */
export function printTable(
  terminal: Terminal,
  columns: readonly Column[],
  rows: readonly string[][],
): void {
  const [titles = '', ...lines] = renderTable(columns, rows);
  terminal.line(terminal.style('bold', titles));
  for (const line of lines) terminal.line(line);
}
