import { BusError } from '@malabar/core';
import type { Store, Writes } from '@malabar/lmdb';

/** A change that waits for the next commit. */
interface Waiting {
  writes(): Writes;
  /** Writes it; returns what settles its promise. */
  run(): () => void;
  refuse(error: unknown): void;
}

export interface CommitHooks {
  /** All changes of a commit have run, and it is durable. Comes before their promises settle. */
  committed(): void;
  /** Nothing of what the changes have written is there. */
  undone(): void;
}

/**
 * Gathers what is asked for in one turn of the loop into one commit with one flush to the disk, in the
 * order in which it was asked for.
 */
export class Commits {
  #waiting: Waiting[] = [];

  constructor(
    private readonly store: Pick<Store<never>, 'secure' | 'transact'>,
    private readonly hooks: CommitHooks,
  ) {}

  /**
   * Runs a change in the next commit; `writes` says just before how much that will be. A BusError that
   * `run` returns is the answer to this change alone; one that it throws undoes what it has written.
   */
  join<T>(writes: () => Writes, run: () => T | BusError): Promise<T> {
    return new Promise((resolve, refuse) => {
      const settle = (value: T | BusError) =>
        value instanceof BusError ? refuse(value) : resolve(value);
      const waiting: Waiting = {
        writes,
        refuse,
        run() {
          const value = run();
          return () => settle(value);
        },
      };
      if (this.#waiting.push(waiting) === 1) setImmediate(() => this.flush());
    });
  }

  /** Commits at once what waits. */
  flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    const refused = waiting.length > 0 && this.#commit(waiting);
    if (!refused) return;
    if (waiting.length === 1) waiting[0]?.refuse(refused);
    // One of them is at fault, or they are too much for the disk: the others must not suffer from it.
    else for (const each of waiting) this.#commitAlone(each);
  }

  #commitAlone(waiting: Waiting): void {
    const refused = this.#commit([waiting]);
    if (refused) waiting.refuse(refused);
  }

  /** Makes one commit of all of them, or returns why there is none. */
  #commit(waiting: readonly Waiting[]): unknown {
    let settled: Array<() => void>;
    try {
      for (const { writes } of waiting) this.store.secure(writes());
      settled = this.store.transact(() => waiting.map(({ run }) => run()));
    } catch (error) {
      this.hooks.undone();
      return error;
    }
    this.hooks.committed();
    for (const settle of settled) settle();
    return undefined;
  }
}
