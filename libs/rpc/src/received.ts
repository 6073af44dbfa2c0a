import type { Readable } from 'node:stream';
import type { BusError } from '@malabar/core';

const END: IteratorReturnResult<undefined> = { done: true, value: undefined };

interface Waiting<T> {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(error: BusError): void;
}

/**
 * The messages of a gRPC stream. Reads on only while somebody iterates: at most the stream's 16
 * messages wait here, the rest waits at the sender. Lighter than the stream's own iterator and can
 * be left while it waits. One reader, one `next()` at a time.
 */
export class Received<T> implements AsyncIterableIterator<T> {
  readonly #onLeft: (() => void) | undefined;
  #onStart: (() => void) | undefined;
  #stream: Readable | undefined;
  #waiting: Waiting<T> | undefined;
  #over = false;
  #discard = false;
  #error: BusError | undefined;

  /** `onStart` is called at the first read, `onLeft` when the reader leaves before the end. */
  constructor(events: { onStart?: () => void; onLeft?: () => void } = {}) {
    this.#onStart = events.onStart;
    this.#onLeft = events.onLeft;
  }

  /** Where the messages come from. */
  attach(stream: Readable): void {
    this.#stream = stream;
    stream.on('readable', () => this.#wake());
    stream.on('end', () => this.finish());
  }

  next(): Promise<IteratorResult<T, undefined>> {
    this.#start();
    const message = this.#take();
    if (message !== null) return Promise.resolve({ done: false, value: message });
    if (this.#over) return this.#afterEnd();
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  return(): Promise<IteratorReturnResult<undefined>> {
    const early = !this.#over;
    this.#discard = true;
    this.#error = undefined;
    this.finish();
    if (early) this.#onLeft?.();
    return Promise.resolve(END);
  }

  /** Nothing more comes. What waits can still be read; then `error` is thrown if there is one. */
  finish(error?: BusError): void {
    if (this.#over) return;
    this.#over = true;
    this.#error = error;
    this.#wake();
  }

  /** Reading throws `error` at once, whatever waits. */
  fail(error: BusError): void {
    if (this.#over) return;
    this.#discard = true;
    this.finish(error);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #take(): T | null {
    return this.#discard || this.#stream === undefined ? null : this.#stream.read();
  }

  #start(): void {
    const onStart = this.#over ? undefined : this.#onStart;
    this.#onStart = undefined;
    onStart?.();
  }

  #wake(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    const message = this.#take();
    if (message === null && !this.#over) return;
    this.#waiting = undefined;
    if (message !== null) waiting.resolve({ done: false, value: message });
    else this.#afterEnd().then(waiting.resolve, waiting.reject);
  }

  #afterEnd(): Promise<IteratorReturnResult<undefined>> {
    const error = this.#error;
    this.#error = undefined;
    return error === undefined ? Promise.resolve(END) : Promise.reject(error);
  }
}
