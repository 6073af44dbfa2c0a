/**
 * A queue that one side pushes to and the other iterates over: how a stream's messages enter an
 * async iterable without a promise per push. Bounded by its users: `size` says how much waits, and
 * `drained()` resolves when the reader has taken everything.
 */
export class Channel<T> implements AsyncIterable<T> {
  #items: T[] = [];
  #head = 0;
  #ended = false;
  #error: unknown;
  #wake: (() => void) | undefined;
  #drained: Array<() => void> = [];
  #onReturn: (() => void) | undefined;

  /** `onReturn` is called when the reader stops before the end. */
  constructor(onReturn?: () => void) {
    this.#onReturn = onReturn;
  }

  /** Items that wait to be read. */
  get size(): number {
    return this.#items.length - this.#head;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Adds an item; after the end it is dropped. */
  push(item: T): void {
    if (this.#ended) return;
    this.#items.push(item);
    this.#notify();
  }

  /** No more items: the reader gets what waits and then the end. */
  end(): void {
    this.#ended = true;
    this.#notify();
  }

  /** The reader gets what waits and then this error. */
  fail(error: unknown): void {
    if (this.#ended) return;
    this.#error = error;
    this.end();
  }

  /** Resolves once nothing waits (at once if so), also when the reader has gone. */
  drained(): Promise<void> {
    if (this.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    try {
      for (;;) {
        while (this.#head < this.#items.length) yield this.#take();
        if (this.#ended) break;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      if (this.#error !== undefined) throw this.#error;
    } finally {
      this.#close();
    }
  }

  #take(): T {
    const item = this.#items[this.#head] as T;
    this.#items[this.#head++] = undefined as T;
    if (this.#head === this.#items.length) {
      this.#items = [];
      this.#head = 0;
      this.#release();
    }
    return item;
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  #release(): void {
    const waiting = this.#drained;
    this.#drained = [];
    for (const resolve of waiting) resolve();
  }

  #close(): void {
    const early = !this.#ended;
    this.#ended = true;
    this.#items = [];
    this.#head = 0;
    this.#release();
    if (early) this.#onReturn?.();
  }
}
