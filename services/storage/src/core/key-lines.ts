import { type keeper, records } from '@malabar/contracts';
import type { Key } from '../engine.js';
import { after, lineEnd, lineIn, lineName, linePrefix, seqIn, topicPrefix } from './keys.js';
import type { Entry, LaneScan } from './lane.js';
import { LineSweep } from './line-sweep.js';
import type { Page } from './write-buffer.js';

/** What memory holds of the lines of a topic. */
export interface KeyWindow {
  /** Lines. */
  keys: number;
  /** Entries of one line after a read; twice as many make it drop its tail. */
  entries: number;
}

const WINDOW: KeyWindow = { keys: 1024, entries: 32 };
/** Records read in one go on the way through all lines. */
const STRIDE = 128;

/** Deliveries of one key whose time has come, as far as memory holds them. */
interface Line {
  readonly key: string;
  /** The first ones that are not leased, in order. */
  entries: Entry[];
  /** The engine may hold more behind them. */
  more: boolean;
  /** Where to read on if nobody comes up to there that waits; undefined: at its beginning. */
  readFrom: Key | undefined;
  /** Its first one is to be tried again, and the others wait for that. */
  held: boolean;
}

export interface KeyLinesOptions {
  shard: number;
  topic: number;
  /** Entries in the engine, leased ones included. */
  size: number;
  /** Undefined: keys mean nothing (any more). */
  policy(): keeper.KeyPolicy | undefined;
  isLeased(seq: number): boolean;
  isAppended(seq: number): boolean;
  window?: KeyWindow;
}

/**
 * Deliveries that wait in line, a line for each key. Lines take turns, whatever their length: whoever had
 * one goes to the end. The engine holds all of it in the order of the keys; memory holds some lines and the
 * first entries of each. Where there are more lines than that, a line leaves memory with its turn, and a
 * walk through the engine brings the next ones, so that every line is met before one is met again.
 */
export class KeyLines {
  size: number;
  readonly #lines = new Map<string, Line>();
  /** Those of them that have an entry to give, in the order of their turns. */
  readonly #open = new Map<string, Line>();
  /** Leases of each key. */
  readonly #leased = new Map<string, number>();
  /** Lines of which nothing is left in memory, but maybe in the engine. */
  readonly #wanted = new Set<string>();
  /** Where the walk goes on; undefined while there is none. */
  #walkFrom: Key | undefined;
  /** There may be a line that neither memory knows nor this walk will meet: another one is due. */
  #missed = false;
  /** There may be lines that memory does not know, all of which wait for something that will be heard of. */
  #forgotten = false;
  #reading = false;
  #walkTurn = false;
  readonly #sweep: LineSweep;
  readonly #window: KeyWindow;
  readonly #prefix: Key;

  constructor(private readonly options: KeyLinesOptions) {
    const { shard, topic, size, window = WINDOW } = options;
    this.size = size;
    this.#prefix = topicPrefix('G', shard, topic);
    this.#window = window;
    this.#walkFrom = size > 0 ? this.#prefix : undefined;
    this.#sweep = new LineSweep(this.#prefix, size > 0, (seq) => this.#isWaiting(seq));
  }

  /** Whether a line has an entry to give. */
  get takable(): boolean {
    return this.#open.size > 0;
  }

