import { records } from '@malabar/contracts';
import type { Key } from '../engine.js';
import { after, lineIn, seqIn } from './keys.js';
import type { Entry, LaneScan } from './lane.js';

/** Entries that are looked at in one go. */
const SWEEP = 256;
/** How often, at most. */
const LOOK_MS = 250;

/** Looks through all lines of a topic, a piece at a time, for what has expired while nobody took it. */
export class LineSweep {
  /** Nothing in the lines ends before. */
  #endMs: number;
  /** The same for what this round has met. */
  #endOfRoundMs = Infinity;
  #sweptAtMs = -Infinity;
  #from: Key;
  #reading = false;
  #found: Entry[] = [];
  #justFound = false;

  /** `prefix`: of all lines. `isFilled`: there may be entries already. */
  constructor(
    private readonly prefix: Key,
    isFilled: boolean,
    private readonly isWaiting: (seq: number) => boolean,
  ) {
    this.#from = prefix;
    this.#endMs = isFilled ? -Infinity : Infinity;
  }

  /** When to look next; Infinity for never. */
  get nextMs(): number {
    return this.#endMs === Infinity ? Infinity : Math.max(this.#endMs, this.#sweptAtMs + LOOK_MS);
  }

  /** An entry comes that ends then; 0 for never. */
  expects(endMs: number): void {
    if (endMs === 0) return;
    this.#endMs = Math.min(this.#endMs, endMs);
    this.#endOfRoundMs = Math.min(this.#endOfRoundMs, endMs);
  }

  /** The read that is due now, if one is. */
  next(now: number): LaneScan | undefined {
    if (!this.#justFound) this.#found = [];
    this.#justFound = false;
    if (this.#reading || now < this.nextMs) return undefined;
    this.#reading = true;
    this.#sweptAtMs = now;
    if (this.#from === this.prefix) this.#endOfRoundMs = Infinity;
    return {
      range: { start: this.#from, end: after(this.prefix), limit: SWEEP },
      failed: () => {
        this.#reading = false;
      },
      loaded: (page, loadedAtMs) => {
        this.#reading = false;
        this.#justFound = true;
        this.#look(page.records, loadedAtMs);
        this.#from = page.next ?? this.prefix;
        if (page.next === undefined) this.#endMs = this.#endOfRoundMs;
      },
    };
  }

  /** What the read that was loaded in this moment has found. */
  take(): Entry[] {
    return this.#found.splice(0);
  }

  #look(found: Array<[Key, Uint8Array]>, now: number): void {
    for (const [key, value] of found) {
      if (lineIn(key).isHold) continue;
      const entry = { seq: seqIn(key), record: records.EntryRecord.decode(value) };
      const { expiresAtMs } = entry.record;
      if (expiresAtMs === 0 || !this.isWaiting(entry.seq)) continue;
      if (expiresAtMs <= now) this.#found.push(entry);
      // One that cannot go now (its topic rests) is met again in the next round.
      this.#endOfRoundMs = Math.min(this.#endOfRoundMs, expiresAtMs);
    }
  }
}
