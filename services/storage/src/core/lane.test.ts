import { records } from '@malabar/contracts';
import { seededRandom } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { Disk } from '../sim/disk.suite.js';
import { dueKey, lanePrefix } from './keys.js';
import { type Entry, Lane, type LaneScan } from './lane.js';
import { WriteBuffer } from './write-buffer.js';

const entry = (seq: number, dueAtMs: number): Entry => ({
  seq,
  record: records.EntryRecord.fromPartial({ dueAtMs }),
});
const LANE = lanePrefix(0, 0, 0);
const keyOf = ({ seq, record }: Entry): string => dueKey(LANE, record.dueAtMs, seq);

/** A lane over a disk whose commits and reads take as long as the dice say, beside all entries in a map. */
class LaneWorld {
  readonly disk = new Disk();
  readonly writes = new WriteBuffer();
  readonly entries = new Map<number, Entry>();
  readonly leased = new Map<number, Entry>();
  readonly lane = new Lane(
    LANE,
    (seq) => this.leased.has(seq),
    () => true,
  );
  now = 10_000;
  #commit: (() => void) | undefined;
  readonly #reads: Array<() => void> = [];

  constructor(readonly random: () => number) {}

  below(n: number): number {
    return Math.floor(this.random() * n);
  }

  /** An entry that was there before the lane was. */
  store(one: Entry): void {
    this.entries.set(one.seq, one);
    this.disk.state.set(keyOf(one), records.EntryRecord.encode(one.record).finish());
  }

  insert(one: Entry): void {
    this.entries.set(one.seq, one);
    this.writes.put(keyOf(one), records.EntryRecord.encode(one.record).finish());
    this.lane.insert(one);
  }

  /** Takes an entry; it must be due and free, and with `exactly` the very first. */
  take(exactly: boolean): Entry | undefined {
    const taken = this.lane.take();
    const first = exactly ? this.#firstDue() : taken;
    expect(taken?.seq).toBe(first?.seq);
    if (taken === undefined) return undefined;
    expect(taken.record.dueAtMs).toBeLessThanOrEqual(this.now);
    expect(this.entries.has(taken.seq)).toBe(true);
    expect(this.leased.has(taken.seq)).toBe(false);
    this.leased.set(taken.seq, taken);
    return taken;
  }

  /** Ends or gives back a random leased entry. */
  end(): void {
    const [one] = [...this.leased.values()].slice(this.below(this.leased.size));
    if (one === undefined) return;
    this.leased.delete(one.seq);
    if (this.random() < 0.4) {
      this.lane.insert(one, true);
      return;
    }
    this.entries.delete(one.seq);
    this.lane.removed(one);
    this.writes.delete(keyOf(one));
  }

  advance(): void {
    const scan = this.lane.advance(this.now);
    if (scan) this.#read(scan);
  }

  /** A read sees the disk at some moment between its call and its answer. */
  #read(scan: LaneScan): void {
    const overlay = this.writes.overlay(scan.range);
    const early = this.random() < 0.5 ? this.disk.scan(scan.range) : undefined;
    this.#reads.push(() => {
      if (this.random() < 0.05) scan.failed();
      else scan.loaded(overlay(early ?? this.disk.scan(scan.range)), this.now);
    });
  }

  commitStep(): void {
    if (this.#commit) {
      this.#commit();
      this.#commit = undefined;
      return;
    }
    const batch = this.writes.seal({ appends: [], state: new Map() });
    const refused = this.random() < 0.2;
    if (!refused && this.random() < 0.5) this.disk.apply(batch);
    this.#commit = () => {
      if (!refused) this.disk.apply(batch);
      if (refused) this.writes.failed();
      else this.writes.committed();
    };
  }

  answerOne(): void {
    this.#reads.splice(this.below(this.#reads.length), 1)[0]?.();
  }

  /** Lets every read end, also those that the lane wants then. */
  rest(): void {
    for (let quiet = 0; quiet < 3; ) {
      this.advance();
      quiet = this.#reads.length === 0 ? quiet + 1 : 0;
      while (this.#reads.length > 0) this.answerOne();
    }
  }

  due(): number {
    return [...this.entries.values()].filter(({ record }) => record.dueAtMs <= this.now).length;
  }

  #firstDue(): Entry | undefined {
    let first: Entry | undefined;
    for (const one of this.entries.values()) {
      if (one.record.dueAtMs > this.now || this.leased.has(one.seq)) continue;
      if (first === undefined || keyOf(one) < keyOf(first)) first = one;
    }
    return first;
  }
}

