import {
  closeSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { type Database, open, type RootDatabase } from 'lmdb';
import type { Extent } from './room.js';

const PAGE_BYTES = 4096;
/** Address space to begin with; it doubles by itself. */
const MAP_BYTES = 1024 ** 3;
/** More than an empty file ever is. */
const NEW_FILE_BYTES_MAX = 256 * 1024;
/** More than the lock file ever is (126 readers). */
const LOCK_BYTES = 16 * 1024;

/** An open LMDB file. */
export interface Environment {
  root: RootDatabase<Buffer, Buffer>;
  trees: ReadonlyMap<string, Database<Buffer, Buffer>>;
}

/**
 * Makes a new store's file under another name first: a file that bears its name is whole, so a cut one
 * is damage and never the rest of a start that did not come to its end.
 */
export async function createFile(file: string, trees: readonly string[]): Promise<void> {
  const draft = `${file}.new`;
  for (const leftover of [draft, `${draft}-lock`]) rmSync(leftover, { force: true });
  proveRoom(draft);
  await openFile(draft, trees).root.close();
  rmSync(`${draft}-lock`, { force: true });
  renameSync(draft, file);
  syncFolder(dirname(file));
}

/** LMDB does not survive a disk that is full while it makes a file (see createRoom). */
function proveRoom(draft: string): void {
  try {
    writeFileSync(draft, Buffer.alloc(NEW_FILE_BYTES_MAX));
  } finally {
    rmSync(draft, { force: true });
  }
}

export function openFile(file: string, names: readonly string[]): Environment {
  takeLockRoom(`${file}-lock`);
  const root = open<Buffer, Buffer>({
    path: file,
    noSubdir: true,
    encoding: 'binary',
    keyEncoding: 'binary',
    maxDbs: 8,
    mapSize: MAP_BYTES,
    pageSize: PAGE_BYTES,
    // Without this a synchronous transaction returns before its pages are on the disk.
    overlappingSync: false,
    // A new page is written whole before anyone reads it.
    noMemInit: true,
  });
  const tree = (name: string) =>
    root.openDB<Buffer, Buffer>({ name, encoding: 'binary', keyEncoding: 'binary' });
  return { root, trees: new Map(names.map((name) => [name, tree(name)])) };
}

/** LMDB writes its lock file through memory, where a full disk means SIGBUS: so it gets its room before. */
function takeLockRoom(lock: string): void {
  const size = statSync(lock, { throwIfNoEntry: false })?.size ?? 0;
  if (size >= LOCK_BYTES) return;
  const fd = openSync(lock, 'a');
  try {
    writeSync(fd, Buffer.alloc(LOCK_BYTES - size));
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Makes names in a folder durable. */
export function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Bytes in pages that hold records. */
export function usedBytes({ trees }: Environment): number {
  let bytes = 0;
  for (const tree of trees.values()) bytes += pagesOf(tree.getStats() as TreeStats);
  return bytes;
}

/** How far the file's pages reach. */
export function extentOf(environment: Environment): Extent {
  const { lastPageNumber, free } = environment.root.getStats() as FileStats;
  const reach = (lastPageNumber + 1) * PAGE_BYTES;
  const freeListBytes = pagesOf(free);
  // Two beginnings and the root of all trees are neither free nor records.
  const others = freeListBytes + 3 * PAGE_BYTES;
  return { reach, freeListBytes, free: () => reach - usedBytes(environment) - others };
}

interface TreeStats {
  treeBranchPageCount: number;
  treeLeafPageCount: number;
  overflowPages: number;
}

interface FileStats {
  lastPageNumber: number;
  free: TreeStats;
}

const pagesOf = (stats: TreeStats): number =>
  (stats.treeBranchPageCount + stats.treeLeafPageCount + stats.overflowPages) * PAGE_BYTES;
