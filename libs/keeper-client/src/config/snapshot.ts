import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { config } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { replaceFile } from '../replace-file.js';

/** What a node runs, for its next start. */
export interface Snapshot {
  nodeId: string;
  domains: SnapshotDomain[];
}

/** A domain's config and what was asked for when it was sent. */
export interface SnapshotDomain {
  subscriptions: config.Subscription[];
  withoutSecrets: boolean;
  config: config.EffectiveConfig;
}

/** A key of any length and any quality; keep it where others cannot read it. */
export type SnapshotKey = string | Uint8Array;

const MAGIC = 'malabar-snapshot/1';
const HEADER = /^malabar-snapshot\/1 (plain|aes-256-gcm) ([0-9a-f]{64})$/;
const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * The snapshot of a file: undefined if there is none. Throws CORRUPT, with the reason, for one that
 * is damaged or sealed by another key, and never returns half of it.
 */
export async function readSnapshot(path: string, key?: SnapshotKey): Promise<Snapshot | undefined> {
  try {
    return decodeSnapshot(await readFile(path), key);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new BusError('CORRUPT', `snapshot ${path}: ${message}`, { cause: error });
  }
}

/** Replaces the file as a whole: after a crash it is the old one or the new one. */
export async function writeSnapshot(
  path: string,
  snapshot: Snapshot,
  key?: SnapshotKey,
): Promise<void> {
  await replaceFile(path, encodeSnapshot(snapshot, key));
}

/** A line with the SHA-256 of all that follows it, and the snapshot as JSON, sealed if there is a key. */
export function encodeSnapshot(snapshot: Snapshot, key?: SnapshotKey): Buffer {
  const plain = Buffer.from(JSON.stringify(snapshot));
  const body = key === undefined ? plain : seal(plain, key);
  const kind = key === undefined ? 'plain' : 'aes-256-gcm';
  return Buffer.concat([Buffer.from(`${MAGIC} ${kind} ${sha256(body)}\n`), body]);
}

/** What `encodeSnapshot` made. Throws with the reason for anything else. */
export function decodeSnapshot(bytes: Buffer, key?: SnapshotKey): Snapshot {
  const end = bytes.indexOf('\n');
  const [, kind, checksum] = HEADER.exec(bytes.toString('latin1', 0, Math.max(0, end))) ?? [];
  if (kind === undefined) throw new Error('is no snapshot of this version');
  const body = bytes.subarray(end + 1);
  if (sha256(body) !== checksum) throw new Error('is damaged: its checksum does not match');
  if (kind === 'plain') return JSON.parse(body.toString());
  if (key === undefined) throw new Error('is encrypted, and no key is given');
  return JSON.parse(unseal(body, key).toString());
}

function seal(plain: Buffer, key: SnapshotKey): Buffer {
  const salt = randomBytes(SALT_BYTES);
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', deriveKey(key, salt), nonce);
  const sealed = Buffer.concat([cipher.update(plain), cipher.final()]);
  return Buffer.concat([salt, nonce, cipher.getAuthTag(), sealed]);
}

function unseal(body: Buffer, key: SnapshotKey): Buffer {
  const nonceAt = SALT_BYTES;
  const tagAt = nonceAt + NONCE_BYTES;
  const sealedAt = tagAt + TAG_BYTES;
  const derived = deriveKey(key, body.subarray(0, nonceAt));
  const decipher = createDecipheriv('aes-256-gcm', derived, body.subarray(nonceAt, tagAt));
  try {
    decipher.setAuthTag(body.subarray(tagAt, sealedAt));
    return Buffer.concat([decipher.update(body.subarray(sealedAt)), decipher.final()]);
  } catch {
    throw new Error('does not open with this key');
  }
}

function deriveKey(key: SnapshotKey, salt: Uint8Array): Buffer {
  return Buffer.from(hkdfSync('sha256', key, salt, MAGIC, 32));
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
