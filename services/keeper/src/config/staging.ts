import { keeperRecords } from '@malabar/contracts';
import type { Backend, Put, Transaction } from '../backend.js';
import { keys } from '../keys.js';
import type { Blob } from './blobs.js';
import { putsOf } from './contents.js';
import type { Parts } from './parts.js';

/** What an operation takes besides its key and its value, about. */
const OPERATION_BYTES = 64;

type Limits = Pick<Backend, 'operationsMax' | 'bytesMax'>;

/** Whether a transaction is small enough for a backend. */
export function fits(
  limits: Limits,
  { conditions = [], puts = [], deletes = [] }: Transaction,
): boolean {
  const operations = conditions.length + puts.length + deletes.length;
  const written = puts.reduce((bytes, put) => bytes + bytesOf(put), 0);
  const rest = deletes.reduce((bytes, key) => bytes + key.length + OPERATION_BYTES, 0);
  const bytes = written + rest + OPERATION_BYTES * conditions.length;
  return operations <= limits.operationsMax && bytes <= limits.bytesMax;
}

/**
 * Keeps blobs ahead of the transaction that needs them, in as many as the backend wants. Before the
 * first one it notes them as loose: should nothing ever need them, the sweeper takes them away.
 * Returns the keys that the transaction deletes along.
 */
export async function stage(
  parts: Parts,
  domain: string,
  blobs: readonly Blob[],
): Promise<string[]> {
  const loose = loosePut(
    parts,
    domain,
    blobs.map(({ ref }) => ref),
  );
  await parts.backend.commit({ puts: [loose] });
  for (const puts of batches(parts.backend, putsOf(domain, blobs))) {
    await parts.backend.commit({ puts });
  }
  return [loose.key];
}

/** Notes blobs that nothing may need, for the sweeper. */
export function loosePut(
  { audit }: Pick<Parts, 'audit'>,
  domain: string,
  refs: readonly keeperRecords.FileRef[],
): Put {
  const files = refs.map((ref) => ({ ...ref, path: '' }));
  const value = keeperRecords.Manifest.encode({ files, keys: 0 }).finish();
  return { key: keys.loose(domain, audit.stamp()), value };
}

/** In their order, as many at a time as fit into one transaction. */
function batches({ operationsMax, bytesMax }: Limits, puts: readonly Put[]): Put[][] {
  const all: Put[][] = [];
  let batch: Put[] = [];
  let bytes = 0;
  for (const put of puts) {
    if (batch.length === operationsMax || bytes + bytesOf(put) > bytesMax) {
      all.push(batch);
      batch = [];
      bytes = 0;
    }
    batch.push(put);
    bytes += bytesOf(put);
  }
  return [...all, batch];
}

function bytesOf({ key, value }: Put): number {
  return key.length + value.length + OPERATION_BYTES;
}
