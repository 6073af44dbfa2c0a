import { noop } from 'cockatiel';
import { Etcd3, type IKeyValue, type IWatchResponse } from 'etcd3';
import { Broken, Compacted } from './errors.js';
import { prefixRange } from './keys.js';

/** A value under a key. */
export interface EtcdEntry {
  key: string;
  value: Buffer;
  /** Of the store when this value was written. */
  revision: number;
}

/** One key that was written or, with `entry` undefined, is gone. */
export interface EtcdChange {
  key: string;
  entry: EtcdEntry | undefined;
}

/** All of it, if every key has its revision (0: is not there), or nothing. */
export interface EtcdTransaction {
  conditions?: ReadonlyArray<{ key: string; revision: number }>;
  puts?: ReadonlyArray<{ key: string; value: Uint8Array; leaseId?: string }>;
  deletes?: readonly string[];
}

export interface ConnectionOptions {
  user?: string;
  password?: string;
  /** PEM. */
  tls?: { ca?: Buffer; cert?: Buffer; key?: Buffer };
}

export interface RangeRequest {
  start: Buffer;
  end: Buffer;
  limit: number;
  reverse?: boolean;
  /** The state at that revision; undefined for the newest. */
  revision?: number;
}

export interface RangeAnswer {
  entries: EtcdEntry[];
  more: boolean;
  revision: number;
}

/** A stream that is open; `ended` of its handlers comes once, unless it was cancelled. */
export interface WatchHandlers {
  changed(changes: EtcdChange[], revision: number): void;
  ended(reason: Error): void;
}

export interface KeepAliveHandlers {
  answered(leaseId: string, alive: boolean): void;
  ended(reason: Error): void;
}

const CHANNEL = {
  // Without these a connection whose other end is gone would stay for hours. etcd takes a ping each 5 s.
  'grpc.keepalive_time_ms': 6000,
  'grpc.keepalive_timeout_ms': 3000,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1000,
  // Several commits may come in one answer to a watch.
  'grpc.max_receive_message_length': -1,
};

/**
 * Bare calls to one member of etcd. Of etcd3 only the generated contract and the login are used: its
 * retries would repeat commits, its breakers would keep a member that is back away for five seconds, and its
 * watchers and leases end in `error` events that nobody can relate to a revision.
 */
export class Connection {
  readonly #etcd: Etcd3;

