import { BusError, type Clock } from '@malabar/core';
import { Store, type Tree } from '@malabar/lmdb';
import type { Backend, Entry, KeyChange, Listing, Put, Transaction, Watcher } from '../backend.js';
import { Followers } from './followers.js';
import { LeaseTimers } from './lease-timers.js';
import { Commits } from './lmdb-commits.js';
import {
  decodeEntry,
  decodeStored,
  encodeStored,
  endOfPrefix,
  type Stored,
} from './lmdb-record.js';
import { checkTransaction } from './transaction.js';

const REVISION = Buffer.from('revision');
const LAST_LEASE = Buffer.from('lease');

export interface LmdbBackendOptions {
  /** Folder of the store; made if missing. */
  path: string;
  clock: Clock;
}

/** What one transaction has changed. */
interface Changed {
  changes: KeyChange[];
  revision: number;
}

/** The embedded backend: one LMDB file, which one keeper has open. */
export function createLmdbBackend(options: LmdbBackendOptions): Backend {
  return new LmdbBackend(options);
}

class LmdbBackend implements Backend {
  readonly name = 'lmdb';
  readonly operationsMax = 4096;
  readonly bytesMax = 16 * 1024 * 1024;
  readonly #store: Store<'meta' | 'leases' | 'leased' | 'entries'>;
  readonly #followers = new Followers();
  readonly #timers: LeaseTimers;
  readonly #commits: Commits;
  #meta!: Tree;
  /** Lease id to its time to live. */
  #leases!: Tree;
  /** Lease id, slash, key: what goes with a lease. */
  #leased!: Tree;
  #entries!: Tree;
  /** Of the last commit, and of the last that is durable. */
  #revision = 0;
  #durable = 0;
  /** What the commit under way changes, for those who watch. */
  #changed: Changed[] = [];

