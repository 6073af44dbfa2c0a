import { keeperRecords } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { Logger } from '@malabar/telemetry';
import type { Backend, KeyChange, Listing, Watcher } from '../backend.js';
import { changesTo } from '../revisions.js';
import { ELECTIONS, heldKey, readKey } from './keys.js';

/** Who holds a name; `token` 0 if nobody does. */
export interface Holding {
  readonly holder: string;
  readonly token: number;
}

const NOBODY: Holding = { holder: '', token: 0 };

/** Who holds what, in memory, for those who look on. What is decided is decided in the backend. */
export class HoldingView implements Watcher {
  readonly #backend: Backend;
  readonly #log: Logger;
  readonly #held = new Map<string, Holding>();
  readonly #names = new Set<string>();
  readonly #observers = new Map<string, Set<() => void>>();
  #watch: { stop(): void } | undefined;
  #onReset: () => void = () => {};
  #closed = false;

  constructor(options: { backend: Backend; log: Logger }) {
    this.#backend = options.backend;
    this.#log = options.log;
  }

  /** Resolves once every holding is known. */
  start(): Promise<void> {
    const known = new Promise<void>((resolve) => {
      this.#onReset = resolve;
    });
    this.#watch = this.#backend.watch(ELECTIONS, this);
    return known;
  }

  /** Ends every observation, so that nobody holds the process up; new ones are refused. */
  stop(): void {
    this.#closed = true;
    this.#watch?.stop();
    this.#onReset();
    for (const name of this.#observers.keys()) this.#tell(name);
  }

  /** Names that somebody holds. */
  get held(): number {
    return this.#held.size;
  }

  /** Streams that look on. */
  get observers(): number {
    let count = 0;
    for (const observers of this.#observers.values()) count += observers.size;
    return count;
  }

  /** Whether somebody has ever held a name, and how many names that is true of. */
  knows(name: string): boolean {
    return this.#names.has(name);
  }

  get names(): number {
    return this.#names.size;
  }

  /** Who holds it now, and at every change; who reads slowly misses what was replaced meanwhile. */
  async *observe(name: string, signal: AbortSignal): AsyncGenerator<Holding, void, undefined> {
    if (this.#closed) throw new BusError('UNAVAILABLE', 'the keeper is stopping');
    let seen: Holding | undefined;
    while (!this.#closed && !signal.aborted) {
      const now = this.#held.get(name) ?? NOBODY;
      if (now.token === seen?.token) await this.#change(name, signal);
      else {
        seen = now;
        yield now;
      }
    }
  }

  reset(listing: Listing): void {
    this.changed(changesTo(listing, [...this.#held.keys()].map(heldKey)));
    this.#onReset();
  }

  changed(changes: readonly KeyChange[]): void {
    for (const { key, entry } of changes) {
      const { kind, name = '' } = readKey(key) ?? {};
      if (kind === 'token') this.#names.add(name);
      if (kind !== 'held') continue;
      if (entry === undefined) this.#held.delete(name);
      else this.#held.set(name, keeperRecords.HoldingRecord.decode(entry.value));
      this.#tell(name);
    }
  }

  lost(err: Error): void {
    this.#log.warn({ err }, 'the backend does not answer; nobody is elected until it does');
  }

  #tell(name: string): void {
    for (const wake of [...(this.#observers.get(name) ?? [])]) wake();
  }

  #change(name: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const observers = this.#observers.get(name) ?? new Set();
      const wake = (): void => {
        signal.removeEventListener('abort', wake);
        observers.delete(wake);
        if (observers.size === 0) this.#observers.delete(name);
        resolve();
      };
      this.#observers.set(name, observers.add(wake));
      signal.addEventListener('abort', wake, { once: true });
    });
  }
}