  constructor(
    readonly address: string,
    { user, password = '', tls }: ConnectionOptions,
  ) {
    this.#etcd = new Etcd3({
      hosts: `${tls ? 'https' : 'http'}://${address}`,
      auth: user ? { username: user, password, callOptions: () => within(3000) } : undefined,
      credentials: tls && credentials(tls),
      grpcOptions: CHANNEL,
      faultHandling: { host: () => noop, global: noop },
    });
  }

  async range(request: RangeRequest, timeoutMs: number): Promise<RangeAnswer> {
    const { start, end, limit, reverse, revision } = request;
    const answer = await this.#etcd.kv.range(
      {
        key: start,
        range_end: end,
        limit,
        revision: revision ?? 0,
        sort_target: 'Key',
        // Ascending is how they lie; asked for by name, etcd would read all of them in spite of the limit.
        sort_order: reverse ? 'Descend' : 'None',
      },
      within(timeoutMs),
    );
    const { kvs, more, header } = answer;
    return { entries: kvs.map(toEntry), more, revision: Number(header.revision) };
  }

  async commit(transaction: EtcdTransaction, timeoutMs: number): Promise<number | undefined> {
    const { conditions = [], puts = [], deletes = [] } = transaction;
    const answer = await this.#etcd.kv.txn(
      {
        compare: conditions.map(({ key, revision }) => ({
          key: Buffer.from(key),
          target: 'Mod',
          result: 'Equal',
          mod_revision: revision,
        })),
        success: [
          ...puts.map(({ key, value, leaseId = 0 }) => ({
            request_put: { key: Buffer.from(key), value: asBuffer(value), lease: leaseId },
          })),
          ...deletes.map((key) => ({ request_delete_range: { key: Buffer.from(key) } })),
        ],
      },
      within(timeoutMs),
    );
    return answer.succeeded ? Number(answer.header.revision) : undefined;
  }

  async compact(revision: number, timeoutMs: number): Promise<void> {
    await this.#etcd.kv.compact({ revision }, within(timeoutMs));
  }

  async grant(seconds: number, timeoutMs: number): Promise<string> {
    return (await this.#etcd.leaseClient.leaseGrant({ TTL: seconds }, within(timeoutMs))).ID;
  }

  async revoke(leaseId: string, timeoutMs: number): Promise<void> {
    await this.#etcd.leaseClient.leaseRevoke({ ID: leaseId }, within(timeoutMs));
  }

  /** Follows a prefix from a revision on, that one included. Returns what cancels it. */
  async watch(
    { prefix, revision }: { prefix: string; revision: number },
    handlers: WatchHandlers,
  ): Promise<() => void> {
    const stream = await this.#etcd.watchClient.watch();
    const ending = endOnce(stream, handlers.ended);
    stream.on('data', (answer) => {
      const fault = faultOf(answer);
      if (fault !== undefined) return ending.end(fault);
      for (const [at, changes] of byRevision(answer))
        if (!ending.over) handlers.changed(changes, at);
    });
    const { start, end } = prefixRange(prefix);
    stream.write({ create_request: { key: start, range_end: end, start_revision: revision } });
    return ending.cancel;
  }

  /** Opens a stream on which leases are kept alive, each by one question. */
  async keepAlives(
    handlers: KeepAliveHandlers,
  ): Promise<{ ask(leaseId: string): void; cancel(): void }> {
    const stream = await this.#etcd.leaseClient.leaseKeepAlive();
    const ending = endOnce(stream, handlers.ended);
    stream.on('data', ({ ID, TTL }) => handlers.answered(ID, Number(TTL) > 0));
    return { ask: (leaseId) => stream.write({ ID: leaseId }), cancel: ending.cancel };
  }

  close(): void {
    this.#etcd.close();
  }
}

interface Endable {
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'end', listener: () => void): unknown;
  end(): void;
  cancel(): void;
}

/** Makes of the several ways in which a stream ends one call, or none after `cancel`. */
function endOnce(stream: Endable, ended: (reason: Error) => void) {
  const ending = {
    over: false,
    end(reason: Error): void {
      if (ending.over) return;
      ending.cancel();
      ended(reason);
    },
    cancel(): void {
      if (ending.over) return;
      ending.over = true;
      // etcd3 takes an error on a stream that was not ended for one of the member, and hangs up on all.
      stream.end();
      stream.cancel();
    },
  };
  stream.on('error', (error) => ending.end(new Broken(error.message, { cause: error })));
  stream.on('end', () => ending.end(new Broken('the stream has ended')));
  return ending;
}

function faultOf({ canceled, compact_revision, cancel_reason }: WatchAnswer): Error | undefined {
  if (!canceled) return undefined;
  if (Number(compact_revision) > 0) return new Compacted(`compacted at ${compact_revision}`);
  return new Broken(`the watch was cancelled: ${cancel_reason}`);
}

/** The contract's type lacks the reason. */
type WatchAnswer = IWatchResponse & { cancel_reason?: string };

/** One answer may carry several commits, in their order. */
function byRevision({ events }: IWatchResponse): Map<number, EtcdChange[]> {
  const commits = new Map<number, EtcdChange[]>();
  for (const { type, kv } of events) {
    const entry = toEntry(kv);
    const commit = commits.get(entry.revision) ?? [];
    commit.push({ key: entry.key, entry: type === 'Put' ? entry : undefined });
    commits.set(entry.revision, commit);
  }
  return commits;
}

const toEntry = ({ key, value, mod_revision }: IKeyValue): EtcdEntry => ({
  key: key.toString(),
  value,
  revision: Number(mod_revision),
});

const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** gRPC counts deadlines by the machine's clock, whatever the time is in a test. */
const within = (timeoutMs: number) => ({ deadline: new Date(Date.now() + timeoutMs) });

function credentials({ ca, cert, key }: NonNullable<ConnectionOptions['tls']>) {
  return { rootCertificate: ca as Buffer, privateKey: key, certChain: cert };
}
