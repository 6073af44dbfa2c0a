import { isUtf8 } from 'node:buffer';
import { BusError } from '@malabar/core';
import type { RequestParser } from '@malabar/resp';

/** The arguments of a command from `index` on. Throws INVALID: bytes that are no text would become another text. */
export function wordsFrom(parser: RequestParser, command: string, index: number): string[] {
  return Array.from({ length: parser.count - index }, (_, i) => {
    if (isUtf8(parser.argument(index + i))) return parser.text(index + i);
    throw new BusError('INVALID', `argument ${index + i} of ${command} is not UTF-8`);
  });
}

/** Name and value of a header that stand at `at`. Throws INVALID. */
export function headerAt(command: string, words: readonly string[], at: number): [string, string] {
  const [name, value] = words.slice(at, at + 2);
  if (name !== undefined && value !== undefined) return [name, value];
  throw new BusError('INVALID', `${command} HEADER needs a name and a value`);
}

/** Seconds, also with a fraction, as milliseconds. Throws INVALID. */
export function seconds(name: string, text: string): number {
  if (!/^\d{1,10}(\.\d{1,3})?$/.test(text)) {
    throw new BusError('INVALID', `${name} must be seconds, got '${text.slice(0, 32)}'`);
  }
  return Math.round(Number(text) * 1000);
}