  /** How many entries memory holds. */
  get inMemory(): number {
    let sum = 0;
    for (const { entries } of this.#lines.values()) sum += entries.length;
    return sum;
  }

  /** The first entry of the line whose turn it is; it counts as leased until it ends or is given back. */
  take(): Entry | undefined {
    const [line] = this.#open.values();
    const entry = line?.entries.shift();
    if (line === undefined || entry === undefined) return undefined;
    this.#count(line.key, 1);
    this.#open.delete(line.key);
    // Before the walk is held up: whoever stays has its next turn before those whom it has not met.
    const isCrowded = this.#lines.size >= this.#window.keys / 2;
    const isWalking = this.#walkFrom !== undefined || this.#missed;
    if (isCrowded && isWalking) this.#leave(line);
    else this.#place(line);
    return entry;
  }

  /** A new entry whose time has come. */
  added(entry: Entry): void {
    this.size++;
    this.#insert(entry);
  }

  /** A taken entry is ready again. */
  giveBack(entry: Entry): void {
    this.#count(entry.record.key, -1);
    this.#insert(entry);
    this.#changed(entry.record.key);
  }

  /** A taken entry has ended or moves elsewhere. */
  ended({ record: { key } }: Entry): void {
    this.size--;
    this.#count(key, -1);
    this.#changed(key);
  }

  /** An entry that nobody has taken goes. */
  withdraw(entry: Entry): void {
    this.size--;
    this.setAside(entry);
  }

  /** An entry that nobody has taken does not stand in line until it is put back. */
  setAside({ seq, record: { key } }: Entry): void {
    const line = this.#lines.get(key);
    if (line === undefined) return;
    line.entries = line.entries.filter((one) => one.seq !== seq);
    this.#place(line);
  }

  putBack(entry: Entry): void {
    this.#insert(entry);
  }

  /** Nobody gets anything of a key until `release`. */
  hold(key: string): void {
    const known = this.#lines.get(key);
    if (known === undefined && !this.#hasRoom) {
      this.#forgotten = true;
      return;
    }
    const line = known ?? this.#newLine(key, !this.#isComplete);
    line.held = true;
    this.#place(line);
  }

  release(key: string): void {
    const line = this.#lines.get(key);
    if (line !== undefined) {
      line.held = false;
      this.#place(line);
    } else if (!this.#isComplete) this.#unknown(key);
  }

  /** The policy says something else now. */
  policyChanged(): void {
    if (!this.#isComplete) this.#missed = true;
    for (const line of [...this.#lines.values()]) this.#place(line);
  }

  /** Returns what must be read. */
  advance(now: number): LaneScan[] {
    const scans: LaneScan[] = [];
    // Also of lines that are empty now: what the read before has found counts no more.
    const sweep = this.#sweep.next(now);
    if (sweep !== undefined) scans.push(sweep);
    const scan = this.#reading ? undefined : this.#nextRead();
    if (scan !== undefined) scans.push(scan);
    return scans;
  }

  /** Entries whose end has come, that a read has just found. To be called right behind `advance`. */
  takeEnded(): Entry[] {
    return this.#sweep.take();
  }

  /** When to look for ended entries next; Infinity for never. */
  get nextEndMs(): number {
    return this.size === 0 ? Infinity : this.#sweep.nextMs;
  }

  // --- one line -----------------------------------------------------------------------------------

  #insert(entry: Entry): void {
    const { key, expiresAtMs } = entry.record;
    this.#sweep.expects(expiresAtMs);
    let line = this.#lines.get(key);
    if (line === undefined) {
      if (!this.#isComplete || !this.#hasRoom) {
        this.#unknown(key);
        return;
      }
      line = this.#newLine(key, false);
    }
    const at = line.entries.findIndex((one) => isBefore(entry, one));
    if (at >= 0) line.entries.splice(at, 0, entry);
    else if (!line.more) line.entries.push(entry);
    line.readFrom = undefined;
    if (line.entries.length > 2 * this.#window.entries) {
      line.entries.length = this.#window.entries;
      line.more = true;
    }
    this.#place(line);
  }

  /** Puts a line where it belongs: among those that take turns, among those that are read, or away. */
  #place(line: Line): void {
    const { key, entries, more, held } = line;
    if (entries.length > 0 && !this.#isBlocked(line)) {
      if (!this.#open.has(key)) this.#open.set(key, line);
      return;
    }
    this.#open.delete(key);
    if (entries.length > 0) return;
    if (more) this.#wanted.add(key);
    else if (!held) this.#drop(key);
  }

  /** A line has had its turn and makes room for those that memory does not hold. */
  #leave(line: Line): void {
    const { key, entries, more } = line;
    this.#drop(key);
    // One that is blocked will be heard of again.
    if (this.#isBlocked(line)) this.#forgotten = true;
    else if (more || entries.length > 0) this.#missed = true;
  }

  #drop(key: string): void {
    this.#lines.delete(key);
    this.#open.delete(key);
    this.#wanted.delete(key);
  }

  #isBlocked({ key, held }: Line): boolean {
    const policy = this.options.policy();
    if (policy === undefined) return false;
    return (held && policy.strict) || (this.#leased.get(key) ?? 0) >= policy.concurrency;
  }

  #newLine(key: string, more: boolean): Line {
    const line: Line = { key, entries: [], more, held: false, readFrom: undefined };
    this.#lines.set(key, line);
    return line;
  }

  #count(key: string, by: 1 | -1): void {
    const count = (this.#leased.get(key) ?? 0) + by;
    if (count > 0) this.#leased.set(key, count);
    else this.#leased.delete(key);
  }

  /** One of its leases is over. */
  #changed(key: string): void {
    const line = this.#lines.get(key);
    if (line !== undefined) this.#place(line);
    else if (!this.#isComplete) this.#unknown(key);
  }

  /** A line that memory does not know has something to give, or may have. */
  #unknown(key: string): void {
    if (this.#walkFrom !== undefined || this.#missed || !this.#hasRoom) this.#missed = true;
    else this.#wanted.add(this.#newLine(key, true).key);
  }

  // --- what memory holds --------------------------------------------------------------------------

  /** Every line that the engine holds is in memory, but for lines of which all is leased. */
  get #isComplete(): boolean {
    return this.#walkFrom === undefined && !this.#missed && !this.#forgotten;
  }

  get #hasRoom(): boolean {
    return this.#lines.size < this.#window.keys;
  }

