import { Encoder, records } from '@malabar/contracts';
import type { Key } from '../engine.js';
import { dueKey, entryKey, lanePrefix, readU48, u48 } from './keys.js';
import { type Entry, Lane, type LaneScan } from './lane.js';
import { LaneRow } from './lane-row.js';
import { NodeRows } from './node-rows.js';
import type { WriteBuffer } from './write-buffer.js';

export interface LanesOptions {
  shard: number;
  topic: number;
  /** Entries in the engine: waiting, due or leased. */
  size: number;
  /** Those of them that are for one node only, by node. */
  nodes: ReadonlyMap<string, number>;
  writes: WriteBuffer;
  /** Whether a job is part of the log. */
  isAppended(seq: number): boolean;
}

/** When a delivery is not to be begun any more; Infinity for never. */
const expiryOf = ({ expiresAtMs }: records.EntryRecord): number => expiresAtMs || Infinity;

/** The deliveries of one topic that have left the log's order, by priority and due time, on disk and in memory. */
export class Lanes {
  /** Sequence numbers of entries that are leased now. */
  readonly leased = new Set<number>();
  readonly #held = new Set<number>();
  size: number;
  /** Deliveries for whoever asks. */
  readonly #anybody: LaneRow;
  readonly nodes: NodeRows;
  readonly #encoder = new Encoder();

  constructor(private readonly options: LanesOptions) {
    const { size, nodes } = options;
    this.size = size;
    this.#anybody = new LaneRow((priority) => this.#newLane('', priority, expiryOf));
    if (size > 0) this.#anybody.load();
    const newLane = (node: string, priority: number, goneOf: typeof expiryOf): Lane =>
      this.#newLane(node, priority, (record) => Math.min(expiryOf(record), goneOf(record)));
    this.nodes = new NodeRows(newLane, nodes);
  }

