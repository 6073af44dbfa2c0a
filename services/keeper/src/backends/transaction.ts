import { BusError } from '@malabar/core';
import type { Backend, Transaction } from '../backend.js';

/** The longest key, in bytes; what LMDB takes less what lies before the key in an index. */
const KEY_BYTES_MAX = 1500;
/** What an operation takes besides its key and its value, about. */
const OPERATION_BYTES = 64;

type Limits = Pick<Backend, 'operationsMax' | 'bytesMax'>;

/** Throws TOO_LARGE past a backend's limits, INVALID for a transaction that contradicts itself. */
export function checkTransaction(transaction: Transaction, limits: Limits): void {
  const { conditions = [], puts = [], deletes = [] } = transaction;
  const operations = conditions.length + puts.length + deletes.length;
  if (operations > limits.operationsMax)
    throw tooLarge(`${operations} operations`, `${limits.operationsMax}`);
  const written = [...puts.map(({ key }) => key), ...deletes];
  checkKeys(written);
  checkKeys(conditions.map(({ key }) => key));
  let bytes = operations * OPERATION_BYTES;
  for (const key of written) bytes += key.length;
  for (const { value } of puts) bytes += value.length;
  if (bytes > limits.bytesMax) throw tooLarge(`${bytes} bytes`, `${limits.bytesMax} bytes`);
}

function checkKeys(keys: readonly string[]): void {
  if (new Set(keys).size < keys.length)
    throw new BusError('INVALID', 'a transaction names a key twice');
  for (const key of keys) {
    if (key === '') throw new BusError('INVALID', 'a key cannot be empty');
    if (Buffer.byteLength(key) > KEY_BYTES_MAX)
      throw new BusError('TOO_LARGE', `a key has more than ${KEY_BYTES_MAX} bytes`);
  }
}

const tooLarge = (size: string, limit: string): BusError =>
  new BusError('TOO_LARGE', `a transaction of ${size} is more than the ${limit} that it may have`);
