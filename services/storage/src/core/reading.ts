import type { records } from '@malabar/contracts';
import { RangeSet } from './range-set.js';

/** Where a job is for a topic; of a taken one others know more. */
export type ReadingState = 'none' | 'leased' | 'ready' | 'unmatured' | 'taken';

/**
 * How far a topic has come in the log of its shard: which jobs are taken (settled, or moved to a lane or
 * to dead), which are leased from here, and what comes next.
 */
export class Reading {
  #floor: number;
  readonly taken: RangeSet;
  /** Jobs accepted while the topic did not exist or was detached. */
  readonly #excluded: RangeSet;
  /** Where the log ended when the topic was detached; undefined while it is not. */
  detachedAt: number | undefined;
  #tail: number;
  /** Below this, jobs are taken, leased or in `returned`. */
  #cursor: number;
  /** Jobs whose leases were given back, highest first. */
  #returned: number[] = [];
  /** Jobs in [floor, end) that are not taken. */
  #untaken: number;
  #leased = 0;
  /** With a delay: jobs below are old enough. Without one: the tail. */
  #matured: number;

  /** `isDelayed`: jobs must reach an age before anybody gets them. */
  constructor(
    record: records.TopicRecord,
    tail: number,
    private isDelayed: boolean,
  ) {
    this.#floor = record.floor;
    this.taken = RangeSet.decode(record.floor, record.taken);
    this.#excluded = RangeSet.decode(0, record.excluded);
    this.detachedAt = record.detached ? record.detachedAt : undefined;
    this.#tail = tail;
    this.#cursor = record.floor;
    this.#untaken = this.end - record.floor - this.taken.size;
    this.#matured = isDelayed ? record.floor : tail;
  }

  /** Every sequence number below is taken. */
  get floor(): number {
    return this.#floor;
  }

  /** End of the log. */
  get tail(): number {
    return this.#tail;
  }

  /** Behind the last job that is for this topic. */
  get end(): number {
    return this.detachedAt ?? this.#tail;
  }

  /** Jobs that were accepted for this topic, ever. */
  get accepted(): number {
    return this.end - this.#excluded.size;
  }

  /** Jobs that have not left the log's order, leased ones included. */
  get untaken(): number {
    return this.#untaken;
  }

  /** Jobs that `next` would give. */
  get ready(): number {
    return this.#untaken - this.#leased - this.unmatured;
  }

  /** Whether `next` would give something. */
  get hasNext(): boolean {
    return this.#returned.length > 0 || this.ready > 0;
  }

  /** The log has grown to `tail`. */
  appended(tail: number): void {
    if (this.detachedAt === undefined) {
      this.#untaken += tail - this.#tail;
      if (!this.isDelayed) this.#matured = tail;
    }
    this.#tail = tail;
  }

  // --- what comes next ----------------------------------------------------------------------------

  /** The next run of consecutive jobs that nobody has; it is leased until it is taken or given back. */
  next(max: number): [seq: number, count: number] | undefined {
    const run = this.#nextReturned(max) ?? this.#nextFresh(max);
    if (run !== undefined) this.#leased += run[1];
    return run;
  }

  #nextReturned(max: number): [seq: number, count: number] | undefined {
    const first = this.#returned.pop();
    if (first === undefined) return undefined;
    let count = 1;
    while (count < max && this.#returned[this.#returned.length - 1] === first + count) {
      this.#returned.pop();
      count++;
    }
    return [first, count];
  }

  #nextFresh(max: number): [seq: number, count: number] | undefined {
    const seq = this.taken.firstMissing(this.#cursor);
    const end = Math.min(seq + max, this.#matured, this.taken.nextPresent(seq, this.#matured));
    this.#cursor = Math.max(this.#cursor, Math.min(seq, this.#matured), end);
    return end > seq ? [seq, end - seq] : undefined;
  }

  /** A leased job is ready again. */
  giveBack(seq: number): void {
    this.#leased--;
    let at = this.#returned.length;
    while (at > 0 && (this.#returned[at - 1] as number) < seq) at--;
    this.#returned.splice(at, 0, seq);
  }

  /** Leased jobs from `start` on leave the log's order. */
  takeLeased(start: number, count: number): void {
    this.#leased -= count;
    this.#take(start, start + count);
  }

  /** A job that was appended just now goes to a lane at once. */
  takeFresh(seq: number): void {
    this.#take(seq, seq + 1);
  }

  /** A job that waits leaves the log's order. */
  takeWaiting(seq: number): void {
    this.#returned = this.#returned.filter((one) => one !== seq);
    this.#take(seq, seq + 1);
  }

  #take(start: number, end: number): void {
    this.#untaken -= this.taken.add(start, end);
    this.#floor = this.taken.absorb(this.#floor);
    if (this.#cursor < this.#floor) this.#cursor = this.#floor;
  }

  // --- delays -------------------------------------------------------------------------------------

  /** Jobs that are not old enough, as far as it is known. */
  get unmatured(): number {
    const from = Math.max(this.#matured, this.#floor);
    return from >= this.end ? 0 : this.end - from - this.taken.countIn(from, this.end);
  }

  /** The first job whose age is not known to suffice; undefined if there is none. */
  get unmaturedFrom(): number | undefined {
    return this.#matured < this.end ? this.#matured : undefined;
  }

  /** All jobs below `seq` are old enough. */
  matured(seq: number): void {
    this.#matured = Math.max(this.#matured, Math.min(seq, this.#tail));
  }

  /** From now on jobs must reach an age, or not. What somebody has had already stays ready. */
  delay(isDelayed: boolean): void {
    if (!isDelayed) this.#matured = this.#tail;
    else if (!this.isDelayed) this.#matured = this.#cursor;
    this.isDelayed = isDelayed;
  }

  // --- whom jobs are for --------------------------------------------------------------------------

  /** What is appended from now on is not for the topic. */
  detach(): void {
    this.detachedAt = this.#tail;
  }

  /** What is appended from now on is for the topic again, but not what came meanwhile. */
  attach(): void {
    if (this.detachedAt === undefined) return;
    this.#untaken += this.#tail - this.detachedAt;
    this.#take(this.detachedAt, this.#tail);
    this.#excluded.add(this.detachedAt, this.#tail);
    this.detachedAt = undefined;
  }

  // --- questions ----------------------------------------------------------------------------------

  stateOf(seq: number): ReadingState {
    if (this.#excluded.has(seq) || seq >= this.end) return 'none';
    if (seq < this.#floor || this.taken.has(seq)) return 'taken';
    if (seq < this.#cursor && !this.#returned.includes(seq)) return 'leased';
    return seq < this.#matured ? 'ready' : 'unmatured';
  }

  /** Whether no job of [start, end) waits in the log for this topic or is leased from there. */
  allTaken(start: number, end: number): boolean {
    const from = Math.max(start, this.#floor);
    const to = Math.min(end, this.end);
    return from >= to || this.taken.countIn(from, to) === to - from;
  }

  /** Its part of the topic's record, as if the jobs `staged` were taken. */
  record(staged: readonly number[]): Partial<records.TopicRecord> {
    const taken = staged.length === 0 ? this.taken : this.#takenWith(staged);
    return {
      floor: this.#floor,
      taken: taken.encode(this.#floor),
      excluded: this.#excluded.encode(0),
      detached: this.detachedAt !== undefined,
      detachedAt: this.detachedAt ?? 0,
    };
  }

  #takenWith(staged: readonly number[]): RangeSet {
    const all = new RangeSet();
    for (const [start, end] of this.taken) all.add(start, end);
    for (const seq of staged) all.add(seq, seq + 1);
    return all;
  }
}
