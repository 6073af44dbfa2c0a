import { mkdirSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { BusError } from '@malabar/core';
import type { Database } from 'lmdb';
import { SEQ_MAX } from '../core/keys.js';
import type { Engine, Key, KeyRange, LogEntry, WriteBatch } from '../engine.js';
import { diskFull, isFatal, storeError } from './lmdb-error.js';
import { inspectFile } from './lmdb-file.js';
import { logKey, readLogKey } from './lmdb-key.js';
import { type Ownership, takeOwnership } from './lmdb-owner.js';
import { createRoom, type Room } from './lmdb-room.js';
import { createSealer, unseal } from './lmdb-seal.js';
import {
  createFile,
  extentOf,
  openTrees,
  syncFolder,
  type Trees,
  usedBytes,
} from './lmdb-trees.js';

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
  return new LmdbEngine({ checkBytesMax: 256 * 1024 * 1024, checkMs: 1000, ...options });
}

class LmdbEngine implements Engine {
  readonly #file: string;
  readonly #sealer = createSealer();
  #open: Trees | undefined;
  #room!: Room;
  #owner: Ownership | undefined;
  #epoch = 0;
  /** Bytes that may be appended before the trees are measured again. */
  #unmeasuredBytes = 0;
  #failure: BusError | undefined;

  constructor(private readonly options: Required<Omit<LmdbOptions, 'bytesMax'>> & LmdbOptions) {
    this.#file = join(options.path, 'data.mdb');
  }

  async open(): Promise<number> {
    const folder = this.options.path;
    try {
      if (mkdirSync(folder, { recursive: true })) syncFolder(dirname(resolve(folder)));
      this.#owner = takeOwnership(folder);
      await this.#openFile();
      this.#refuseWithoutRoom(NOTHING);
      this.#epoch = this.#transact(() => this.#countUpEpoch());
    } catch (error) {
      await this.close();
      throw storeError(error, this.#file, 'open the store');
    }
    return this.#epoch;
  }

  async #openFile(): Promise<void> {
    const { checkBytesMax, checkMs } = this.options;
    const elapsed = () => performance.now();
    if (statSync(this.#file, { throwIfNoEntry: false }) === undefined) await createFile(this.#file);
    else inspectFile(this.#file, { bytesMax: checkBytesMax, timeMs: checkMs, elapsed });
    const trees = openTrees(this.#file);
    this.#open = trees;
    this.#room = createRoom(this.#file, () => extentOf(trees));
  }

  get #trees(): Trees {
    if (this.#open === undefined) throw new BusError('UNAVAILABLE', `${this.#file} is not open`);
    return this.#open;
  }

  #countUpEpoch(): number {
    const epoch = this.#readEpoch() + 1;
    this.#put(this.#trees.meta, EPOCH, Buffer.from(String(epoch)));
    return epoch;
  }

  #readEpoch(): number {
    const value = this.#get(this.#trees.meta, EPOCH, () => 'the epoch');
    return Number(value ?? 0);
  }

  async commit(batch: WriteBatch): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    this.#refuseWithoutRoom(batch);
    if (batch.appends.length > 0) this.#transact(() => this.#write(batch));
    else await this.#transactAside(() => this.#write(batch));
  }

  #write(batch: WriteBatch): void {
    const { log, state } = this.#trees;
    if (this.#readEpoch() !== this.#epoch)
      throw new BusError('STALE_LEASE', 'another storage process has taken over this store');
    for (const { shard, firstSeq, bytes } of batch.appends)
      this.#put(log, logKey(shard, firstSeq), bytes);
    for (const [key, value] of batch.state) {
      if (value === undefined) state.removeSync(toBytes(key));
      else this.#put(state, toBytes(key), value);
    }
    for (const { shard, firstSeq } of batch.drops) log.removeSync(logKey(shard, firstSeq));
  }

  #put(tree: Database<Buffer, Buffer>, key: Buffer, value: Uint8Array): void {
    tree.putSync(key, this.#sealer.seal(key, value));
  }

  #transact<T>(run: () => T): T {
    const { root } = this.#trees;
    // A snapshot that an earlier read has left open would keep pages from being used again.
    root.resetReadTxn();
    try {
      return root.transactionSync(run);
    } catch (error) {
      throw this.#writeFailed(error);
    }
  }

