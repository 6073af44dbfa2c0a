import type { Entry } from '../backend.js';

const HEADER = 7;

/** What lies under a key of the tree `entries`. */
export interface Stored {
  revision: number;
  /** Empty without one. */
  leaseId: string;
  value: Buffer;
}

/** Revision (6 bytes), length of the lease's id (1), the id, the value. */
export function encodeStored({ revision, leaseId, value }: Stored): Buffer {
  const header = Buffer.allocUnsafe(HEADER);
  header.writeUIntBE(revision, 0, 6);
  header.writeUInt8(leaseId.length, 6);
  return Buffer.concat([header, Buffer.from(leaseId, 'latin1'), value]);
}

export function decodeStored(bytes: Buffer): Stored {
  const end = HEADER + bytes.readUInt8(6);
  return {
    revision: bytes.readUIntBE(0, 6),
    leaseId: bytes.toString('latin1', HEADER, end),
    value: bytes.subarray(end),
  };
}

export function decodeEntry(key: Buffer, bytes: Buffer): Entry {
  const { revision, value } = decodeStored(bytes);
  return { key: key.toString(), value, revision };
}

/** The first key behind all that begin with `prefix`. */
export function endOfPrefix(prefix: Buffer): Buffer {
  let length = prefix.length;
  while (length > 0 && prefix[length - 1] === 0xff) length--;
  if (length === 0) return Buffer.alloc(1, 0xff);
  const end = Buffer.from(prefix.subarray(0, length));
  end[length - 1] = (end[length - 1] as number) + 1;
  return end;
}
