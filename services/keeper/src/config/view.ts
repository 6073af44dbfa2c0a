import { keeperRecords } from '@malabar/contracts';
import type { Clock } from '@malabar/core';
import type { Logger } from '@malabar/telemetry';
import type { Backend, Entry, KeyChange, Listing, Watcher } from '../backend.js';
import { keys, lastPart } from '../keys.js';

const CATCH_UP_MS_MAX = 2_000;

/** A domain as this keeper sees it. */
export interface DomainState {
  readonly name: string;
  readonly record: keeperRecords.DomainRecord;
  /** Of the backend; grows with every change. */
  readonly revision: number;
}

interface Waiting {
  revision: number;
  done(): void;
  failed?(error: Error): void;
}

/** All domains in memory, as the backend's watch tells of them: every keeper sees the same. */
export class DomainView implements Watcher {
  readonly domains = new Map<string, DomainState>();
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #listeners = new Set<(domain: string) => void>();
  #waiting: Waiting[] = [];
  #revision = -1;
  #lostAtMs: number | undefined;
  #watch: { stop(): void } | undefined;

  constructor(options: { backend: Backend; clock: Clock; log: Logger }) {
    this.#backend = options.backend;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  /** Resolves once every domain is known; rejects if the backend fails before. */
  start(): Promise<void> {
    const known = new Promise<void>((done, failed) =>
      this.#waiting.push({ revision: 0, done, failed }),
    );
    this.#watch = this.#backend.watch(keys.domains, this);
    return known;
  }

  stop(): void {
    this.#watch?.stop();
    for (const { done } of this.#waiting.splice(0)) done();
  }

  /** Since when the backend does not answer; undefined while it does. */
  get lostAtMs(): number | undefined {
    return this.#lostAtMs;
  }

  /** Tells of every domain whose release, canary or settings changed, once the view has it. */
  onChange(listener: (domain: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves once the view has what was committed at `revision`; gives up after 2 s. */
  reached(revision: number): Promise<void> {
    if (this.#revision >= revision) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#clock.after(CATCH_UP_MS_MAX, resolve);
      const done = (): void => {
        cancel();
        resolve();
      };
      this.#waiting.push({ revision, done });
    });
  }

  reset({ entries, revision }: Listing): void {
    if (this.#lostAtMs !== undefined) this.#log.info('the backend answers again');
    this.#lostAtMs = undefined;
    const there = new Set(entries.map(({ key }) => key));
    const gone = [...this.domains.keys()].map(keys.domain).filter((key) => !there.has(key));
    this.changed(
      [
        ...entries.map((entry) => ({ key: entry.key, entry })),
        ...gone.map((key) => ({ key, entry: undefined })),
      ],
      revision,
    );
  }

  changed(changes: readonly KeyChange[], revision: number): void {
    const told = changes.filter(({ key, entry }) => this.#take(lastPart(key), entry));
    this.#revision = Math.max(this.#revision, revision);
    for (const { key } of told) {
      for (const listener of this.#listeners) listener(lastPart(key));
    }
    const reached = this.#waiting.filter((one) => one.revision <= this.#revision);
    this.#waiting = this.#waiting.filter((one) => one.revision > this.#revision);
    for (const { done } of reached) done();
  }

  lost(err: Error): void {
    this.#lostAtMs = this.#clock.now();
    this.#log.error({ err }, 'the backend does not answer; what was published last stays in force');
    for (const { failed } of this.#waiting) failed?.(err);
  }

  /** True if it concerns more than the draft. */
  #take(name: string, entry: Entry | undefined): boolean {
    const before = this.domains.get(name);
    if (entry === undefined) return this.domains.delete(name);
    if (before !== undefined && before.revision >= entry.revision) return false;
    const record = this.#decoded(name, entry);
    if (record === undefined) return false;
    this.domains.set(name, { name, record, revision: entry.revision });
    return before === undefined || inForce(before.record) !== inForce(record);
  }

  #decoded(domain: string, { value }: Entry): keeperRecords.DomainRecord | undefined {
    try {
      return keeperRecords.DomainRecord.decode(value);
    } catch (err) {
      this.#log.error({ err, domain }, 'the record of a domain is damaged');
      return undefined;
    }
  }
}

/** What nodes and listeners care about, as a text to compare. */
function inForce({ settings, release, canary }: keeperRecords.DomainRecord): string {
  return JSON.stringify([settings, release, canary]);
}
