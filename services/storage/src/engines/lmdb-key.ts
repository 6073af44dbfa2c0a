import { SEQ_MAX } from '../core/keys.js';

/** The log's keys: shard and first sequence number, big-endian, so that byte order is reading order. */

const BYTES = 10;

/** Beyond the last possible sequence number it is the key of the last. */
export function logKey(shard: number, seq: number): Buffer {
  const key = Buffer.allocUnsafe(BYTES);
  key.writeUInt32BE(shard, 0);
  key.writeUIntBE(Math.min(seq, SEQ_MAX), 4, 6);
  return key;
}

export function readLogKey(key: Buffer): { shard: number; firstSeq: number } {
  return { shard: key.readUInt32BE(0), firstSeq: key.readUIntBE(4, 6) };
}
