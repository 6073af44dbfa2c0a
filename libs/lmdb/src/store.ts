import { chmodSync, mkdirSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { BusError } from '@malabar/core';
import type { Database } from 'lmdb';
import {
  createFile,
  type Environment,
  extentOf,
  openFile,
  syncFolder,
  usedBytes,
} from './environment.js';
import { diskFull, isFatal, type Place, storeError } from './error.js';
import { inspectFile } from './file.js';
import { type Ownership, takeOwnership } from './owner.js';
import { createRoom, type Room, type Writes } from './room.js';
import { createSealer, unseal } from './seal.js';

export type { Writes };

export interface StoreOptions<Name extends string> {
  /** Folder of the store; made if missing. */
  folder: string;
  /** Its trees, in the order in which a start checks them, and what a record of each is called. */
  trees: Record<Name, (key: Buffer) => string>;
  /** How much of the file is checked at every start, newest entries first; Infinity for all of it. */
  checkBytesMax: number;
  /** The most time for that, in milliseconds. */
  checkMs: number;
  /** Nobody but this user may read the folder. */
  secret?: boolean;
  /** A sentence for whoever finds the file damaged. */
  advice?: string;
}

/** A stretch of keys, from `start` to `end`; of the two, `start` is in it unless said otherwise. */
export interface Range {
  start: Buffer;
  end: Buffer;
  exclusiveStart?: boolean;
  inclusiveEnd?: boolean;
  /** From `end` down to `start`, which keep their meaning. */
  reverse?: boolean;
  limit?: number;
}

/** Ordered records, each with a checksum. Reads throw CORRUPT, naming the record. */
export interface Tree {
  get(key: Buffer): Buffer | undefined;
  /** The records of a range as they lie there at the first step. */
  range(range: Range): Iterable<{ key: Buffer; value: Buffer }>;
  /** Inside a transaction only. */
  put(key: Buffer, value: Uint8Array): void;
  remove(key: Buffer): void;
}

/**
 * One LMDB file that this process alone has open: ordered trees under one transaction. It survives what
 * LMDB does not, a damaged file and a full disk, and answers with CORRUPT or DISK_FULL. After a failed
 * write of which nobody knows the outcome it refuses every further one.
 */
export class Store<Name extends string> {
  readonly #place: Place;
  readonly #sealer = createSealer();
  #open: Environment | undefined;
  #room!: Room;
  #owner: Ownership | undefined;
  #failure: BusError | undefined;

  constructor(private readonly options: StoreOptions<Name>) {
    this.#place = { file: join(options.folder, 'data.mdb'), advice: options.advice };
  }

  get file(): string {
    return this.#place.file;
  }

  /** Throws UNAVAILABLE if another process has the folder, CORRUPT if the file is damaged. */
  async open(): Promise<void> {
    try {
      this.#makeFolder();
      this.#owner = takeOwnership(this.options.folder);
      await this.#openFile();
    } catch (error) {
      await this.close();
      throw storeError(error, this.#place, 'open the store');
    }
  }

  #makeFolder(): void {
    const { folder, secret } = this.options;
    if (mkdirSync(folder, { recursive: true })) syncFolder(dirname(resolve(folder)));
    if (secret) chmodSync(folder, 0o700);
  }

  async #openFile(): Promise<void> {
    const { checkBytesMax, checkMs, secret } = this.options;
    const trees = Object.keys(this.options.trees);
    const { file } = this.#place;
    const budget = { bytesMax: checkBytesMax, timeMs: checkMs, elapsed: () => performance.now() };
    if (statSync(file, { throwIfNoEntry: false }) === undefined) await createFile(file, trees);
    else inspectFile(this.#place, trees, budget);
    if (secret) chmodSync(file, 0o600);
    const environment = openFile(file, trees);
    this.#open = environment;
    this.#room = createRoom(file, () => extentOf(environment));
  }

  get #environment(): Environment {
    if (this.#open === undefined) throw notOpen(this.#place);
    return this.#open;
  }

  /** Bytes in pages that hold records. */
  get usedBytes(): number {
    return usedBytes(this.#environment);
  }

  tree(name: Name): Tree {
    // A closed file must not be touched any more: LMDB would not survive it.
    const tree = () => this.#environment.trees.get(name) as Database<Buffer, Buffer>;
    const called = this.options.trees[name];
    const sealer = this.#sealer;
    const opened = (key: Buffer, sealed: Buffer) => unseal(key, sealed, () => called(key));
    return {
      get(key) {
        const sealed = tree().get(key);
        return sealed && opened(key, sealed);
      },
      *range(range) {
        for (const { key, value } of tree().getRange(asLmdb(range)))
          yield { key, value: opened(key, value) };
      },
      put: (key, value) => tree().putSync(key, sealer.seal(key, value)),
      remove: (key) => tree().removeSync(key),
    };
  }

  /** Throws DISK_FULL unless there is room for a transaction; to be asked before every one. */
  secure(writes: Writes): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#open === undefined) throw notOpen(this.#place);
    if (!this.#room.secure(writes)) throw diskFull(this.#place.file);
  }

  /**
   * Runs the writes of `run` at once, while the loop stands still. What it wrote is durable when this
   * returns; nothing of it is there when it throws.
   */
  transact<T>(run: () => T): T {
    const { root } = this.#environment;
    // A snapshot that an earlier read has left open would keep pages from being used again.
    root.resetReadTxn();
    try {
      return root.transactionSync(run);
    } catch (error) {
      throw this.#writeFailed(error);
    }
  }

  /** The same on LMDB's writer thread; only a child transaction is undone there when `run` throws. */
  async transactAside(run: () => void): Promise<void> {
    const { root } = this.#environment;
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
    const failure = storeError(error, this.#place, 'write');
    if (isFatal(error)) this.#failure = failure;
    return failure;
  }

  /** Runs reads; what LMDB throws becomes a BusError. */
  read<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw storeError(error, this.#place, 'read');
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

/** lmdb names the key where it begins `start`, whatever the direction. */
function asLmdb({ start, end, exclusiveStart, inclusiveEnd, reverse, limit }: Range): object {
  if (!reverse) return { start, end, exclusiveStart, inclusiveEnd, limit };
  const ends = { start: end, exclusiveStart: !inclusiveEnd };
  return { ...ends, end: start, inclusiveEnd: !exclusiveStart, reverse, limit };
}

const notOpen = ({ file }: Place): BusError => new BusError('UNAVAILABLE', `${file} is not open`);
