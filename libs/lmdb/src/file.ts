import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { BusError } from '@malabar/core';
import { damaged, type Place } from './error.js';
import { Fault, META_PAGES, type Meta, readHeader, readMeta } from './page.js';
import { unseal } from './seal.js';
import { FileWalk, type Step } from './walk.js';

/** Enough to see a whole page of any size that LMDB has, and both metas of the common ones. */
const PAGE_MAX = 65536;
/** Flags of the free tree: integer keys; and of the environment: no folder of its own. */
const FREE_TREE_FLAGS = 0x4008;

/** How much of a file is looked at before a store starts. */
export interface CheckBudget {
  bytesMax: number;
  timeMs: number;
  /** Milliseconds of a clock that never goes back. */
  elapsed: () => number;
}

/** How far a check has come. */
export interface CheckProgress {
  bytesRead: number;
  fileBytes: number;
  entries: number;
}

/**
 * Looks at an LMDB file before LMDB maps it: a damaged one could make it read beyond the file's end,
 * which kills the process, or take wrong pages for free ones. Checks both metas, the free pages and
 * every entry of the trees, in their order and newest first, until the budget is spent. Throws
 * CORRUPT, naming file and fault. Changes nothing.
 */
export function inspectFile(place: Place, trees: readonly string[], budget: CheckBudget): void {
  const endMs = budget.elapsed() + budget.timeMs;
  for (const { bytesRead } of walkFile(place, trees))
    if (bytesRead > budget.bytesMax || budget.elapsed() > endMs) return;
}

/**
 * Reads the whole file of a store that no process has open and checks every page, every list and every
 * checksum. Throws CORRUPT at the first fault.
 */
export function checkFile(file: string): Generator<CheckProgress> {
  return walkFile({ file }, []);
}

function* walkFile(place: Place, trees: readonly string[]): Generator<CheckProgress> {
  const { file } = place;
  const fd = openSync(file, 'r');
  try {
    const fileBytes = fstatSync(fd).size;
    let entries = 0;
    for (const step of new FileWalk(fd, newestMeta(fd, fileBytes)).walk(trees)) {
      if (step.entry) entries++;
      checkEntry(step);
      yield { bytesRead: step.bytesRead, fileBytes, entries };
    }
  } catch (error) {
    if (error instanceof Fault) throw damaged(place, error.message);
    if (error instanceof BusError) throw damaged(place, error.message);
    throw error;
  } finally {
    closeSync(fd);
  }
}

function checkEntry({ entry }: Step): void {
  if (entry !== undefined)
    unseal(entry.key, entry.value(), () => `${entry.tree} record ${entry.key.toString('hex')}`);
}

/** The snapshot that LMDB will take. */
function newestMeta(fd: number, fileBytes: number): Meta {
  const first = metaAt(fd, 0);
  const second = metaAt(fd, first.pageSize);
  if (first.pageSize !== second.pageSize)
    throw new Fault('its two beginnings contradict each other');
  const [newer, older] =
    first.transaction >= second.transaction ? [first, second] : [second, first];
  // They are written in turn. A write that was cut off leaves its meta whole, because it fits into
  // one disk sector; and the older one's pages may have been used again: there is no way back to it.
  const even = newer === first ? 0 : 1;
  const inTurn =
    newer.transaction - older.transaction === 1 && newer.transaction % META_PAGES === even;
  if (!inTurn && newer.transaction !== 0)
    throw new Fault('its two beginnings contradict each other');
  if (newer.free.flags !== FREE_TREE_FLAGS || newer.main.flags !== 0)
    throw new Fault('its beginning has flags that it never had');
  if (newer.lastPage < 1 || newer.lastPage * newer.pageSize > Number.MAX_SAFE_INTEGER)
    throw new Fault(`its last page cannot be ${newer.lastPage}`);
  if (newer.lastPage * newer.pageSize > 64 * Math.max(fileBytes, PAGE_MAX))
    throw new Fault(`it should have ${newer.lastPage + 1} pages, but is ${fileBytes} bytes long`);
  checkRoot(fd, newer);
  return newer;
}

function metaAt(fd: number, at: number): Meta {
  const page = Buffer.alloc(512);
  if (readSync(fd, page, 0, page.length, at) !== page.length) throw new Fault('it has been cut');
  return readMeta(page);
}

/** Every commit writes the root of the main tree: a meta that names an older one was not written like that. */
function checkRoot(fd: number, { main, lastPage, pageSize, transaction }: Meta): void {
  if (main.root === undefined || main.root > lastPage) throw new Fault('it has lost its trees');
  const page = Buffer.alloc(24);
  const read = readSync(fd, page, 0, page.length, main.root * pageSize);
  if (read !== page.length) throw new Fault('it has been cut');
  if (readHeader(page).transaction !== transaction)
    throw new Fault('its beginning does not lead to its newest page');
}
