import { keeperRecords } from '@malabar/contracts';
import type { Clock } from '@malabar/core';
import type { Logger } from '@malabar/telemetry';
import type { Backend, Entry, KeyChange, Listing, Watcher } from '../backend.js';
import { keys, lastPart } from '../keys.js';
import { changesTo, Revisions } from '../revisions.js';

/** A domain as this keeper sees it. */
export interface DomainState {
  readonly name: string;
  readonly record: keeperRecords.DomainRecord;
  /** Of the backend; grows with every change. */
  readonly revision: number;
}

/** All domains in memory, as the backend's watch tells of them: every keeper sees the same. */
export class DomainView implements Watcher {
  readonly domains = new Map<string, DomainState>();
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #listeners = new Set<(domain: string) => void>();
  readonly #revisions: Revisions;
  #lostAtMs: number | undefined;
  #watch: { stop(): void } | undefined;

  constructor(options: { backend: Backend; clock: Clock; log: Logger }) {
    this.#backend = options.backend;
    this.#clock = options.clock;
    this.#revisions = new Revisions(options.clock);
    this.#log = options.log;
  }

  /** Resolves once every domain is known; rejects if the backend fails before. */
  start(): Promise<void> {
    const known = this.#revisions.first();
    this.#watch = this.#backend.watch(keys.domains, this);
    return known;
  }

  stop(): void {
    this.#watch?.stop();
    this.#revisions.end();
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
    return this.#revisions.reached(revision);
  }

  reset(listing: Listing): void {
    if (this.#lostAtMs !== undefined) this.#log.info('the backend answers again');
    this.#lostAtMs = undefined;
    this.changed(changesTo(listing, [...this.domains.keys()].map(keys.domain)), listing.revision);
  }

  changed(changes: readonly KeyChange[], revision: number): void {
    const told = changes.filter(({ key, entry }) => this.#take(lastPart(key), entry));
    for (const { key } of told) {
      for (const listener of this.#listeners) listener(lastPart(key));
    }
    this.#revisions.advance(revision);
  }

  lost(err: Error): void {
    this.#lostAtMs = this.#clock.now();
    this.#log.error({ err }, 'the backend does not answer; what was published last stays in force');
    this.#revisions.fail(err);
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