function randomStep(world: LaneWorld, next: () => number): void {
  const dice = world.random();
  if (dice < 0.3) world.insert(entry(next(), world.now + world.below(400) - 100));
  else if (dice < 0.5) world.take(false);
  else if (dice < 0.65) world.end();
  else if (dice < 0.75) world.now += world.below(20);
  else if (dice < 0.85) world.advance();
  else if (dice < 0.92) world.answerOne();
  else world.commitStep();
}

test.each([
  { stored: 0, steps: 600, rounds: 30 },
  { stored: 3_000, steps: 1_500, rounds: 4 },
  { stored: 12_000, steps: 500, rounds: 2 },
])(
  'a lane with $stored entries on the disk gives out what a map would, however slow its reads',
  ({ stored, steps, rounds }) => {
    for (let round = 1; round <= rounds; round++) {
      const world = new LaneWorld(seededRandom(round));
      let seq = 0;
      for (; seq < stored; seq++) world.store(entry(seq, world.now + world.below(3_000) - 1_500));
      if (stored === 0) world.lane.startEmpty(world.now);
      for (let step = 0; step < steps; step++) {
        randomStep(world, () => seq++);
        if (step % 100 !== 99) continue;
        world.rest();
        expect(world.lane.dueCount).toBe(world.due());
        for (let i = 0; i < 3; i++) world.take(true);
      }
    }
  },
  60_000,
);

test('everything that is due is taken exactly once, in order of time', () => {
  const world = new LaneWorld(seededRandom(7));
  world.lane.startEmpty(world.now);
  for (let seq = 0; seq < 5_000; seq++) world.insert(entry(seq, world.now + world.below(1_000)));
  world.now += 2_000;
  const taken: string[] = [];
  for (;;) {
    world.rest();
    const one = world.take(false);
    if (one === undefined) break;
    taken.push(keyOf(one));
  }
  expect(taken).toHaveLength(5_000);
  expect(taken).toEqual([...taken].sort());
});

test('memory holds a window of a lane, not the lane', () => {
  const world = new LaneWorld(seededRandom(8));
  world.lane.startEmpty(world.now);
  for (let seq = 0; seq < 50_000; seq++) world.insert(entry(seq, world.now));
  let inMemory = 0;
  while (world.lane.take()) inMemory++;
  expect(inMemory).toBeLessThanOrEqual(2_048);
  expect(world.lane.dueCount).toBe(50_000);
});

test('an entry of an append that does not count yet is not given out twice when it does', () => {
  const world = new LaneWorld(seededRandom(9));
  let appended = false;
  const lane = new Lane(
    LANE,
    () => false,
    () => appended,
  );
  const early = entry(1, 500);
  world.disk.state.set(keyOf(early), records.EntryRecord.encode(early.record).finish());
  for (let scan = lane.advance(1_000); scan; scan = lane.advance(1_000))
    scan.loaded({ records: world.disk.scan(scan.range), next: undefined }, 1_000);
  expect(lane.take()).toBeUndefined();
  appended = true;
  lane.insert(early);
  expect(lane.dueCount).toBe(1);
  expect(lane.take()?.seq).toBe(1);
  expect(lane.take()).toBeUndefined();
});

test('a read that failed is tried again', () => {
  const lane = new Lane(
    LANE,
    () => false,
    () => true,
  );
  lane.advance(1_000)?.failed();
  expect(lane.advance(1_000)).toBeDefined();
});

test('it says when the next entry comes due', () => {
  const lane = new Lane(
    LANE,
    () => false,
    () => true,
  );
  lane.startEmpty(1_000);
  expect(lane.nextDueAtMs()).toBeUndefined();
  lane.insert(entry(1, 5_000));
  lane.insert(entry(2, 3_000));
  lane.insert(entry(3, 900));
  expect(lane.nextDueAtMs()).toBe(3_000);
  lane.advance(3_000);
  expect(lane.nextDueAtMs()).toBe(5_000);
});
