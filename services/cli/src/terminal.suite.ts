import { stripVTControlCharacters } from 'node:util';
import type { Terminal } from './terminal.js';

/** A terminal that keeps what it is given. */
export interface MemoryTerminal extends Terminal {
  /** Lines of stdout. */
  readonly lines: string[];
  /** What was written to stdout beside lines. */
  readonly written: string;
  /** Lines of stderr. */
  readonly notes: string[];
  /** What a bar has drawn. */
  readonly drawn: string;
}

export interface MemoryTerminalOptions {
  animated?: boolean;
  /** What stands on stdin; without it a person sits there. */
  input?: string | Uint8Array;
  /** What the person answers, in this order. */
  answers?: string[];
}

/** The terminal of a test: no colours, everything in memory. */
export function memoryTerminal(options: MemoryTerminalOptions = {}): MemoryTerminal {
  const lines: string[] = [];
  const notes: string[] = [];
  const answers = [...(options.answers ?? [])];
  let drawn = '';
  let written = '';
  return {
    lines,
    notes,
    get drawn() {
      return drawn;
    },
    get written() {
      return written;
    },
    write: (bytes) => {
      written += Buffer.from(bytes).toString();
    },
    line: (text = '') => void lines.push(stripVTControlCharacters(text)),
    note: (text) => void notes.push(text),
    draw: (text) => {
      drawn += text;
    },
    style: (_style, text) => text,
    interactive: options.input === undefined,
    animated: options.animated ?? false,
    read: async () => Buffer.from(options.input ?? ''),
    ask: async () => answers.shift() ?? '',
  };
}