  constructor({ path, clock }: LmdbBackendOptions) {
    const called = (what: string) => (key: Buffer) => `${what} ${key}`;
    this.#store = new Store({
      folder: path,
      trees: {
        meta: called('counter'),
        leases: called('lease'),
        leased: called('leased key'),
        entries: called('key'),
      },
      checkBytesMax: 256 * 1024 * 1024,
      checkMs: 1000,
      secret: true,
    });
    this.#timers = new LeaseTimers(clock, (leaseIds) => this.#end(leaseIds));
    this.#commits = new Commits(this.#store, {
      committed: () => this.#tell(),
      undone: () => this.#undo(),
    });
  }

  async open(): Promise<void> {
    await this.#store.open();
    this.#meta = this.#store.tree('meta');
    this.#leases = this.#store.tree('leases');
    this.#leased = this.#store.tree('leased');
    this.#entries = this.#store.tree('entries');
    try {
      this.#store.read(() => this.#resume());
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  #resume(): void {
    this.#revision = this.#durable = this.#counter(REVISION);
    for (const { key, value } of this.#leases.range(EVERYTHING))
      this.#timers.start(key.toString(), Number(value));
  }

  async get(key: string): Promise<Entry | undefined> {
    const bytes = Buffer.from(key);
    return this.#store.read(() => {
      const stored = this.#entries.get(bytes);
      return stored && decodeEntry(bytes, stored);
    });
  }

  async list(
    prefix: string,
    options: { limit?: number; after?: string; reverse?: boolean } = {},
  ): Promise<Listing> {
    return this.#store.read(() => this.#list(prefix, options));
  }

  #list(prefix: string, options: { limit?: number; after?: string; reverse?: boolean }): Listing {
    const { limit, reverse } = options;
    const range = { ...rangeOf(Buffer.from(prefix), options), limit, reverse };
    const entries: Entry[] = [];
    for (const { key, value } of this.#entries.range(range)) entries.push(decodeEntry(key, value));
    return { entries, revision: this.#revision };
  }

  async commit(transaction: Transaction): Promise<number | undefined> {
    checkTransaction(transaction, this);
    const { puts = [], deletes = [] } = transaction;
    // Each may have a record of its lease as well, and may free that of the lease before.
    const writes = {
      puts: puts.flatMap(({ value }) => [value.length, 0]),
      removals: puts.length + 2 * deletes.length,
      spares: puts.length > 0,
    };
    return this.#commits.join(
      () => writes,
      () => (this.#holds(transaction) ? this.#write(puts, deletes) : undefined),
    );
  }

  #holds({ conditions = [] }: Transaction): boolean {
    return conditions.every(
      ({ key, revision }) => (this.#stored(Buffer.from(key))?.revision ?? 0) === revision,
    );
  }

  #write(puts: readonly Put[], deletes: readonly string[]): number | BusError {
    for (const { leaseId } of puts)
      if (leaseId !== undefined && this.#leases.get(Buffer.from(leaseId)) === undefined)
        return new BusError('NOT_FOUND', `lease ${leaseId} has ended`);
    const gone = deletes.filter((key) => this.#stored(Buffer.from(key)) !== undefined);
    if (puts.length + gone.length === 0) return this.#revision;
    const revision = ++this.#revision;
    const changes = [
      ...puts.map((put) => this.#put(put, revision)),
      ...gone.map((key) => this.#remove(key)),
    ];
    this.#meta.put(REVISION, Buffer.from(String(revision)));
    this.#changed.push({ changes, revision });
    return revision;
  }

  #put({ key, value, leaseId = '' }: Put, revision: number): KeyChange {
    const bytes = Buffer.from(key);
    const kept = Buffer.from(value);
    this.#forgetLease(bytes);
    this.#entries.put(bytes, encodeStored({ revision, leaseId, value: kept }));
    if (leaseId !== '') this.#leased.put(leasedKey(leaseId, bytes), NOTHING);
    return { key, entry: { key, value: kept, revision } };
  }

  #remove(key: string): KeyChange {
    const bytes = Buffer.from(key);
    this.#forgetLease(bytes);
    this.#entries.remove(bytes);
    return { key, entry: undefined };
  }

  #forgetLease(key: Buffer): void {
    const leaseId = this.#stored(key)?.leaseId;
    if (leaseId) this.#leased.remove(leasedKey(leaseId, key));
  }

  #stored(key: Buffer): Stored | undefined {
    const bytes = this.#entries.get(key);
    return bytes && decodeStored(bytes);
  }

  async grant(ttlMs: number): Promise<string> {
    const leaseId = await this.#commits.join(
      () => ({ puts: [0, 0], removals: 0, spares: true }),
      () => this.#writeLease(ttlMs),
    );
    this.#timers.start(leaseId, ttlMs);
    return leaseId;
  }

  #writeLease(ttlMs: number): string {
    const leaseId = String(this.#counter(LAST_LEASE) + 1);
    this.#meta.put(LAST_LEASE, Buffer.from(leaseId));
    this.#leases.put(Buffer.from(leaseId), Buffer.from(String(ttlMs)));
    return leaseId;
  }

  async keepAlive(leaseId: string): Promise<boolean> {
    return this.#timers.renew(leaseId);
  }

  async revoke(leaseId: string): Promise<void> {
    await this.#end([leaseId]);
    this.#timers.stop(leaseId);
  }

  #end(leaseIds: readonly string[]): Promise<void> {
    return this.#commits.join(
      () => ({ puts: [0], removals: 2 * this.#keysOf(leaseIds).length + 1, spares: false }),
      () => {
        const keys = this.#keysOf(leaseIds);
        for (const leaseId of leaseIds) this.#leases.remove(Buffer.from(leaseId));
        this.#write([], keys);
      },
    );
  }

  #keysOf(leaseIds: readonly string[]): string[] {
    const keys: string[] = [];
    for (const leaseId of leaseIds) {
      const start = leasedKey(leaseId, NOTHING);
      for (const { key } of this.#leased.range({ start, end: endOfPrefix(start) }))
        keys.push(key.toString('utf8', start.length));
    }
    return keys;
  }

  #counter(name: Buffer): number {
    return Number(this.#meta.get(name) ?? 0);
  }

  #tell(): void {
    this.#durable = this.#revision;
    for (const { changes, revision } of this.#changed.splice(0))
      this.#followers.tell(changes, revision);
  }

  #undo(): void {
    this.#changed = [];
    this.#revision = this.#durable;
  }

  watch(prefix: string, watcher: Watcher): { stop(): void } {
    let stop = () => {
      stopped = true;
    };
    let stopped = false;
    queueMicrotask(() => {
      if (stopped) return;
      stop = this.#followers.add(prefix, watcher);
      this.#reset(prefix, watcher);
    });
    return { stop: () => stop() };
  }

  #reset(prefix: string, watcher: Watcher): void {
    try {
      watcher.reset(this.#store.read(() => this.#list(prefix, {})));
    } catch (error) {
      watcher.lost(error as Error);
    }
  }

  async close(): Promise<void> {
    this.#timers.close();
    this.#commits.flush();
    this.#followers.clear();
    await this.#store.close();
  }
}

const NOTHING = Buffer.alloc(0);
const EVERYTHING = { start: NOTHING, end: Buffer.of(0xff) };

const leasedKey = (leaseId: string, key: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${leaseId}/`), key]);

/** The keys below a prefix that come behind `after` in the order of reading. */
function rangeOf(prefix: Buffer, { after, reverse }: { after?: string; reverse?: boolean }) {
  const [start, end] = [prefix, endOfPrefix(prefix)];
  if (after === undefined) return { start, end };
  const edge = Buffer.from(after);
  if (reverse) return { start, end: Buffer.compare(edge, end) < 0 ? edge : end };
  return Buffer.compare(edge, start) < 0
    ? { start, end }
    : { start: edge, exclusiveStart: true, end };
}
