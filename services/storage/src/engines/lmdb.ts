import { BusError } from '@malabar/core';
import { type Range, Store, type Tree, type Writes } from '@malabar/lmdb';
import { SEQ_MAX } from '../core/keys.js';
import type { Engine, Key, KeyRange, LogEntry, WriteBatch } from '../engine.js';
import { logKey, readLogKey } from './lmdb-key.js';

const EPOCH = Buffer.from('epoch');
/** Changes between two looks at how much room the trees take. */
const MEASURE_BYTES = 1024 * 1024;
const NOTHING: WriteBatch = { appends: [], state: new Map(), drops: [] };

export interface LmdbOptions {
  /** Folder of the store; made if missing. */
  path: string;
  /** The most that records may take, in bytes; undefined for as much as the disk gives. */
  bytesMax?: number;
  /** How much of the file is checked at every start, newest records first; Infinity for all of it. */
  checkBytesMax?: number;
  /** The most time for that, in milliseconds. */
  checkMs?: number;
}

/**
 * The embedded engine: one LMDB file with two trees, the log (a batch of jobs under one key) and the
 * state records. When a commit resolves, LMDB has returned from fdatasync of its pages and from the
 * synchronous write of its meta page. A commit with jobs is made at once, while the loop stands still:
 * producers wait for nothing else, and measured that is faster than LMDB's writer thread at every size
 * of batch. For outcomes alone nobody waits, so they go to that thread and deliveries run on meanwhile.
 */
export function createLmdbEngine(options: LmdbOptions): Engine {
  return new LmdbEngine(options);
}

class LmdbEngine implements Engine {
  readonly #store: Store<'meta' | 'state' | 'log'>;
  #meta!: Tree;
  #state!: Tree;
  #log!: Tree;
  #epoch = 0;
  /** Bytes that may be appended before the trees are measured again. */
  #unmeasuredBytes = 0;

  constructor(private readonly options: LmdbOptions) {
    this.#store = new Store({
      folder: options.path,
      trees: { meta: () => 'the epoch', state: stateRecord, log: logRecord },
      checkBytesMax: options.checkBytesMax ?? 256 * 1024 * 1024,
      checkMs: options.checkMs ?? 1000,
      advice: '`malabar verify --data` reads all of it and says what else is wrong.',
    });
  }

  async open(): Promise<number> {
    const store = this.#store;
    await store.open();
    try {
      this.#meta = store.tree('meta');
      this.#state = store.tree('state');
      this.#log = store.tree('log');
      this.#refuseWithoutRoom(NOTHING);
      this.#epoch = store.transact(() => this.#countUpEpoch());
    } catch (error) {
      await this.close();
      throw error;
    }
    return this.#epoch;
  }

  #countUpEpoch(): number {
    const epoch = this.#readEpoch() + 1;
    this.#meta.put(EPOCH, Buffer.from(String(epoch)));
    return epoch;
  }

  #readEpoch(): number {
    return Number(this.#meta.get(EPOCH) ?? 0);
  }

  async commit(batch: WriteBatch): Promise<void> {
    this.#refuseWithoutRoom(batch);
    if (batch.appends.length > 0) this.#store.transact(() => this.#write(batch));
    else await this.#store.transactAside(() => this.#write(batch));
  }

  #write(batch: WriteBatch): void {
    if (this.#readEpoch() !== this.#epoch)
      throw new BusError('STALE_LEASE', 'another storage process has taken over this store');
    for (const { shard, firstSeq, bytes } of batch.appends)
      this.#log.put(logKey(shard, firstSeq), bytes);
    for (const [key, value] of batch.state) {
      if (value === undefined) this.#state.remove(toBytes(key));
      else this.#state.put(toBytes(key), value);
    }
    for (const { shard, firstSeq } of batch.drops) this.#log.remove(logKey(shard, firstSeq));
  }

  #refuseWithoutRoom(batch: WriteBatch): void {
    this.#store.secure(writesOf(batch));
    const { bytesMax } = this.options;
    if (bytesMax === undefined || batch.appends.length === 0 || batch.urgent) return;
    for (const { bytes } of batch.appends) this.#unmeasuredBytes -= bytes.length;
    if (this.#unmeasuredBytes > 0) return;
    const left = bytesMax - this.#store.usedBytes;
    if (left <= 0)
      throw new BusError('DISK_FULL', `the store has reached its limit of ${bytesMax} bytes`);
    this.#unmeasuredBytes = Math.min(left, MEASURE_BYTES);
  }

  async get(key: Key): Promise<Uint8Array | undefined> {
    return this.#store.read(() => this.#state.get(toBytes(key)));
  }

  async scan({ start, end, limit, reverse }: KeyRange): Promise<Array<[Key, Uint8Array]>> {
    const range = { start: toBytes(start), end: toBytes(end), limit, reverse };
    return this.#store.read(() => {
      const found: Array<[Key, Uint8Array]> = [];
      for (const { key, value } of this.#state.range(range))
        found.push([key.toString('latin1'), value]);
      return found;
    });
  }

  async readLog(shard: number, seq: number): Promise<LogEntry | undefined> {
    const range = { start: logKey(shard, 0), end: logKey(shard, seq), inclusiveEnd: true };
    return this.#firstEntry({ ...range, reverse: true });
  }

  async nextLog(shard: number, seq: number): Promise<LogEntry | undefined> {
    if (seq > SEQ_MAX) return undefined;
    return this.#firstEntry({ start: logKey(shard, seq), end: logKey(shard + 1, 0) });
  }

  #firstEntry(range: Range): LogEntry | undefined {
    return this.#store.read(() => {
      for (const { key, value } of this.#log.range({ ...range, limit: 1 }))
        return { ...readLogKey(key), bytes: value };
      return undefined;
    });
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}

function writesOf({ appends, state, drops, urgent }: WriteBatch): Writes {
  const puts = appends.map(({ bytes }) => bytes.length);
  let removals = drops.length;
  for (const value of state.values()) {
    if (value === undefined) removals++;
    else puts.push(value.length);
  }
  return { puts, removals, spares: appends.length > 0 && !urgent };
}

const toBytes = (key: Key): Buffer => Buffer.from(key, 'latin1');

function logRecord(key: Buffer): string {
  const { shard, firstSeq } = readLogKey(key);
  return `log record ${firstSeq} of shard ${shard}`;
}

const stateRecord = (key: Buffer): string =>
  `state record ${key.toString('latin1', 0, 1)}${key.toString('hex', 1)}`;