  /** Entries whose time has come, leased ones included. */
  get due(): number {
    let { due } = this.#anybody;
    for (const row of this.#nodeRows) due += row.due;
    return due;
  }

  /** How many entries memory holds: a window of each lane. */
  get inMemory(): number {
    let { inMemory } = this.#anybody;
    for (const row of this.#nodeRows) inMemory += row.inMemory;
    return inMemory;
  }

  /** Whether an entry is leased or held. */
  isTaken(seq: number): boolean {
    return this.leased.has(seq) || this.#held.has(seq);
  }

  /** Whether `take` would find something for somebody who may be there. */
  get takable(): boolean {
    return this.#anybody.takable || (this.nodes.size > 0 && this.nodes.takable);
  }

  /**
   * The next entry of a priority whose time has come, for somebody who stands at `node`; it counts as
   * leased until it ends or is given back.
   */
  take(priority: number, node: string): Entry | undefined {
    const own = this.nodes.size === 0 ? undefined : this.nodes.row(node)?.lane(priority);
    const common = this.#anybody.lane(priority);
    const entry = (own !== undefined && isBefore(own.head, common?.head) ? own : common)?.take();
    if (entry !== undefined) this.leased.add(entry.seq);
    return entry;
  }

  /** A taken entry is ready again. */
  giveBack(entry: Entry): void {
    this.leased.delete(entry.seq);
    this.#laneOf(entry)?.insert(entry, true);
  }

  /** A taken entry has ended or moves elsewhere. */
  remove(entry: Entry): void {
    this.leased.delete(entry.seq);
    this.#laneOf(entry)?.removed(entry);
    this.#forget(entry);
  }

  /** Nobody may take this entry, that nobody has, until it is let go or erased. */
  hold(entry: Entry): void {
    this.#held.add(entry.seq);
    this.#laneOf(entry)?.withdraw(entry);
  }

  letGo(entry: Entry): void {
    this.#held.delete(entry.seq);
    this.#laneOf(entry)?.insert(entry);
  }

  /** A held entry has ended, and its records in the engine are gone already. */
  erased(entry: Entry): void {
    this.#held.delete(entry.seq);
    this.#uncount(entry);
  }

  /** The same for an entry that nobody has taken. */
  withdraw(entry: Entry): void {
    this.#laneOf(entry)?.withdraw(entry);
    this.#forget(entry);
  }

  /** A delivery leaves the log's order. */
  add(seq: number, record: records.EntryRecord, now: number): void {
    const { shard, topic, writes } = this.options;
    for (const [key, value] of scheduleWrites(shard, topic, { seq, record }, this.#encoder))
      writes.put(key, value);
    this.added({ seq, record }, now);
  }

  /** The same for an entry whose records are in the engine already. */
  added(entry: Entry, now: number): void {
    const { node } = entry.record;
    this.size++;
    const row = node === '' ? this.#anybody : this.nodes.grow(node, now);
    row.added(entry, now);
  }

  /** Lets time pass; returns the reads that the lanes want. */
  advance(now: number): LaneScan[] {
    const scans: LaneScan[] = [];
    if (this.size === 0) return scans;
    this.#anybody.advance(now, scans);
    for (const row of this.#nodeRows) row.advance(now, scans);
    return scans;
  }

  /** Entries whose end has come before anybody took them; they are still to be removed. */
  takeEnded(now: number): Entry[] {
    const ended: Entry[] = [];
    if (this.size === 0) return ended;
    this.#anybody.takeEnded(now, ended);
    for (const row of this.#nodeRows) row.takeEnded(now, ended);
    return ended;
  }

  /** When the next entry known to memory comes due, or with `ends` has to go. */
  nextAtMs(ends: boolean): number | undefined {
    if (this.size === 0) return undefined;
    let next = this.#anybody.nextAtMs(ends);
    for (const row of this.#nodeRows) next = Math.min(next, row.nextAtMs(ends));
    return next === Infinity ? undefined : next;
  }

  get #nodeRows(): Iterable<LaneRow> {
    return this.nodes.size === 0 ? NONE : this.nodes.rows;
  }

  #laneOf({ record: { node, priority } }: Entry): Lane | undefined {
    return (node === '' ? this.#anybody : this.nodes.row(node))?.lane(priority);
  }

  #forget(entry: Entry): void {
    const { shard, topic, writes } = this.options;
    this.#uncount(entry);
    for (const key of scheduleKeys(shard, topic, entry)) writes.delete(key);
  }

  #uncount({ record: { node } }: Entry): void {
    this.size--;
    if (node !== '') this.nodes.shrink(node);
  }

  #newLane(node: string, priority: number, endOf: typeof expiryOf): Lane {
    const { shard, topic, isAppended } = this.options;
    const isLeased = (seq: number): boolean => this.isTaken(seq);
    return new Lane(lanePrefix(shard, topic, priority, node), isLeased, isAppended, endOf);
  }
}

const NONE: readonly LaneRow[] = [];

/** Whether the first of two lanes has the entry that came due earlier. */
function isBefore(one: Entry | undefined, other: Entry | undefined): boolean {
  if (one === undefined || other === undefined) return one !== undefined;
  const laterMs = one.record.dueAtMs - other.record.dueAtMs;
  return laterMs < 0 || (laterMs === 0 && one.seq < other.seq);
}

/** The two records of a scheduled delivery: by due time (all of it) and by sequence number (where to look). */
export function scheduleWrites(
  shard: number,
  topic: number,
  { seq, record }: Entry,
  encoder: Encoder,
): Array<[key: string, value: Uint8Array]> {
  const { priority, dueAtMs, node } = record;
  const at = Buffer.from(String.fromCharCode(priority) + u48(dueAtMs), 'latin1');
  const where = node === '' ? at : Buffer.concat([at, Buffer.from(node, 'utf8')]);
  const lane = lanePrefix(shard, topic, priority, node);
  return [
    [dueKey(lane, dueAtMs, seq), encoder.encode(records.EntryRecord, record)],
    [entryKey('S', shard, topic, seq), where],
  ];
}

/** Their keys. */
export function scheduleKeys(shard: number, topic: number, { seq, record }: Entry): [Key, Key] {
  const lane = lanePrefix(shard, topic, record.priority, record.node);
  return [dueKey(lane, record.dueAtMs, seq), entryKey('S', shard, topic, seq)];
}

/** Where a scheduled delivery lies, by the record that says it. */
export function dueKeyOf(shard: number, topic: number, seq: number, where: Uint8Array): Key {
  const bytes = Buffer.from(where);
  const dueAtMs = readU48(bytes.toString('latin1', 1, 7), 0);
  const node = bytes.toString('utf8', 7);
  return dueKey(lanePrefix(shard, topic, bytes[0] as number, node), dueAtMs, seq);
}
