import { records } from '@malabar/contracts';
import type { Key, KeyRange } from '../engine.js';
import { after, dueIn, dueKey, SEQ_MAX, seqIn, u48 } from './keys.js';
import type { Page } from './write-buffer.js';

/** A delivery that has left the log's order: delayed, to be retried, or of a higher priority. */
export interface Entry {
  seq: number;
  record: records.EntryRecord;
}

/** Entries that a lane holds in memory after a load; twice as many make it drop its tail. */
const WINDOW = 1024;
const COUNT_LIMIT = 8192;
/** Entries behind the window that are looked at in one go, for those that have ended. */
const SWEEP = 256;
/** How often a lane is looked through for what has ended, and counted beyond its window. */
const LOOK_MS = 250;

/** A point in a lane's order. */
interface Mark {
  dueAtMs: number;
  seq: number;
}

const before = (a: Mark, b: Mark): boolean =>
  a.dueAtMs < b.dueAtMs || (a.dueAtMs === b.dueAtMs && a.seq < b.seq);
const markOf = (entry: Entry): Mark => ({ dueAtMs: entry.record.dueAtMs, seq: entry.seq });

/** What a lane wants to read from the engine; exactly one of `loaded` and `failed` takes the answer. */
export interface LaneScan {
  range: KeyRange;
  loaded(page: Page, now: number): void;
  failed(): void;
}

/**
 * The entries of one topic and priority in the order in which they come due. The engine holds them
 * all; memory holds the first ones (the window) and a count of those whose time has come.
 */
export class Lane {
  /** Every entry up to the horizon that is not leased, in order. */
  #window: Entry[] = [];
  /** Undefined: the window reaches the end of the lane. */
  #horizon: Mark | undefined = { dueAtMs: -1, seq: -1 };
  /** Entries up to here are in `dueCount`. Never ahead of the clock. */
  #counted: Mark = { dueAtMs: -1, seq: -1 };
  #scanning = false;
  /** Nothing in the window ends before. */
  #endMs = Infinity;
  #lookedAtMs = -Infinity;
  /** Due entries behind the window are looked at up to here; undefined: from the horizon on. */
  #sweptTo: Mark | undefined;
  #sweptAtMs = -Infinity;
  /** What the last read has found ended behind the window: true only in the moment of that read. */
  #sweptOut: Entry[] = [];
  #justSwept = false;
  /** Entries whose time has come, leased ones included. */
  dueCount = 0;

  constructor(
    private readonly prefix: Key,
    /** Whether an entry is leased or held. */
    private readonly isLeased: (seq: number) => boolean,
    /** Whether the job is part of the log: a read may see the entries of an append before it counts. */
    private readonly isAppended: (seq: number) => boolean,
    /** When an entry is not to be delivered any more; Infinity for never. */
    private readonly endOf: (record: records.EntryRecord) => number = () => Infinity,
  ) {}

  /** A lane that is known to be empty needs no first read. */
  startEmpty(now: number): void {
    this.#horizon = undefined;
    this.#counted = { dueAtMs: now, seq: SEQ_MAX };
  }