  /** A walk brings nothing more. */
  get #isFull(): boolean {
    return this.#lines.size >= 0.75 * this.#window.keys;
  }

  #isWaiting(seq: number): boolean {
    return this.options.isAppended(seq) && !this.options.isLeased(seq);
  }

  #nextRead(): LaneScan | undefined {
    if (this.#missed && this.#walkFrom === undefined) {
      this.#walkFrom = this.#prefix;
      this.#missed = this.#forgotten = false;
    }
    if (this.#isFull && this.#open.size < this.#window.keys / 4) this.#forgetBlocked();
    const [wanted] = this.#wanted;
    const walkFrom = this.#isFull ? undefined : this.#walkFrom;
    this.#walkTurn = !this.#walkTurn;
    if (walkFrom !== undefined && (this.#walkTurn || wanted === undefined))
      return this.#walk(walkFrom);
    return wanted === undefined ? undefined : this.#readLine(wanted);
  }

  /** Lines that cannot give anything now make room for others. */
  #forgetBlocked(): void {
    if (this.#walkFrom === undefined) return;
    for (const line of [...this.#lines.values()])
      if (this.#isBlocked(line)) {
        this.#drop(line.key);
        this.#forgotten = true;
      }
  }

  #scan(start: Key, end: Key, limit: number, loaded: (page: Page) => void): LaneScan {
    this.#reading = true;
    return {
      range: { start, end, limit },
      failed: () => {
        this.#reading = false;
      },
      loaded: (page) => {
        this.#reading = false;
        loaded(page);
      },
    };
  }

  /** Reads the first of one line that wait. */
  #readLine(key: string): LaneScan {
    const prefix = linePrefix(this.options.shard, this.options.topic, key);
    const limit = this.#window.entries + (this.#leased.get(key) ?? 0) + 1;
    const from = this.#lines.get(key)?.readFrom;
    return this.#scan(from ?? prefix, lineEnd(prefix), limit, (page) => {
      const line = this.#lines.get(key);
      this.#wanted.delete(key);
      if (line === undefined) return;
      // Somebody has come meanwhile who stands before what was read.
      if (line.readFrom !== from) this.#place(line);
      else this.#fill(line, page.records, page.next);
    });
  }

  #walk(from: Key): LaneScan {
    return this.#scan(from, after(this.#prefix), STRIDE, ({ records: found, next }) => {
      const lines = byLine(found);
      const last = [...lines.keys()].pop();
      for (const [prefix, entries] of lines) {
        const key = lineName(prefix);
        if (this.#lines.has(key)) continue;
        if (!this.#hasRoom) {
          this.#walkFrom = prefix;
          return;
        }
        this.#fill(this.#newLine(key, false), entries, prefix === last ? next : undefined);
      }
      // A page may be empty and not the last: what it held has gone since.
      this.#walkFrom = next === undefined || last === undefined ? next : lineEnd(last);
    });
  }

  /** Takes over what was read of a line; `next`: the engine has more of it from there. */
  #fill(line: Line, found: Page['records'], next: Key | undefined): void {
    const entries = found.filter(([key]) => !lineIn(key).isHold).map(readEntry);
    const waiting = entries.filter(({ seq }) => this.#isWaiting(seq));
    if (line.readFrom === undefined) line.held = found.some(([key]) => lineIn(key).isHold);
    line.entries = waiting.slice(0, this.#window.entries);
    line.more = next !== undefined || waiting.length > line.entries.length;
    // Without an end, those who do not wait now would be read for ever.
    line.readFrom = waiting.length === 0 ? next : undefined;
    this.#place(line);
  }
}

/** Whether one entry stands before another in the line of their key. */
function isBefore(one: Entry, other: Entry): boolean {
  const higher = one.record.priority - other.record.priority;
  return higher > 0 || (higher === 0 && one.seq < other.seq);
}

function byLine(found: Page['records']): Map<Key, Page['records']> {
  const lines = new Map<Key, Page['records']>();
  for (const record of found) {
    const { line } = lineIn(record[0]);
    const known = lines.get(line);
    if (known === undefined) lines.set(line, [record]);
    else known.push(record);
  }
  return lines;
}

function readEntry([key, value]: [Key, Uint8Array]): Entry {
  return { seq: seqIn(key), record: records.EntryRecord.decode(value) };
}
