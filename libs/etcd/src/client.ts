import { BusError, type Clock, systemClock } from '@malabar/core';
import {
  Connection,
  type ConnectionOptions,
  type EtcdChange,
  type EtcdEntry,
  type EtcdTransaction,
} from './connection.js';
import { Compacted, etcdError } from './errors.js';
import { KeepAlives } from './keep-alives.js';
import { after } from './keys.js';
import { Pages } from './pages.js';

export interface EtcdOptions extends ConnectionOptions {
  /** host:port of each member. */
  endpoints: readonly string[];
  /** After so long without an answer a call fails with UNAVAILABLE; default 4 s. */
  timeoutMs?: number;
  clock?: Clock;
}

interface Member {
  connection: Connection;
  keepAlives: KeepAlives;
}

export interface EtcdListing {
  entries: EtcdEntry[];
  revision: number;
}

export interface ListOptions {
  limit?: number;
  /** Goes on behind this key, in the order of reading. */
  after?: string;
  reverse?: boolean;
}

/** How often it is asked whether etcd still answers while somebody watches. */
const PROBE_MS = 3000;
const PROBE_TIMEOUT_MS = 2000;
/** A history that is compacted between two pages means to begin again; more often than that it is a fault. */
const LIST_ATTEMPTS = 5;

/**
 * A client of etcd that speaks of keys, revisions and leases. It stays with one member until that one
 * fails, then takes the next. Reads are tried once on every member; what writes is never repeated. Throws
 * BusErrors: UNAVAILABLE (a commit may have happened), UNAUTHENTICATED, FORBIDDEN, TOO_LARGE, DISK_FULL,
 * NOT_FOUND for a lease that has ended.
 */
export class EtcdClient {
  readonly #members: readonly Member[];
  readonly #timeoutMs: number;
  readonly #clock: Clock;
  readonly #watches = new Set<Ending>();
  #current = 0;
  #cancelProbe: (() => void) | undefined;
  #closed = false;

