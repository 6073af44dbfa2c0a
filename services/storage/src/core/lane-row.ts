import type { Entry, Lane, LaneScan } from './lane.js';

/** Priorities are 0 to 9. */
export const PRIORITIES = 10;

/** The lanes of one kind of deliveries, one for each priority that was met. */
export class LaneRow {
  readonly #lanes: Array<Lane | undefined> = new Array(PRIORITIES).fill(undefined);

  constructor(private readonly newLane: (priority: number) => Lane) {}

  /** The engine may hold entries of every priority. */
  load(): void {
    for (let p = 0; p < PRIORITIES; p++) this.#lanes[p] = this.newLane(p);
  }

  lane(priority: number): Lane | undefined {
    return this.#lanes[priority];
  }

  /** A new entry. */
  added(entry: Entry, now: number): void {
    const { priority } = entry.record;
    const known = this.#lanes[priority];
    const lane = known ?? this.newLane(priority);
    if (known === undefined) lane.startEmpty(now);
    this.#lanes[priority] = lane;
    lane.insert(entry);
  }

  /** Entries whose time has come, leased ones included. */
  get due(): number {
    let due = 0;
    for (const lane of this.#lanes) due += lane?.dueCount ?? 0;
    return due;
  }

  /** Whether a lane has an entry whose time has come. */
  get takable(): boolean {
    return this.#lanes.some((lane) => lane?.head !== undefined);
  }

  /** Lets time pass; adds the reads that the lanes want. */
  advance(now: number, scans: LaneScan[]): void {
    for (const lane of this.#lanes) {
      const scan = lane?.advance(now);
      if (scan) scans.push(scan);
    }
  }

  get inMemory(): number {
    return this.#lanes.reduce((sum, lane) => sum + (lane?.inMemory ?? 0), 0);
  }

  /** Takes out what has ended. */
  takeEnded(now: number, ended: Entry[]): void {
    for (const lane of this.#lanes) if (lane) ended.push(...lane.takeEnded(now));
  }

  endsChanged(): void {
    for (const lane of this.#lanes) lane?.endsChanged();
  }

  /** When the next entry known to memory comes due, or with `ends` has to go; Infinity for never. */
  nextAtMs(ends: boolean): number {
    let next = Infinity;
    for (const lane of this.#lanes) {
      if (lane === undefined) continue;
      next = Math.min(next, lane.nextDueAtMs() ?? Infinity);
      if (ends) next = Math.min(next, lane.nextEndMs() ?? Infinity);
    }
    return next;
  }
}
