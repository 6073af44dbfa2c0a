import { type Clock, systemClock } from '@malabar/core';
import {
  type EtcdChange,
  EtcdClient,
  type EtcdEntry,
  type EtcdOptions,
  follow,
} from '@malabar/etcd';
import type { Backend, Entry, KeyChange, Listing, Transaction, Watcher } from '../backend.js';
import { checkTransaction } from './transaction.js';

export interface EtcdBackendOptions extends EtcdOptions {
  /** What every key begins with, e.g. `/malabar`: several buses may share an etcd. */
  prefix: string;
  clock?: Clock;
  random?: () => number;
}

/** The backend for many keepers: an etcd, with the limits that it has if nobody has changed them. */
export function createEtcdBackend(options: EtcdBackendOptions): Backend {
  return new EtcdBackend(options);
}

class EtcdBackend implements Backend {
  readonly name = 'etcd';
  /** `--max-txn-ops`. */
  readonly operationsMax = 128;
  /** `--max-request-bytes` is 1.5 MiB, and a request is somewhat more than what is in it. */
  readonly bytesMax = 1_450_000;
  readonly #etcd: EtcdClient;
  readonly #prefix: string;
  readonly #follow: { clock: Clock; random: () => number };

  constructor(options: EtcdBackendOptions) {
    const { prefix, clock = systemClock, random = Math.random, ...client } = options;
    this.#etcd = new EtcdClient({ ...client, clock });
    this.#prefix = `${prefix.replace(/\/+$/, '')}/`;
    this.#follow = { clock, random };
  }

  /** Throws UNAVAILABLE if no member answers, UNAUTHENTICATED if they do not know the user. */
  async open(): Promise<void> {
    await this.get('open');
  }

  async get(key: string): Promise<Entry | undefined> {
    const entry = await this.#etcd.get(this.#within(key));
    return entry && this.#entry(entry);
  }

  async list(
    prefix: string,
    options: { limit?: number; after?: string; reverse?: boolean } = {},
  ): Promise<Listing> {
    const after = options.after === undefined ? undefined : this.#within(options.after);
    return this.#listing(await this.#etcd.list(this.#within(prefix), { ...options, after }));
  }

  async commit(transaction: Transaction): Promise<number | undefined> {
    checkTransaction(transaction, this);
    const { conditions, puts, deletes } = transaction;
    return this.#etcd.commit({
      conditions: conditions?.map(({ key, revision }) => ({ key: this.#within(key), revision })),
      puts: puts?.map((put) => ({ ...put, key: this.#within(put.key) })),
      deletes: deletes?.map((key) => this.#within(key)),
    });
  }

  watch(prefix: string, watcher: Watcher): { stop(): void } {
    const follower = {
      reset: (listing: Listing) => watcher.reset(this.#listing(listing)),
      changed: (changes: EtcdChange[], revision: number) =>
        watcher.changed(
          changes.map((change) => this.#change(change)),
          revision,
        ),
      lost: (error: Error) => watcher.lost(error),
    };
    return follow(this.#etcd, this.#within(prefix), follower, this.#follow);
  }

  grant(ttlMs: number): Promise<string> {
    return this.#etcd.grant(ttlMs);
  }

  keepAlive(leaseId: string): Promise<boolean> {
    return this.#etcd.keepAlive(leaseId);
  }

  revoke(leaseId: string): Promise<void> {
    return this.#etcd.revoke(leaseId);
  }

  async close(): Promise<void> {
    this.#etcd.close();
  }

  #within(key: string): string {
    return this.#prefix + key;
  }

  #entry({ key, value, revision }: EtcdEntry): Entry {
    return { key: key.slice(this.#prefix.length), value, revision };
  }

  #change({ key, entry }: EtcdChange): KeyChange {
    return { key: key.slice(this.#prefix.length), entry: entry && this.#entry(entry) };
  }

  #listing({ entries, revision }: Listing): Listing {
    return { entries: entries.map((entry) => this.#entry(entry)), revision };
  }
}
