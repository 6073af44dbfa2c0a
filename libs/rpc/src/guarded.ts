import type { BusError } from '@malabar/core';

const END: IteratorReturnResult<undefined> = { done: true, value: undefined };

/**
 * An iteration that somebody else can cut short, also while its source has nothing to give. One
 * promise a message is all that it adds.
 */
export class Guarded<T> implements AsyncIterableIterator<T> {
  readonly #open: () => AsyncIterator<T>;
  readonly #onOver: (how: 'ended' | 'left') => void;
  readonly #mapError: (thrown: unknown) => unknown;
  #source: AsyncIterator<T> | undefined;
  #over = false;
  #error: BusError | undefined;
  #reject: ((error: unknown) => void) | undefined;

  /** `open` is called at the first read. `onOver` once, unless `fail` ends the iteration. */
  constructor(options: {
    open: () => AsyncIterator<T>;
    onOver?: (how: 'ended' | 'left') => void;
    mapError?: (thrown: unknown) => unknown;
  }) {
    this.#open = options.open;
    this.#onOver = options.onOver ?? (() => {});
    this.#mapError = options.mapError ?? ((thrown) => thrown);
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#over) return this.#afterEnd();
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      this.#read().then(
        (result) => {
          this.#reject = undefined;
          if (this.#over) resolve(END);
          else if (!result.done) resolve(result);
          else resolve(this.#finish());
        },
        (thrown) => {
          this.#reject = undefined;
          if (!this.#over) this.#finish();
          reject(this.#mapError(thrown));
        },
      );
    });
  }

  /** The reader leaves. */
  return(): Promise<IteratorReturnResult<undefined>> {
    if (!this.#over) {
      this.#over = true;
      abandon(this.#source);
      this.#onOver('left');
    }
    return Promise.resolve(END);
  }

  /** Reading throws `error` from now on, once; then the iteration has ended. */
  fail(error: BusError): void {
    if (this.#over) return;
    this.#over = true;
    abandon(this.#source);
    if (this.#reject === undefined) this.#error = error;
    else this.#reject(error);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  // Asynchronous so that an implementation that throws at once is an error of the iteration.
  #read(): Promise<IteratorResult<T>> {
    try {
      this.#source ??= this.#open();
      return this.#source.next();
    } catch (thrown) {
      return Promise.reject(thrown);
    }
  }

  #finish(): IteratorReturnResult<undefined> {
    this.#over = true;
    this.#onOver('ended');
    return END;
  }

  #afterEnd(): Promise<IteratorReturnResult<undefined>> {
    const error = this.#error;
    this.#error = undefined;
    return error === undefined ? Promise.resolve(END) : Promise.reject(error);
  }
}

/** Tells a source that nobody reads on. Does not wait: its pending work may take for ever. */
export function abandon(source: AsyncIterator<unknown> | undefined): void {
  try {
    source?.return?.()?.then(undefined, () => {});
  } catch {
    // A source that cannot even be left has nobody to complain to.
  }
}
