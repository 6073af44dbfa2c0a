import { Encoder, type keeper, type records } from '@malabar/contracts';
import type { KeyWindow } from './key-lines.js';
import { Keyed } from './keyed.js';
import { lanePrefix } from './keys.js';
import { type Entry, Lane, type LaneScan } from './lane.js';
import { LaneRow } from './lane-row.js';
import { NodeRows } from './node-rows.js';
import { isKeyed, scheduleKeys, scheduleWrites } from './placement.js';
import type { WriteBuffer } from './write-buffer.js';

export interface LanesOptions {
  shard: number;
  topic: number;
  /** Entries in the engine: waiting, due or leased. */
  size: number;
  /** Those of them that are for one node only, by node. */
  nodes: ReadonlyMap<string, number>;
  /** Those of them that have a key: in its line, and not yet. */
  lined: number;
  later: number;
  writes: WriteBuffer;
  /** What keys mean to the topic now. */
  policy(): keeper.KeyPolicy | undefined;
  keyWindow?: KeyWindow;
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
  /** Undefined until a delivery has a key. */
  #keyed: Keyed | undefined;
  readonly #encoder = new Encoder();

  constructor(private readonly options: LanesOptions) {
    const { size, nodes } = options;
    this.size = size;
    this.#anybody = new LaneRow((priority) => this.#newLane('', priority, expiryOf));
    if (size > 0) this.#anybody.load();
    const newLane = (node: string, priority: number, goneOf: typeof expiryOf): Lane =>
      this.#newLane(node, priority, (record) => Math.min(expiryOf(record), goneOf(record)));
    this.nodes = new NodeRows(newLane, nodes);
    if (options.lined + options.later > 0) this.#keyed = this.#newKeyed(options);
  }