  /** A new entry, or one whose lease was given back (`again`). */
  insert(entry: Entry, again = false): void {
    const mark = markOf(entry);
    if (!again && !before(this.#counted, mark)) this.dueCount++;
    if (this.#horizon !== undefined && before(this.#horizon, mark)) return;
    this.#window.splice(this.#position(mark), 0, entry);
    this.#endMs = Math.min(this.#endMs, this.endOf(entry.record));
    if (this.#window.length > 2 * WINDOW) this.#truncate();
  }

  /** An entry that was taken has ended or moved. */
  removed(entry: Entry): void {
    if (!before(this.#counted, markOf(entry))) this.dueCount--;
  }

  /** An entry that nobody has taken goes. */
  withdraw(entry: Entry): void {
    const at = this.#position(markOf(entry));
    if (this.#window[at]?.seq === entry.seq) this.#window.splice(at, 1);
    this.removed(entry);
  }

  /** The next entry whose time has come; it leaves the window until it is inserted again. */
  take(): Entry | undefined {
    const { head } = this;
    if (head !== undefined) this.#window.shift();
    return head;
  }

  /** What `take` would take. */
  get head(): Entry | undefined {
    const entry = this.#window[0];
    return entry === undefined || before(this.#counted, markOf(entry)) ? undefined : entry;
  }

  /** How many entries memory holds of the lane. */
  get inMemory(): number {
    return this.#window.length;
  }

  /** When the next entry that waits in memory comes due; undefined if none does. */
  nextDueAtMs(): number | undefined {
    if (this.#window.length === 0) return undefined;
    const next = this.#window[this.#countedEnd()];
    if (next !== undefined) return next.record.dueAtMs;
    const [from, behind] = [this.#counted.dueAtMs, this.#horizon?.dueAtMs];
    // All of the window is due and nobody takes it: what comes due behind it is counted now and then.
    return behind !== undefined && behind <= from ? from + LOOK_MS : behind;
  }

  /** When to look for ended entries next; undefined if none in memory ends. */
  nextEndMs(): number | undefined {
    return this.#endMs === Infinity ? undefined : Math.max(this.#endMs, this.#lookedAtMs + LOOK_MS);
  }

  /** `endOf` says something else now. */
  endsChanged(): void {
    this.#endMs = -Infinity;
  }

  /**
   * Takes entries that came due and have ended: those of the window, and what a read behind it has
   * found. To be called right behind `advance`.
   */
  takeEnded(now: number): Entry[] {
    const sweptOut = this.#sweptOut;
    this.#sweptOut = [];
    if (now < (this.nextEndMs() ?? Infinity)) return sweptOut;
    this.#lookedAtMs = now;
    this.#endMs = Infinity;
    const countedEnd = this.#countedEnd();
    const hasEnded = (entry: Entry, at: number): boolean => {
      const endMs = Math.max(this.endOf(entry.record), entry.record.dueAtMs);
      if (endMs <= now && at < countedEnd) return true;
      this.#endMs = Math.min(this.#endMs, endMs);
      return false;
    };
    const ended = new Set(this.#window.filter(hasEnded));
    if (ended.size > 0) this.#window = this.#window.filter((entry) => !ended.has(entry));
    return [...ended, ...sweptOut];
  }

  /** Index of the first window entry that is not counted as due. */
  #countedEnd(): number {
    return this.#position({ ...this.#counted, seq: this.#counted.seq + 1 });
  }

  /**
   * Counts what has come due by `now`, as far as memory knows; returns what must be read, if anything.
   * To be called at once when a read was loaded.
   */
  advance(now: number): LaneScan | undefined {
    if (!this.#justSwept) this.#sweptOut = [];
    this.#justSwept = false;
    if (this.#scanning) return undefined;
    const horizon = this.#horizon;
    if (horizon === undefined || horizon.dueAtMs > now) this.#countWindow(now);
    else if (this.#counted.dueAtMs < now) return this.#countScan(now);
    if (horizon === undefined) return undefined;
    if (this.#window.length < WINDOW / 4) return this.#windowScan();
    const isBacklog = before(horizon, this.#counted) && now >= this.#sweptAtMs + LOOK_MS;
    return isBacklog ? this.#sweepScan(horizon, now) : undefined;
  }

  #countWindow(now: number): void {
    const to = { dueAtMs: now, seq: SEQ_MAX };
    if (!before(this.#counted, to)) return;
    this.dueCount += this.#position(to) - this.#countedEnd();
    this.#counted = to;
  }

  #countScan(now: number): LaneScan {
    this.#scanning = true;
    const start = this.#behind(this.#counted);
    const end = this.prefix + u48(now + 1);
    return {
      range: { start, end, limit: COUNT_LIMIT },
      failed: () => this.#endScan(),
      loaded: (page) => {
        this.#endScan();
        // What is leased was counted before, and what is held counts when it is given back.
        const isDue = (seq: number): boolean => this.isAppended(seq) && !this.isLeased(seq);
        for (const [key] of page.records) if (isDue(seqIn(key))) this.dueCount++;
        this.#counted =
          page.next === undefined ? { dueAtMs: now, seq: SEQ_MAX } : lastMark(page.next);
      },
    };
  }

  #windowScan(): LaneScan {
    this.#scanning = true;
    const horizon = this.#horizon as Mark;
    const start = this.#behind(horizon);
    return {
      range: { start, end: after(this.prefix), limit: WINDOW },
      failed: () => this.#endScan(),
      loaded: (page) => {
        this.#endScan();
        // The window was cut meanwhile: the page does not join on to it any more.
        if (this.#horizon !== horizon) return;
        const entries = page.records.map(([key, value]) => readEntry(key, value));
        // What was inserted meanwhile up to the old horizon is in the window; all behind it comes from the page.
        this.#window.push(
          ...entries.filter(({ seq }) => this.isAppended(seq) && !this.isLeased(seq)),
        );
        this.#horizon = page.next === undefined ? undefined : lastMark(page.next);
        this.endsChanged();
      },
    };
  }

  /** Entries that are due behind the window end as well, however long nobody takes those before them. */
  #sweepScan(horizon: Mark, now: number): LaneScan {
    this.#scanning = true;
    this.#sweptAtMs = now;
    const from = this.#sweptTo;
    const start = this.#behind(from !== undefined && before(horizon, from) ? from : horizon);
    return {
      range: { start, end: this.#behind(this.#counted), limit: SWEEP },
      failed: () => this.#endScan(),
      loaded: (page, loadedAtMs) => {
        this.#endScan();
        this.#sweptTo = page.next === undefined ? undefined : lastMark(page.next);
        const current = this.#horizon;
        this.#justSwept = true;
        this.#sweptOut = page.records
          .map(([key, value]) => readEntry(key, value))
          .filter((entry) => {
            const isBehind = current !== undefined && before(current, markOf(entry));
            const isWaiting = this.isAppended(entry.seq) && !this.isLeased(entry.seq);
            return isBehind && isWaiting && this.endOf(entry.record) <= loadedAtMs;
          });
      },
    };
  }

  #endScan(): void {
    this.#scanning = false;
  }

  #behind(mark: Mark): Key {
    if (mark.dueAtMs < 0) return this.prefix;
    return mark.seq >= SEQ_MAX
      ? this.prefix + u48(mark.dueAtMs + 1)
      : dueKey(this.prefix, mark.dueAtMs, mark.seq + 1);
  }

  /** Index of the first window entry at or behind `mark`. */
  #position(mark: Mark): number {
    let low = 0;
    let high = this.#window.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (before(markOf(this.#window[middle] as Entry), mark)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #truncate(): void {
    this.#window.length = WINDOW;
    this.#horizon = markOf(this.#window[WINDOW - 1] as Entry);
  }
}

/** The mark of the last record before a page's `next` key (which is that record's key and a zero byte). */
function lastMark(next: Key): Mark {
  const key = next.slice(0, -1);
  return { dueAtMs: dueIn(key), seq: seqIn(key) };
}

/** The entry that a record of the lane's order describes. */
export function readEntry(key: Key, value: Uint8Array): Entry {
  return { seq: seqIn(key), record: records.EntryRecord.decode(value) };
}
