import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { BusError } from '@malabar/core';
import { type Database, open, type RootDatabase } from 'lmdb';
import type { Engine, Key, KeyRange, LogEntry, WriteBatch } from '../engine.js';
import { inspectFile } from './lmdb-file.js';

const EPOCH = 'epoch';
const PAGE_BYTES = 4096;

export interface LmdbOptions {
  /** Folder of the store; made if missing. */
  path: string;
  /** The most that the file may grow to; undefined for as much as the disk gives. */
  bytesMax?: number;
}

/**
 * The embedded engine: one LMDB file with two trees, the log (a batch of jobs under one key) and the
 * state records. A commit is one transaction and is durable (fdatasync) when it resolves.
 */
export function createLmdbEngine(options: LmdbOptions): Engine {
  const file = join(options.path, 'data.mdb');
  let root: RootDatabase<Buffer, Buffer>;
  let log: Database<Buffer, Buffer>;
  let state: Database<Buffer, Buffer>;
  let meta: Database<Buffer, Buffer>;
  let epoch = 0;

  async function openEngine(): Promise<number> {
    mkdirSync(options.path, { recursive: true });
    inspectFile(file);
    try {
      openTrees();
      epoch = root.transactionSync(() => {
        const next = readEpoch() + 1;
        meta.putSync(Buffer.from(EPOCH), Buffer.from(String(next)));
        return next;
      });
    } catch (error) {
      throw corrupt(file, error);
    }
    return epoch;
  }

  function openTrees(): void {
    root = open<Buffer, Buffer>({
      path: file,
      noSubdir: true,
      encoding: 'binary',
      keyEncoding: 'binary',
      maxDbs: 8,
      // Without this a transaction resolves before its pages are on the disk.
      overlappingSync: false,
      // A new page is written whole before anyone reads it.
      noMemInit: true,
      pageSize: PAGE_BYTES,
    });
    const trees = { encoding: 'binary', keyEncoding: 'binary' } as const;
    meta = root.openDB<Buffer, Buffer>({ name: 'meta', ...trees });
    log = root.openDB<Buffer, Buffer>({ name: 'log', ...trees });
    state = root.openDB<Buffer, Buffer>({ name: 'state', ...trees });
  }

  function readEpoch(): number {
    return Number(meta.get(Buffer.from(EPOCH))?.toString() ?? 0);
  }

  function write(batch: WriteBatch): void {
    if (readEpoch() !== epoch)
      throw new BusError('STALE_LEASE', 'another storage process has taken over this store');
    for (const entry of batch.appends)
      log.putSync(logKey(entry.shard, entry.firstSeq), entry.bytes as Buffer);
    for (const [key, value] of batch.state) {
      if (value === undefined) state.removeSync(bytes(key));
      else state.putSync(bytes(key), value as Buffer);
    }
    for (const { shard, firstSeq } of batch.drops) log.removeSync(logKey(shard, firstSeq));
  }

  return {
    open: openEngine,

    async commit(batch) {
      if (options.bytesMax !== undefined && batch.appends.length > 0)
        refuseAbove(options.bytesMax, usedBytes([log, state]));
      try {
        root.transactionSync(() => write(batch));
      } catch (error) {
        throw commitError(error);
      }
    },

    async get(key) {
      return state.get(bytes(key));
    },

    async scan({ start, end, limit, reverse }: KeyRange) {
      // lmdb names the first key that it visits `start`, whatever the direction.
      const range = reverse
        ? {
            start: bytes(end),
            end: bytes(start),
            exclusiveStart: true,
            inclusiveEnd: true,
            reverse,
          }
        : { start: bytes(start), end: bytes(end) };
      const found: Array<[Key, Uint8Array]> = [];
      for (const { key, value } of state.getRange({ ...range, limit }))
        found.push([key.toString('latin1'), value]);
      return found;
    },

    async readLog(shard, seq) {
      const range = { start: logKey(shard, seq), end: logKey(shard, 0), inclusiveEnd: true };
      return firstEntry(log.getRange({ ...range, reverse: true, limit: 1 }));
    },

    async nextLog(shard, seq) {
      const range = { start: logKey(shard, seq), end: logKey(shard + 1, 0) };
      return firstEntry(log.getRange({ ...range, limit: 1 }));
    },

    async close() {
      await root?.close();
    },
  };
}

const bytes = (key: Key): Buffer => Buffer.from(key, 'latin1');

/** Shard and sequence number, big-endian. */
function logKey(shard: number, seq: number): Buffer {
  const key = Buffer.allocUnsafe(10);
  key.writeUInt32BE(shard, 0);
  key.writeUIntBE(Math.min(seq, 2 ** 48 - 1), 4, 6);
  return key;
}

function firstEntry(range: Iterable<{ key: Buffer; value: Buffer }>): LogEntry | undefined {
  for (const { key, value } of range)
    return { shard: key.readUInt32BE(0), firstSeq: key.readUIntBE(4, 6), bytes: value };
  return undefined;
}

/** Bytes in pages that hold something: the file itself never shrinks, but its free pages are used again. */
function usedBytes(trees: Database[]): number {
  let pages = 0;
  for (const tree of trees) {
    const stats = tree.getStats() as TreeStats;
    pages += stats.treeBranchPageCount + stats.treeLeafPageCount + stats.overflowPages;
  }
  return pages * PAGE_BYTES;
}

interface TreeStats {
  treeBranchPageCount: number;
  treeLeafPageCount: number;
  overflowPages: number;
}

function refuseAbove(bytesMax: number, used: number): void {
  if (used < bytesMax) return;
  throw new BusError('DISK_FULL', `the store has reached its limit of ${bytesMax} bytes`);
}

function commitError(error: unknown): BusError {
  if (error instanceof BusError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const full = /no space|MDB_MAP_FULL|too large|quota/i.test(message);
  return new BusError(
    full ? 'DISK_FULL' : 'INTERNAL',
    full ? `no room left on the store's disk (${message})` : `the store cannot write: ${message}`,
    { cause: error },
  );
}

function corrupt(file: string, cause: unknown): BusError {
  if (cause instanceof BusError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new BusError(
    'CORRUPT',
    `${file} cannot be opened (${message}). Nothing was changed. Restore the folder from a backup, or move it ` +
      'away to start with an empty store; `malabar doctor` says more.',
    { cause },
  );
}
