import { BusError } from '@malabar/core';

/** A file, and what its owner's user may do when it is damaged. */
export interface Place {
  file: string;
  /** A sentence, e.g. which command looks further. */
  advice?: string;
}

/** No room: of the disk, the file, the quota, the map; as LMDB and as node say it. */
const FULL = new Set<unknown>([28, 27, 122, -30792, 'ENOSPC', 'EFBIG', 'EDQUOT']);
/** MDB_PAGE_NOTFOUND, MDB_CORRUPTED, MDB_INVALID. */
const CORRUPT = new Set<unknown>([-30797, -30796, -30793]);
/** MDB_BAD_VALSIZE; LMDB rejects the call and is as well as before. */
const HARMLESS = new Set<unknown>([undefined, -30781]);

const codeOf = (thrown: unknown): unknown => (thrown as { code?: unknown } | undefined)?.code;
const messageOf = (thrown: unknown): string =>
  thrown instanceof Error ? thrown.message : String(thrown);

/** After such a failure nobody knows what is on the disk, or LMDB has given up: only a restart helps. */
export function isFatal(thrown: unknown): boolean {
  return !(thrown instanceof BusError) && !HARMLESS.has(codeOf(thrown));
}

/** What a failure of LMDB or of the disk under it means to others. */
export function storeError(thrown: unknown, place: Place, doing: string): BusError {
  if (thrown instanceof BusError) return thrown;
  if (FULL.has(codeOf(thrown))) return diskFull(place.file, thrown);
  const message = messageOf(thrown);
  if (CORRUPT.has(codeOf(thrown))) return damaged(place, message, thrown);
  return new BusError('INTERNAL', `${place.file}: cannot ${doing}: ${message}`, { cause: thrown });
}

export function damaged({ file, advice = '' }: Place, fault: string, cause?: unknown): BusError {
  const message =
    `${file} is damaged: ${fault}. Nothing was changed. Restore the folder from a backup, or move it ` +
    `away to start with an empty store. ${advice}`;
  return new BusError('CORRUPT', message.trimEnd(), { cause });
}

export function diskFull(file: string, cause?: unknown): BusError {
  return new BusError('DISK_FULL', `no room left on the disk of ${file}`, { cause });
}
