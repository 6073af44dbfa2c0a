import type { Clock } from '@malabar/core';
import type { KeyChange, Listing } from './backend.js';

const CATCH_UP_MS_MAX = 2_000;

/** What makes a view that has the keys `known` as the listing is. */
export function changesTo({ entries }: Listing, known: Iterable<string>): KeyChange[] {
  const there = new Set(entries.map(({ key }) => key));
  const gone = [...known].filter((key) => !there.has(key));
  return [
    ...entries.map((entry) => ({ key: entry.key, entry })),
    ...gone.map((key) => ({ key, entry: undefined })),
  ];
}

interface Waiting {
  revision: number;
  done(): void;
  failed(error: Error): void;
}

/** How far a view of the backend has come, and who waits for it to come farther. */
export class Revisions {
  readonly #waiting = new Set<Waiting>();
  #revision = -1;

  constructor(private readonly clock: Clock) {}

  /** Resolves once there is anything at all; rejects if `fail` comes before. */
  first(): Promise<void> {
    return new Promise((done, failed) => {
      this.#waiting.add({ revision: 0, done, failed });
    });
  }

  /** Resolves once the view has what was committed at `revision`; gives up after 2 s. */
  reached(revision: number): Promise<void> {
    if (this.#revision >= revision) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        this.#waiting.delete(waiting);
        resolve();
      };
      const waiting = { revision, done, failed: () => {} };
      const cancel = this.clock.after(CATCH_UP_MS_MAX, done);
      this.#waiting.add(waiting);
    });
  }

  /** The view has everything up to `revision`. */
  advance(revision: number): void {
    this.#revision = Math.max(this.#revision, revision);
    for (const waiting of this.#waiting) {
      if (waiting.revision > this.#revision) continue;
      this.#waiting.delete(waiting);
      waiting.done();
    }
  }

  /** Whoever waits for the first state hears why there is none. */
  fail(error: Error): void {
    for (const { failed } of this.#waiting) failed(error);
  }

  /** Nobody waits any more. */
  end(): void {
    this.advance(Number.POSITIVE_INFINITY);
  }
}
