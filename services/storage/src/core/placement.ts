import { type Encoder, records } from '@malabar/contracts';
import type { Key } from '../engine.js';
import {
  dueKey,
  entryKey,
  lanePrefix,
  laterPrefix,
  lineKey,
  linePrefix,
  readU48,
  u48,
} from './keys.js';
import type { Entry } from './lane.js';

/** What the first byte of a place says beside the priority. */
const LATER = 0x40;
const LINED = 0x80;
const PRIORITY = 0x0f;

/** One for a single node is not limited by its key: it cannot stand in two lines. */
export const isKeyed = ({ record: { key, node } }: Entry): boolean => key !== '' && node === '';

/** Where an entry lies: in a lane (that of its node, if it has one), or by its key. */
function placeKey(shard: number, topic: number, entry: Entry): Key {
  const { seq, record } = entry;
  const { priority, dueAtMs, node, key, lined } = record;
  if (!isKeyed(entry)) return dueKey(lanePrefix(shard, topic, priority, node), dueAtMs, seq);
  return lined
    ? lineKey(linePrefix(shard, topic, key), priority, seq)
    : dueKey(laterPrefix(shard, topic), dueAtMs, seq);
}

/** The two records of a scheduled delivery: in its place (all of it) and by sequence number (where to look). */
export function scheduleWrites(
  shard: number,
  topic: number,
  entry: Entry,
  encoder: Encoder,
): Array<[key: Key, value: Uint8Array]> {
  const { seq, record } = entry;
  const { priority, dueAtMs, node, key, lined } = record;
  const keyed = isKeyed(entry);
  const kind = keyed ? (lined ? LINED : LATER) : 0;
  const at = Buffer.from(String.fromCharCode(kind | priority) + u48(dueAtMs), 'latin1');
  const name = keyed ? key : node;
  const where = name === '' ? at : Buffer.concat([at, Buffer.from(name, 'utf8')]);
  return [
    [placeKey(shard, topic, entry), encoder.encode(records.EntryRecord, record)],
    [entryKey('S', shard, topic, seq), where],
  ];
}

/** Their keys. */
export const scheduleKeys = (shard: number, topic: number, entry: Entry): [Key, Key] => [
  placeKey(shard, topic, entry),
  entryKey('S', shard, topic, entry.seq),
];

/** Whether a record that says where a delivery lies is still the one that was read before. */
export const isSameRecord = (now: Uint8Array, before: Uint8Array | undefined): boolean =>
  before !== undefined && Buffer.compare(now, before) === 0;

/** Where a scheduled delivery lies, by the record that says it. */
export function placeOf(shard: number, topic: number, seq: number, where: Uint8Array): Key {
  const bytes = Buffer.from(where);
  const first = bytes[0] as number;
  const dueAtMs = readU48(bytes.toString('latin1', 1, 7), 0);
  const name = bytes.toString('utf8', 7);
  const priority = first & PRIORITY;
  if (first & LINED) return lineKey(linePrefix(shard, topic, name), priority, seq);
  const lane = first & LATER ? laterPrefix(shard, topic) : lanePrefix(shard, topic, priority, name);
  return dueKey(lane, dueAtMs, seq);
}
