import type { keeper, records } from '@malabar/contracts';
import { KeyLines, type KeyWindow } from './key-lines.js';
import { holdKey, laterPrefix, linePrefix } from './keys.js';
import { type Entry, Lane, type LaneScan } from './lane.js';
import type { WriteBuffer } from './write-buffer.js';

export interface KeyedOptions {
  shard: number;
  topic: number;
  /** Entries in the engine: in lines, and those that wait for their time. */
  lined: number;
  later: number;
  writes: WriteBuffer;
  policy(): keeper.KeyPolicy | undefined;
  isLeased(seq: number): boolean;
  isAppended(seq: number): boolean;
  /** Writes an entry of this topic where its record says that it is, or takes it away from there. */
  put(entry: Entry): void;
  erase(entry: Entry): void;
  window?: KeyWindow;
}

/**
 * The deliveries of one topic that have a key: a lane of those whose time has not come, whatever their key,
 * and behind it the lines that they join.
 */
export class Keyed {
  readonly lines: KeyLines;
  readonly #lane: Lane;
  #laterCount: number;

  constructor(private readonly options: KeyedOptions) {
    const { shard, topic, lined, later, isLeased, isAppended } = options;
    this.lines = new KeyLines({ ...options, size: lined });
    this.#lane = new Lane(laterPrefix(shard, topic), isLeased, isAppended);
    this.#laterCount = later;
    if (later === 0) this.#lane.startEmpty(0);
  }

  /** Entries that wait for their time, whether it has come or not. */
  get later(): number {
    return this.#laterCount;
  }

  /** Entries whose time has come, leased ones included. */
  get due(): number {
    return this.lines.size + this.#lane.dueCount;
  }

  get inMemory(): number {
    return this.lines.inMemory + this.#lane.inMemory;
  }

  /** A new entry, as its record says: in its line, or to join that later. */
  added(entry: Entry): void {
    const { lined, holds, key } = entry.record;
    if (lined) {
      this.lines.added(entry);
      return;
    }
    this.#laterCount++;
    this.#lane.insert(entry);
    if (!holds) return;
    this.options.writes.put(this.#holdKey(key), new Uint8Array(0));
    this.lines.hold(key);
  }

  /** An entry that nobody has taken goes. */
  withdraw(entry: Entry): void {
    if (entry.record.lined) this.lines.withdraw(entry);
    else {
      this.#lane.withdraw(entry);
      this.#left(entry);
    }
  }

  /** Nobody may take this entry, that nobody has, until it is let go or erased. */
  hold(entry: Entry): void {
    if (entry.record.lined) this.lines.setAside(entry);
    else this.#lane.withdraw(entry);
  }

  letGo(entry: Entry): void {
    if (entry.record.lined) this.lines.putBack(entry);
    else this.#lane.insert(entry);
  }

  /** A held entry has ended, and its records in the engine are gone already. */
  erased(entry: Entry): void {
    if (entry.record.lined) this.lines.size--;
    else this.#left(entry);
  }

  /** Lets those join their lines whose time has come; returns the reads that this takes. */
  advance(now: number): LaneScan[] {
    const scan = this.#laterCount > 0 ? this.#lane.advance(now) : undefined;
    for (let entry = this.#lane.take(); entry !== undefined; entry = this.#lane.take())
      this.#join(entry);
    const scans = this.lines.advance(now);
    if (scan !== undefined) scans.push(scan);
    return scans;
  }

  /** When the next entry known to memory joins its line, or with `ends` may have to go; Infinity for never. */
  nextAtMs(ends: boolean): number {
    const next = this.#laterCount > 0 ? this.#lane.nextDueAtMs() : undefined;
    return Math.min(next ?? Infinity, ends ? this.lines.nextEndMs : Infinity);
  }

  /** How an entry of this topic is to be written that comes due then. */
  placed(record: records.EntryRecord, now: number): records.EntryRecord {
    const lined = record.dueAtMs <= now;
    const isRetry = record.attempts > record.forgivenAttempts;
    return { ...record, lined, holds: !lined && isRetry && this.options.policy()?.strict === true };
  }

  #join(entry: Entry): void {
    this.#lane.removed(entry);
    this.options.erase(entry);
    this.#left(entry);
    const joined = { seq: entry.seq, record: { ...entry.record, lined: true, holds: false } };
    this.options.put(joined);
    this.lines.added(joined);
  }

  #left({ record: { holds, key } }: Entry): void {
    this.#laterCount--;
    if (!holds) return;
    this.options.writes.delete(this.#holdKey(key));
    this.lines.release(key);
  }

  #holdKey(key: string): string {
    return holdKey(linePrefix(this.options.shard, this.options.topic, key));
  }
}
