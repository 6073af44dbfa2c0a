import { createHash } from 'node:crypto';
import { config, type keeperRecords } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { Put } from '../backend.js';
import { keys } from '../keys.js';

/** Part of a blob: three of them fit into a transaction of etcd's default size. */
const PART_BYTES_MAX = 480 * 1024;

/** A file as it is kept: encoded, named by its hash, in parts. */
export interface Blob {
  ref: keeperRecords.FileRef;
  bytes: Uint8Array;
}

export function toBlob(file: config.ConfigFile): Blob {
  const bytes = config.ConfigFile.encode(file).finish();
  const ref = {
    path: file.path,
    blob: createHash('sha256').update(bytes).digest(),
    chunks: Math.max(1, Math.ceil(bytes.length / PART_BYTES_MAX)),
    keys: file.sections.reduce((sum, { entries }) => sum + entries.length, 0),
  };
  return { ref, bytes };
}

/** What a backend has to keep for a blob. */
export function blobPuts(domain: string, { ref, bytes }: Blob): Put[] {
  return blobKeys(domain, ref).map((key, part) => ({
    key,
    value: bytes.subarray(part * PART_BYTES_MAX, (part + 1) * PART_BYTES_MAX),
  }));
}

export function blobKeys(domain: string, { blob, chunks }: keeperRecords.FileRef): string[] {
  return Array.from({ length: chunks }, (_, part) => keys.blob(domain, blob, part));
}

/** The file of a blob's parts. Throws CORRUPT if they are not what was kept. */
export function fromParts(ref: keeperRecords.FileRef, parts: readonly Uint8Array[]): Blob {
  const bytes = parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
  const hash = createHash('sha256').update(bytes).digest();
  if (!hash.equals(ref.blob)) {
    throw new BusError('CORRUPT', `the kept content of ${ref.path} is damaged`);
  }
  return { ref, bytes };
}