  constructor({ endpoints, timeoutMs = 4000, clock = systemClock, ...options }: EtcdOptions) {
    this.#timeoutMs = timeoutMs;
    this.#clock = clock;
    this.#members = endpoints.map((address) => {
      const connection = new Connection(address, options);
      return { connection, keepAlives: new KeepAlives(connection, clock, timeoutMs) };
    });
  }

  async get(key: string): Promise<EtcdEntry | undefined> {
    const start = Buffer.from(key);
    const request = { start, end: after(start), limit: 1 };
    return (await this.#read((member, ms) => member.range(request, ms))).entries[0];
  }

  /** The entries of a prefix at one revision, read in as many answers as it takes. */
  async list(prefix: string, options: ListOptions = {}): Promise<EtcdListing> {
    for (let attempt = 1; ; attempt++) {
      const pages = new Pages(prefix, options);
      try {
        while (pages.next !== undefined) {
          const request = pages.next;
          pages.add(await this.#read((member, ms) => member.range(request, ms)));
        }
        return pages.listing;
      } catch (error) {
        if (!(error instanceof Compacted)) throw error;
        if (attempt === LIST_ATTEMPTS) throw new BusError('UNAVAILABLE', error.message);
      }
    }
  }

  /** The revision of the commit, or undefined if a condition did not hold. */
  async commit(transaction: EtcdTransaction): Promise<number | undefined> {
    return this.#write((member, ms) => member.commit(transaction, ms));
  }

  /** Forgets the history before a revision. */
  async compact(revision: number): Promise<void> {
    return this.#write((member, ms) => member.compact(revision, ms));
  }

  /** A new lease; etcd counts whole seconds, and at least two. */
  async grant(ttlMs: number): Promise<string> {
    return this.#write((member, ms) => member.grant(Math.ceil(ttlMs / 1000), ms));
  }

  /** False if the lease has ended. */
  async keepAlive(leaseId: string): Promise<boolean> {
    const { connection, keepAlives } = this.#member;
    return this.#asking(connection, () => keepAlives.ask(leaseId));
  }

  /** Ends a lease and deletes its keys; one that has ended is no fault. */
  async revoke(leaseId: string): Promise<void> {
    try {
      await this.#write((member, ms) => member.revoke(leaseId, ms));
    } catch (error) {
      if (!(error instanceof BusError) || error.code !== 'NOT_FOUND') throw error;
    }
  }

  /**
   * Follows a prefix from `revision` on, commit by commit. Resolves when `signal` is aborted; rejects
   * with Broken when the stream ends, Compacted when the history is not kept any more, UNAVAILABLE when
   * etcd does not answer.
   */
  async watch(
    { prefix, revision }: { prefix: string; revision: number },
    changed: (changes: EtcdChange[], revision: number) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { connection } = this.#member;
    await this.#asking(connection, async () => {
      const over = new Ending();
      const ended = (reason: Error) => over.reject(reason);
      const cancel = await connection.watch({ prefix, revision }, { changed, ended });
      const stop = () => over.resolve();
      signal.addEventListener('abort', stop);
      if (signal.aborted) stop();
      this.#watches.add(over);
      this.#probe();
      try {
        await over.promise;
      } finally {
        this.#watches.delete(over);
        signal.removeEventListener('abort', stop);
        cancel();
      }
    });
  }

  /** A member that has lost the others, or a network its middle, breaks no stream: so it is asked. */
  #probe(): void {
    if (this.#cancelProbe !== undefined || this.#closed) return;
    this.#cancelProbe = this.#clock.after(PROBE_MS, async () => {
      const { connection } = this.#member;
      const request = { start: Buffer.of(0), end: Buffer.of(1), limit: 1 };
      const asked = () => connection.range(request, PROBE_TIMEOUT_MS);
      const failure = await this.#asking(connection, asked).then(
        () => undefined,
        (error) => error,
      );
      if (isUnreached(failure)) for (const watch of [...this.#watches]) watch.reject(failure);
      this.#cancelProbe = undefined;
      if (this.#watches.size > 0) this.#probe();
    });
  }

  close(): void {
    this.#closed = true;
    this.#cancelProbe?.();
    const reason = new BusError('UNAVAILABLE', 'the client of etcd is closed');
    for (const watch of [...this.#watches]) watch.reject(reason);
    for (const { connection, keepAlives } of this.#members) {
      keepAlives.close();
      connection.close();
    }
  }

  get #member(): Member {
    return this.#members[this.#current] as Member;
  }

  /** One attempt, on the member that answered last. */
  #write<T>(call: (member: Connection, timeoutMs: number) => Promise<T>): Promise<T> {
    const { connection } = this.#member;
    return this.#asking(connection, () => call(connection, this.#timeoutMs));
  }

  /** An attempt on each member until one answers, all within the time that a call may take. */
  async #read<T>(call: (member: Connection, timeoutMs: number) => Promise<T>): Promise<T> {
    const timeoutMs = this.#timeoutMs / this.#members.length;
    for (let left = this.#members.length - 1; ; left--) {
      const { connection } = this.#member;
      try {
        return await this.#asking(connection, () => call(connection, timeoutMs));
      } catch (error) {
        if (left === 0 || !isUnreached(error)) throw error;
      }
    }
  }

  /** Translates what the member throws; one that cannot be reached is the last to be asked again. */
  async #asking<T>(connection: Connection, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (thrown) {
      const error = etcdError(thrown, connection.address);
      if (isUnreached(error) && connection === this.#member.connection)
        this.#current = (this.#current + 1) % this.#members.length;
      throw error;
    }
  }
}

const isUnreached = (error: unknown): boolean =>
  error instanceof BusError && error.code === 'UNAVAILABLE';

/** The end of a watch, which several may bring about. */
class Ending {
  resolve!: () => void;
  reject!: (reason: Error) => void;
  readonly promise = new Promise<void>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });

  constructor() {
    // It may come before anybody waits for it.
    this.promise.catch(() => {});
  }
}
