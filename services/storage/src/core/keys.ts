import type { Key } from '../engine.js';

/**
 * The key layout. Every key is a letter, then big-endian numbers, so that the byte order of keys is
 * the order in which the core wants to read them.
 *
 *   M                                   the store itself (kept by the engine's owner)
 *   Q shard                             ShardRecord
 *   T shard topic                       TopicRecord
 *   S shard topic seq                   EntryRecord of a scheduled delivery
 *   L shard topic priority due seq      (empty) the order in which scheduled deliveries come due
 *   N shard topic node priority due seq the same for scheduled deliveries that are for one node only
 *   H shard topic due seq               the same for scheduled deliveries that have a key and are not due
 *   G shard topic key 1 priority seq    EntryRecord of a delivery in the line of its key
 *   G shard topic key 0                 (empty) the line waits for a retry of its first
 *   D shard topic seq                   EntryRecord of a dead delivery
 *   X shard topic seq                   EntryRecord of a discarded delivery
 *   A shard topic seq attempt           AttemptRecord
 *   K shard idempotency-key             KeyRecord
 *   E shard expiry idempotency-key      (empty) the order in which idempotency keys expire
 *   J shard seq                         LogRecord of one job that outlived its log record
 *   B batch                             BatchRecord of one that has not ended
 *   C batch                             BatchRecord of one that has
 */

export const u16 = (value: number): string => String.fromCharCode((value >> 8) & 255, value & 255);

/** Six bytes: enough for sequence numbers and milliseconds. */
export function u48(value: number): string {
  const high = Math.floor(value / 2 ** 32);
  return String.fromCharCode(
    (high >> 8) & 255,
    high & 255,
    (value >>> 24) & 255,
    (value >>> 16) & 255,
    (value >>> 8) & 255,
    value & 255,
  );
}

export function readU48(key: Key, at: number): number {
  let value = 0;
  for (let i = at; i < at + 6; i++) value = value * 256 + key.charCodeAt(i);
  return value;
}

export const readU16 = (key: Key, at: number): number =>
  key.charCodeAt(at) * 256 + key.charCodeAt(at + 1);

/** Text of any language as the bytes of its UTF-8. */
const utf8 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

/** What comes behind every key that begins with `prefix`. */
export const after = (prefix: Key): Key => `${prefix}\xff\xff\xff\xff\xff\xff\xff\xff`;

export const SEQ_MAX = 2 ** 48 - 1;
/** The last time that keys put in order; later ones become it. */
export const TIME_MAX_MS = 2 ** 48 - 2;

export const storeKey = (): Key => 'M';
export const shardKey = (shard: number): Key => `Q${u16(shard)}`;
export const topicKey = (shard: number, topic: number): Key => `T${u16(shard)}${u16(topic)}`;
export const topicPrefix = (letter: string, shard: number, topic: number): Key =>
  letter + u16(shard) + u16(topic);
export const entryKey = (letter: EntryLetter, shard: number, topic: number, seq: number): Key =>
  topicPrefix(letter, shard, topic) + u48(seq);

/** Scheduled, dead and discarded deliveries. */
export type EntryLetter = 'S' | 'D' | 'X';

/** Where the sequence number lies in a key of S, D, X and A. */
export const ENTRY_SEQ_AT = 5;

/** Where all deliveries lie that are for this node only. */
export function nodePrefix(shard: number, topic: number, node: string): Key {
  const name = utf8(node);
  return topicPrefix('N', shard, topic) + u16(name.length) + name;
}

/** The node of a key behind `nodePrefix`. */
export function nodeIn(key: Key): string {
  const name = key.slice(NODE_AT + 2, NODE_AT + 2 + readU16(key, NODE_AT));
  return Buffer.from(name, 'latin1').toString('utf8');
}
const NODE_AT = 5;

/** Priorities 0 to 9; a higher one sorts first. `node`: the one that the lane is for, empty for any. */
export const lanePrefix = (shard: number, topic: number, priority: number, node = ''): Key =>
  (node === '' ? topicPrefix('L', shard, topic) : nodePrefix(shard, topic, node)) +
  String.fromCharCode(9 - priority);
/** `lane` is the prefix of one. */
export const dueKey = (lane: Key, dueAtMs: number, seq: number): Key =>
  lane + u48(dueAtMs) + u48(seq);
/** What a key of any lane ends with. */
export const dueIn = (key: Key): number => readU48(key, key.length - 12);
export const seqIn = (key: Key): number => readU48(key, key.length - 6);

/** Where deliveries with a key wait for their time. */
export const laterPrefix = (shard: number, topic: number): Key => topicPrefix('H', shard, topic);

/** Where the line of a key lies, behind the prefix of all lines; higher priorities first, then older jobs. */
export function linePrefix(shard: number, topic: number, key: string): Key {
  const name = utf8(key);
  return topicPrefix('G', shard, topic) + u16(name.length) + name;
}
/** What sorts before all entries of a line. */
export const holdKey = (line: Key): Key => `${line}\0`;
export const lineKey = (line: Key, priority: number, seq: number): Key =>
  `${line}\x01${String.fromCharCode(9 - priority)}${u48(seq)}`;
/** Behind everything of a line. */
export const lineEnd = (line: Key): Key => `${line}\x02`;

/** The line that a record behind `linePrefix` belongs to, and whether it is the one of `holdKey`. */
export function lineIn(key: Key): { line: Key; isHold: boolean } {
  const line = key.slice(0, LINE_AT + 2 + readU16(key, LINE_AT));
  return { line, isHold: key.length === line.length + 1 };
}
/** The key that a line is for. */
export const lineName = (line: Key): string =>
  Buffer.from(line.slice(LINE_AT + 2), 'latin1').toString('utf8');
const LINE_AT = 5;

export const attemptPrefix = (shard: number, topic: number, seq: number): Key =>
  topicPrefix('A', shard, topic) + u48(seq);
export const attemptKey = (shard: number, topic: number, seq: number, attempt: number): Key =>
  attemptPrefix(shard, topic, seq) + u48(attempt);

export const idempotencyKey = (shard: number, key: string): Key => `K${u16(shard)}${utf8(key)}`;
export const expiryKey = (shard: number, expiresAtMs: number, key: string): Key =>
  `E${u16(shard)}${u48(expiresAtMs)}${utf8(key)}`;
export const EXPIRY_NAME_AT = 9;

export const survivorKey = (shard: number, seq: number): Key => `J${u16(shard)}${u48(seq)}`;
export const SURVIVOR_SEQ_AT = 3;

/** `id`: of a batch; ids are in the order of opening. */
export const batchKey = (id: string): Key => `B${id}`;
export const endedBatchKey = (id: string): Key => `C${id}`;
