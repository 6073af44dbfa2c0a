import { records } from '@malabar/contracts';
import { dueKey, entryKey, u48 } from './keys.js';
import { type Entry, Lane, type LaneScan } from './lane.js';
import type { WriteBuffer } from './write-buffer.js';

/** Priorities are 0 to 9. */
export const PRIORITIES = 10;

/** The deliveries of one topic that have left the log's order, by priority and due time, on disk and in memory. */
export class Lanes {
  /** Sequence numbers of entries that are leased now. */
  readonly leased = new Set<number>();
  readonly #lanes: Array<Lane | undefined> = new Array(PRIORITIES).fill(undefined);

  constructor(
    private readonly shard: number,
    private readonly topic: number,
    /** Entries in the engine: waiting, due or leased. */
    public size: number,
    private readonly writes: WriteBuffer,
    private readonly isAppended: (seq: number) => boolean,
  ) {
    if (size > 0) for (let p = 0; p < PRIORITIES; p++) this.#lanes[p] = this.#newLane(p);
  }

  /** Entries whose time has come, leased ones included. */
  get due(): number {
    let due = 0;
    for (const lane of this.#lanes) due += lane?.dueCount ?? 0;
    return due;
  }

  /** Whether `take` would find something. */
  get takable(): boolean {
    return this.#lanes.some((lane) => lane?.takable);
  }

  /** The next entry of a priority whose time has come; it counts as leased until it ends or is given back. */
  take(priority: number): Entry | undefined {
    const entry = this.#lanes[priority]?.take();
    if (entry !== undefined) this.leased.add(entry.seq);
    return entry;
  }

  /** A taken entry is ready again. */
  giveBack(entry: Entry): void {
    this.leased.delete(entry.seq);
    this.#lanes[entry.record.priority]?.insert(entry, true);
  }

  /** A taken entry has ended or moves elsewhere. */
  remove(entry: Entry): void {
    const { priority, dueAtMs } = entry.record;
    this.leased.delete(entry.seq);
    this.#lanes[priority]?.removed(entry);
    this.size--;
    this.writes.delete(dueKey(this.shard, this.topic, priority, dueAtMs, entry.seq));
    this.writes.delete(entryKey('S', this.shard, this.topic, entry.seq));
  }

  /** A delivery leaves the log's order. */
  add(seq: number, record: records.EntryRecord, now: number): void {
    for (const [key, value] of scheduleWrites(this.shard, this.topic, seq, record))
      this.writes.put(key, value);
    this.added({ seq, record }, now);
  }

  /** The same for an entry whose records are in the engine already. */
  added(entry: Entry, now: number): void {
    this.size++;
    this.#lane(entry.record.priority, now).insert(entry);
  }

  /** Lets time pass; returns the reads that the lanes want. */
  advance(now: number): LaneScan[] {
    const scans: LaneScan[] = [];
    if (this.size === 0) return scans;
    for (const lane of this.#lanes) {
      const scan = lane?.advance(now);
      if (scan) scans.push(scan);
    }
    return scans;
  }

  /** When the next entry known to memory comes due. */
  nextDueAtMs(): number | undefined {
    let next: number | undefined;
    if (this.size === 0) return next;
    for (const lane of this.#lanes) {
      const due = lane?.nextDueAtMs();
      if (due !== undefined && (next === undefined || due < next)) next = due;
    }
    return next;
  }

  #lane(priority: number, now: number): Lane {
    const known = this.#lanes[priority];
    if (known) return known;
    const lane = this.#newLane(priority);
    lane.startEmpty(now);
    this.#lanes[priority] = lane;
    return lane;
  }

  #newLane(priority: number): Lane {
    const isLeased = (seq: number): boolean => this.leased.has(seq);
    return new Lane(this.shard, this.topic, priority, isLeased, this.isAppended);
  }
}

/** The two records of a scheduled delivery: by due time (all of it) and by sequence number (where to look). */
export function scheduleWrites(
  shard: number,
  topic: number,
  seq: number,
  record: records.EntryRecord,
): Array<[key: string, value: Uint8Array]> {
  const { priority, dueAtMs } = record;
  const where = Buffer.from(String.fromCharCode(priority) + u48(dueAtMs), 'latin1');
  return [
    [dueKey(shard, topic, priority, dueAtMs, seq), records.EntryRecord.encode(record).finish()],
    [entryKey('S', shard, topic, seq), where],
  ];
}
