import { crc32 } from 'node:zlib';
import { BusError } from '@malabar/core';

/** Bytes that a seal adds behind a value. */
export const SEAL_BYTES = 4;

/** The most that the scratch memory keeps between two values. */
const KEPT_BYTES_MAX = 4 * 1024 * 1024;

export interface Sealer {
  /** The value with a CRC-32 of key and value behind it, valid until the next call. */
  seal(key: Buffer, value: Uint8Array): Buffer;
}

/**
 * LMDB trusts its pages: a bit that flips on the disk would be read as if it had been written. So every
 * value carries a checksum, and the key is in it: a value under the wrong key is damage too.
 */
export function createSealer(): Sealer {
  let scratch = Buffer.allocUnsafeSlow(64 * 1024);
  return {
    seal(key, value) {
      const size = value.length + SEAL_BYTES;
      if (size > scratch.length) {
        const bytes = Buffer.allocUnsafeSlow(Math.max(size, KEPT_BYTES_MAX));
        if (size > KEPT_BYTES_MAX) return write(bytes, key, value);
        scratch = bytes;
      }
      return write(scratch, key, value);
    },
  };
}

function write(target: Buffer, key: Buffer, value: Uint8Array): Buffer {
  target.set(value, 0);
  target.writeUInt32LE(checksum(key, value), value.length);
  return target.subarray(0, value.length + SEAL_BYTES);
}

/** The value without its seal, sharing memory. Throws CORRUPT, naming `what()`, if it is not what was written. */
export function unseal(key: Buffer, sealed: Buffer, what: () => string): Buffer {
  const size = sealed.length - SEAL_BYTES;
  const value = sealed.subarray(0, Math.max(0, size));
  if (size < 0 || sealed.readUInt32LE(size) !== checksum(key, value))
    throw new BusError('CORRUPT', `${what()} is damaged: its checksum does not match`);
  return value;
}

const checksum = (key: Buffer, value: Uint8Array): number => crc32(value, crc32(key));