  /** Entries whose time has come, leased ones included. */
  get due(): number {
    let { due } = this.#anybody;
    for (const row of this.#nodeRows) due += row.due;
    return this.#keyed === undefined ? due : due + this.#keyed.due;
  }

  /** How many entries memory holds: a window of each lane. */
  get inMemory(): number {
    let { inMemory } = this.#anybody;
    for (const row of this.#nodeRows) inMemory += row.inMemory;
    return inMemory + (this.#keyed?.inMemory ?? 0);
  }

  /** Whether an entry is leased or held. */
  isTaken(seq: number): boolean {
    return this.leased.has(seq) || this.#held.has(seq);
  }

  /** Whether `take` would find something for somebody who may be there. */
  get takable(): boolean {
    if (this.#anybody.takable || (this.nodes.size > 0 && this.nodes.takable)) return true;
    return this.#keyed?.lines.takable === true;
  }

  /** Of the entries in the engine, those in the lines of their keys and those that join them later. */
  get lined(): number {
    return this.#keyed?.lines.size ?? 0;
  }
  get later(): number {
    return this.#keyed?.later ?? 0;
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

  /** The next entry with a key, of the line whose turn it is; it counts as leased as well. */
  takeOfKey(): Entry | undefined {
    const entry = this.#keyed?.lines.take();
    if (entry !== undefined) this.leased.add(entry.seq);
    return entry;
  }

  /** A taken entry is ready again. */
  giveBack(entry: Entry): void {
    this.leased.delete(entry.seq);
    if (isKeyed(entry)) this.#keyed?.lines.giveBack(entry);
    else this.#laneOf(entry)?.insert(entry, true);
  }

  /** An entry that is out of its lane, taken or not, has ended or moves elsewhere. */
  remove(entry: Entry): void {
    const wasLeased = this.leased.delete(entry.seq);
    if (!isKeyed(entry)) this.#laneOf(entry)?.removed(entry);
    else if (wasLeased) this.#keyed?.lines.ended(entry);
    else this.#keyed?.withdraw(entry);
    this.#forget(entry);
  }

  /** Nobody may take this entry, that nobody has, until it is let go or erased. */
  hold(entry: Entry): void {
    this.#held.add(entry.seq);
    if (isKeyed(entry)) this.#keyed?.hold(entry);
    else this.#laneOf(entry)?.withdraw(entry);
  }

  letGo(entry: Entry): void {
    this.#held.delete(entry.seq);
    if (isKeyed(entry)) this.#keyed?.letGo(entry);
    else this.#laneOf(entry)?.insert(entry);
  }

  /** A held entry has ended, and its records in the engine are gone already. */
  erased(entry: Entry): void {
    this.#held.delete(entry.seq);
    if (isKeyed(entry)) this.#keyed?.erased(entry);
    this.#uncount(entry);
  }

  /** The same for an entry that nobody has taken. */
  withdraw(entry: Entry): void {
    if (isKeyed(entry)) this.#keyed?.withdraw(entry);
    else this.#laneOf(entry)?.withdraw(entry);
    this.#forget(entry);
  }

  /** A delivery leaves the log's order. */
  add(seq: number, wish: records.EntryRecord, now: number): void {
    const record = isKeyed({ seq, record: wish }) ? this.#keys.placed(wish, now) : wish;
    this.#put({ seq, record });
    this.added({ seq, record }, now);
  }

  /** The same for an entry whose records are in the engine already. */
  added(entry: Entry, now: number): void {
    const { node } = entry.record;
    this.size++;
    if (isKeyed(entry)) this.#keys.added(entry);
    else (node === '' ? this.#anybody : this.nodes.grow(node, now)).added(entry, now);
  }

  /** Lets time pass; returns the reads that the lanes want. */
  advance(now: number): LaneScan[] {
    const scans: LaneScan[] = [];
    if (this.size === 0) return scans;
    this.#anybody.advance(now, scans);
    for (const row of this.#nodeRows) row.advance(now, scans);
    if (this.#keyed !== undefined) scans.push(...this.#keyed.advance(now));
    return scans;
  }

  /** Entries whose end has come before anybody took them; they are still to be removed. */
  takeEnded(now: number): Entry[] {
    const ended: Entry[] = [];
    if (this.size === 0) return ended;
    this.#anybody.takeEnded(now, ended);
    for (const row of this.#nodeRows) row.takeEnded(now, ended);
    if (this.#keyed !== undefined) ended.push(...this.#keyed.lines.takeEnded());
    return ended;
  }

  /** When the next entry known to memory comes due, or with `ends` has to go. */
  nextAtMs(ends: boolean): number | undefined {
    if (this.size === 0) return undefined;
    let next = this.#anybody.nextAtMs(ends);
    for (const row of this.#nodeRows) next = Math.min(next, row.nextAtMs(ends));
    if (this.#keyed !== undefined) next = Math.min(next, this.#keyed.nextAtMs(ends));
    return next === Infinity ? undefined : next;
  }

  get #nodeRows(): Iterable<LaneRow> {
    return this.nodes.size === 0 ? NONE : this.nodes.rows;
  }

  #laneOf({ record: { node, priority } }: Entry): Lane | undefined {
    return (node === '' ? this.#anybody : this.nodes.row(node))?.lane(priority);
  }

  /** Keys mean something else to the topic now. */
  policyChanged(): void {
    this.#keyed?.lines.policyChanged();
  }

  get #keys(): Keyed {
    this.#keyed ??= this.#newKeyed({ lined: 0, later: 0 });
    return this.#keyed;
  }

  #put(entry: Entry): void {
    const { shard, topic, writes } = this.options;
    for (const [key, value] of scheduleWrites(shard, topic, entry, this.#encoder))
      writes.put(key, value);
  }

  #erase(entry: Entry): void {
    const { shard, topic, writes } = this.options;
    for (const key of scheduleKeys(shard, topic, entry)) writes.delete(key);
  }

  #forget(entry: Entry): void {
    this.#uncount(entry);
    this.#erase(entry);
  }

  #uncount({ record: { node } }: Entry): void {
    this.size--;
    if (node !== '') this.nodes.shrink(node);
  }

  #newKeyed({ lined, later }: { lined: number; later: number }): Keyed {
    return new Keyed({
      ...this.options,
      lined,
      later,
      isLeased: (seq) => this.isTaken(seq),
      put: (entry) => this.#put(entry),
      erase: (entry) => this.#erase(entry),
      window: this.options.keyWindow,
    });
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