  /** The same on LMDB's writer thread; only a child transaction is undone there when `run` throws. */
  async #transactAside(run: () => void): Promise<void> {
    const { root } = this.#trees;
    root.resetReadTxn();
    try {
      await root.childTransaction(run);
    } catch (error) {
      throw this.#writeFailed(error);
    } finally {
      // A read meanwhile has opened a snapshot from before: the next one must see what is durable now.
      root.resetReadTxn();
    }
  }

  #writeFailed(error: unknown): BusError {
    const failure = storeError(error, this.#file, 'write');
    if (isFatal(error)) this.#failure = failure;
    return failure;
  }

  #refuseWithoutRoom(batch: WriteBatch): void {
    if (!this.#room.secure(batch)) throw diskFull(this.#file);
    const { bytesMax } = this.options;
    if (bytesMax === undefined || batch.appends.length === 0) return;
    for (const { bytes } of batch.appends) this.#unmeasuredBytes -= bytes.length;
    if (this.#unmeasuredBytes > 0) return;
    const left = bytesMax - usedBytes(this.#trees);
    if (left <= 0)
      throw new BusError('DISK_FULL', `the store has reached its limit of ${bytesMax} bytes`);
    this.#unmeasuredBytes = Math.min(left, MEASURE_BYTES);
  }

  async get(key: Key): Promise<Uint8Array | undefined> {
    const bytes = toBytes(key);
    return this.#reading(() => this.#get(this.#trees.state, bytes, () => stateRecord(bytes)));
  }

  #get(tree: Database<Buffer, Buffer>, key: Buffer, what: () => string): Buffer | undefined {
    const sealed = tree.get(key);
    return sealed && unseal(key, sealed, what);
  }

  async scan({ start, end, limit, reverse }: KeyRange): Promise<Array<[Key, Uint8Array]>> {
    const first = toBytes(start);
    const last = toBytes(end);
    // lmdb names the key where it begins `start`, whatever the direction.
    const range = reverse
      ? { start: last, end: first, exclusiveStart: true, inclusiveEnd: true, reverse }
      : { start: first, end: last };
    return this.#reading(() => {
      const found: Array<[Key, Uint8Array]> = [];
      for (const { key, value } of this.#trees.state.getRange({ ...range, limit }))
        found.push([key.toString('latin1'), unseal(key, value, () => stateRecord(key))]);
      return found;
    });
  }

  async readLog(shard: number, seq: number): Promise<LogEntry | undefined> {
    const range = { start: logKey(shard, seq), end: logKey(shard, 0), inclusiveEnd: true };
    return this.#firstEntry({ ...range, reverse: true });
  }

  async nextLog(shard: number, seq: number): Promise<LogEntry | undefined> {
    if (seq > SEQ_MAX) return undefined;
    return this.#firstEntry({ start: logKey(shard, seq), end: logKey(shard + 1, 0) });
  }

  #firstEntry(range: object): LogEntry | undefined {
    return this.#reading(() => {
      for (const { key, value } of this.#trees.log.getRange({ ...range, limit: 1 })) {
        const place = readLogKey(key);
        const what = () => `log record ${place.firstSeq} of shard ${place.shard}`;
        return { ...place, bytes: unseal(key, value, what) };
      }
      return undefined;
    });
  }

  #reading<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw storeError(error, this.#file, 'read');
    }
  }

  async close(): Promise<void> {
    if (this.#open !== undefined) this.#room.close();
    await this.#open?.root.close();
    this.#open = undefined;
    this.#owner?.release();
    this.#owner = undefined;
  }
}

const toBytes = (key: Key): Buffer => Buffer.from(key, 'latin1');

const stateRecord = (key: Buffer): string =>
  `state record ${key.toString('latin1', 0, 1)}${key.toString('hex', 1)}`;
