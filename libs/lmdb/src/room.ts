import { closeSync, fstatSync, openSync, writeSync } from 'node:fs';

const PAGE_BYTES = 4096;
/** Kept for the commits that only delete: LMDB writes new pages even for those. */
const SPARE_BYTES = 4 * 1024 * 1024;
const GROWTH_BYTES = 2 * 1024 * 1024;
const ZEROS = Buffer.alloc(256 * 1024);
/** Pages of paths, roots and free lists that any commit may write anew. */
const COMMON_PAGES = 64;

/** Where the pages of a file end, and which are not in use. */
export interface Extent {
  /** Behind the last page that has ever been in use, in bytes. */
  reach: number;
  /** Bytes of the free list itself. */
  freeListBytes: number;
  /** Bytes in pages that nothing uses any more; costs more to find out. */
  free: () => number;
}

/** What a transaction is going to do. */
export interface Writes {
  /** Sizes of the values that it puts, in bytes. */
  puts: readonly number[];
  removals: number;
  /** Whether it may be refused early, so that there is always room for those that only delete. */
  spares: boolean;
}

export interface Room {
  /** Whether the disk has taken in advance all that a transaction may write. */
  secure(writes: Writes): boolean;
  close(): void;
}

/**
 * LMDB must never meet a full disk: version 3.5.6 of the lmdb package writes its error message over the end
 * of a buffer when a page cannot be written, and with that the process dies (mdb.c, mdb_page_flush:
 * 100 bytes for a text of up to 118). So the file is made longer, with zeros, before LMDB needs it; where
 * that fails, the transaction is refused and LMDB never hears of it. It also makes refusing cheap.
 */
export function createRoom(file: string, measure: () => Extent): Room {
  const fd = openSync(file, 'r+');
  let end = fstatSync(fd).size;
  let { reach, freeListBytes } = measure();

  function fits(bytes: number): boolean {
    if (reach + bytes <= end) return true;
    ({ reach, freeListBytes } = measure());
    if (reach + bytes > end) end = grow(fd, end, reach + bytes + GROWTH_BYTES);
    return reach + bytes <= end;
  }

  return {
    secure(writes) {
      const bytes = newBytes(writes) + 2 * freeListBytes;
      // On a full disk, free pages inside the file are as good a reserve as room behind its end.
      const spare = writes.spares ? SPARE_BYTES : 0;
      const secured = fits(bytes + spare) || (spareInside(spare) && fits(bytes));
      if (secured) reach += bytes;
      return secured;
    },
    close: () => closeSync(fd),
  };

  function spareInside(spare: number): boolean {
    return spare > 0 && measure().free() >= 2 * spare;
  }
}

/** The most that LMDB may write behind its last page for a transaction. */
function newBytes({ puts, removals }: Writes): number {
  let pages = COMMON_PAGES + removals;
  for (const bytes of puts) pages += pagesOf(bytes);
  return pages * PAGE_BYTES;
}

/** A leaf, and pages of its own for a value that is too big for one. */
const pagesOf = (bytes: number): number => 2 + Math.ceil(bytes / PAGE_BYTES);

/** Writes zeros from `end` to `target`, or as far as the disk lets it; returns where the file ends now. */
function grow(fd: number, end: number, target: number): number {
  let at = end;
  try {
    while (at < target) at += writeSync(fd, ZEROS, 0, Math.min(ZEROS.length, target - at), at);
  } catch (error) {
    if (!NO_ROOM.has((error as NodeJS.ErrnoException).code)) throw error;
  }
  return at;
}

const NO_ROOM = new Set<string | undefined>(['ENOSPC', 'EFBIG', 'EDQUOT']);
