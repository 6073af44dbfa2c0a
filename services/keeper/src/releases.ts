import type { keeper } from '@malabar/contracts';
import { BusError } from '@malabar/core';

/** The release that is in force, and everybody who waits for the next one. */
export class Releases {
  #current: keeper.BusConfig;
  #waiting = new Set<() => void>();
  #watchers = 0;
  #closed = false;

  constructor(first: keeper.BusConfig) {
    this.#current = first;
  }

  get current(): keeper.BusConfig {
    return this.#current;
  }

  /** How many read along. */
  get watchers(): number {
    return this.#watchers;
  }

  publish(config: keeper.BusConfig): void {
    this.#current = config;
    this.#wake();
  }

  /** Ends every watch, so that nobody holds the process up; new ones are refused. */
  close(): void {
    this.#closed = true;
    this.#wake();
  }

  /**
   * The current release at once, then newer ones. Nothing is queued: who reads slowly misses what
   * was replaced meanwhile and gets the newest.
   */
  async *watch(signal: AbortSignal): AsyncGenerator<keeper.BusConfig, void, undefined> {
    if (this.#closed) throw new BusError('UNAVAILABLE', 'the keeper is stopping');
    let seen = -1;
    this.#watchers++;
    try {
      while (!this.#closed && !signal.aborted) {
        if (this.#current.release === seen) await this.#next(signal);
        else {
          seen = this.#current.release;
          yield this.#current;
        }
      }
    } finally {
      this.#watchers--;
    }
  }

  #next(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiting.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#waiting.add(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }

  #wake(): void {
    for (const done of [...this.#waiting]) done();
  }
}
