import type { Writable } from 'node:stream';
import type { Call } from './call.js';
import { abandon } from './guarded.js';

/**
 * Writes the messages of `source` to `sink`, no faster than it takes them. Resolves at the end of
 * the source or once the call is over, which the source is told; rejects with the source's error.
 */
export async function pump(
  source: AsyncIterable<unknown>,
  sink: Writable,
  call: Call,
): Promise<void> {
  const iterator = source[Symbol.asyncIterator]();
  let wake = (): void => {};
  sink.on('drain', () => wake());
  call.whenOver(() => {
    wake();
    abandon(iterator);
  });
  while (!call.over) {
    const { done, value } = await iterator.next();
    if (done || call.over) return;
    if (!sink.write(value)) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }
}
