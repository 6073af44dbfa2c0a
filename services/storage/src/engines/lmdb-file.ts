import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { BusError } from '@malabar/core';

const PAGE = 4096;
/** Where LMDB's meta page keeps what we check (after the 16-byte page header; mdb.c, struct MDB_meta). */
const MAGIC_AT = 16;
const MAGIC = 0xbeefc0de;

/**
 * Looks at an LMDB file before LMDB maps it: a damaged one could make it read beyond the file's end,
 * which kills the process. Throws CORRUPT, naming file and fault; a missing or empty file is fine.
 */
export function inspectFile(file: string): void {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (size === 0) return;
  const pages = [readPage(file, 0), readPage(file, 1)];
  if (size < 2 * PAGE || pages.some((page) => page.readUInt32LE(MAGIC_AT) !== MAGIC))
    throw damaged(file, 'it does not begin as an LMDB file does');
}

function readPage(file: string, number: number): Buffer {
  const page = Buffer.alloc(PAGE);
  const fd = openSync(file, 'r');
  try {
    readSync(fd, page, 0, PAGE, number * PAGE);
  } finally {
    closeSync(fd);
  }
  return page;
}

function damaged(file: string, fault: string): BusError {
  return new BusError(
    'CORRUPT',
    `${file} is damaged: ${fault}. Nothing was changed. Restore the folder from a backup, or move it away ` +
      'to start with an empty store.',
  );
}
