import { keeperRecords } from '@malabar/contracts';
import type { Clock } from '@malabar/core';
import type { Logger } from '@malabar/telemetry';
import type { Backend, Entry, KeyChange, Listing, Watcher } from '../backend.js';
import { changesTo, Revisions } from '../revisions.js';
import { sameInstance } from './instance.js';
import { aliveKey, INSTANCES, type InstanceName, readKey, recordKey } from './keys.js';

/** An instance as this keeper sees it. */
export interface KnownInstance {
  readonly record: keeperRecords.InstanceRecord;
  /** Of the record's key. */
  readonly revision: number;
  /** Since when its lease has been over, as far as this keeper saw it; undefined while it stands. */
  readonly deadSinceMs: number | undefined;
}

/** Who runs where, in memory, as the backend's watch tells of it: every keeper sees the same. */
export class InstanceView implements Watcher {
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #services = new Map<string, Map<string, KnownInstance>>();
  readonly #alive = new Set<string>();
  readonly #listeners = new Set<(service: string) => void>();
  readonly #revisions: Revisions;
  #count = 0;
  #lost = false;
  #watch: { stop(): void } | undefined;

  constructor(options: { backend: Backend; clock: Clock; log: Logger }) {
    this.#backend = options.backend;
    this.#clock = options.clock;
    this.#revisions = new Revisions(options.clock);
    this.#log = options.log;
  }

  /** Resolves once every instance is known. */
  start(): Promise<void> {
    const known = this.#revisions.first();
    this.#watch = this.#backend.watch(INSTANCES, this);
    return known;
  }

  stop(): void {
    this.#watch?.stop();
    this.#revisions.end();
  }

  /** Every instance, the dead among them. */
  *all(): Iterable<KnownInstance> {
    for (const instances of this.#services.values()) yield* instances.values();
  }

  /** How many that are. */
  get count(): number {
    return this.#count;
  }

  get services(): Iterable<string> {
    return this.#services.keys();
  }

  /** The instances of a service, the dead among them. */
  instances(service: string): Iterable<KnownInstance> {
    return this.#services.get(service)?.values() ?? [];
  }

  get({ service, id }: InstanceName): KnownInstance | undefined {
    return this.#services.get(service)?.get(id);
  }

  /** Whether an instance hangs on this lease. */
  uses(leaseId: string): boolean {
    for (const { record } of this.all()) if (record.leaseId === leaseId) return true;
    return false;
  }

  /** Resolves once the view has what was committed at `revision`; gives up after 2 s. */
  reached(revision: number): Promise<void> {
    return this.#revisions.reached(revision);
  }

  /** Tells of every service whose instances changed, once the view has it. */
  onChange(listener: (service: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  reset(listing: Listing): void {
    if (this.#lost) this.#log.info('the backend answers again: instances are as it has them');
    this.#lost = false;
    this.changed(changesTo(listing, this.#keys()), listing.revision);
  }

  changed(changes: readonly KeyChange[], revision: number): void {
    const touched = new Map<string, InstanceName & { before: KnownInstance | undefined }>();
    for (const { key, entry } of changes) {
      const name = readKey(key);
      if (name === undefined) continue;
      const alive = aliveKey(name);
      if (!touched.has(alive)) touched.set(alive, { ...name, before: this.get(name) });
      if (name.kind === 'record') this.#record(name, entry);
      else if (entry === undefined) this.#alive.delete(alive);
      else this.#alive.add(alive);
    }
    const changed = new Set<string>();
    for (const { before, ...name } of touched.values()) {
      if (this.#judge(name, before)) changed.add(name.service);
    }
    for (const service of changed) for (const listener of this.#listeners) listener(service);
    this.#revisions.advance(revision);
  }

  lost(err: Error): void {
    this.#lost = true;
    this.#log.warn({ err }, 'the backend does not answer; instances stay as they were');
  }

  #record({ service, id }: InstanceName, entry: Entry | undefined): void {
    const instances = this.#services.get(service) ?? new Map<string, KnownInstance>();
    if (entry === undefined) {
      if (instances.delete(id)) this.#count--;
      if (instances.size === 0) this.#services.delete(service);
      return;
    }
    if (!instances.has(id)) this.#count++;
    const record = keeperRecords.InstanceRecord.decode(entry.value);
    instances.set(id, { record, revision: entry.revision, deadSinceMs: undefined });
    this.#services.set(service, instances);
  }

  /** Says since when an instance is dead; returns whether anything has changed about it. */
  #judge(name: InstanceName, before: KnownInstance | undefined): boolean {
    const now = this.get(name);
    if (now === undefined) return before !== undefined;
    const alive = this.#alive.has(aliveKey(name));
    const deadSinceMs = alive ? undefined : (before?.deadSinceMs ?? this.#clock.now());
    this.#services.get(name.service)?.set(name.id, { ...now, deadSinceMs });
    if (before === undefined || (before.deadSinceMs === undefined) !== alive) return true;
    return !sameInstance(before.record.instance, now.record.instance);
  }

  *#keys(): Iterable<string> {
    for (const [service, instances] of this.#services) {
      for (const id of instances.keys()) yield recordKey({ service, id });
    }
    yield* this.#alive;
  }
}
