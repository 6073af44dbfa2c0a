import { seededRandom } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { Disk } from '../sim/disk.suite.js';
import { type StagedWrites, WriteBuffer } from './write-buffer.js';

const KEYS = Array.from('abcdefghij');
const nothing = (): StagedWrites => ({ appends: [], state: new Map() });
const value = (n: number): Uint8Array => Uint8Array.of(n & 255, n >> 8);

/** A buffer over a disk beside a map that knows every write at once. */
class BufferWorld {
  readonly disk = new Disk();
  readonly buffer = new WriteBuffer();
  readonly truth = new Map<string, Uint8Array>();
  readonly reads: Array<() => void> = [];
  #inFlight: { end: () => void } | undefined;
  #next = 0;

  constructor(readonly random: () => number) {}

  #key(): string {
    return KEYS[Math.floor(this.random() * KEYS.length)] as string;
  }

  write(): void {
    const key = this.#key();
    if (this.random() < 0.4) {
      this.buffer.delete(key);
      this.truth.delete(key);
    } else {
      const bytes = value(this.#next++);
      this.buffer.put(key, bytes);
      this.truth.set(key, bytes);
    }
  }

  /** Seals a commit, or ends the one under way: with success or not. */
  commit(): void {
    if (this.#inFlight) {
      this.#inFlight.end();
      this.#inFlight = undefined;
      return;
    }
    const batch = this.buffer.seal(nothing());
    const refused = this.random() < 0.3;
    const early = !refused && this.random() < 0.5;
    if (early) this.disk.apply(batch);
    this.#inFlight = {
      end: () => {
        if (refused) return this.buffer.failed();
        if (!early) this.disk.apply(batch);
        this.buffer.committed();
      },
    };
  }

  /** Reads everything in pages; each page is of the moment in which it arrives. */
  read(): void {
    const start = this.#key();
    const reverse = this.random() < 0.5;
    const limit = 1 + Math.floor(this.random() * 4);
    const range = { start, end: 'z', limit, reverse };
    const overlay = this.buffer.overlay(range);
    const early = this.random() < 0.5 ? this.disk.scan(range) : undefined;
    this.reads.push(() => {
      const page = overlay(early ?? this.disk.scan(range));
      // A page speaks for the keys up to where the next one begins.
      const low = reverse ? (page.next ?? start) : start;
      const high = reverse ? 'z' : (page.next ?? 'z');
      const wanted = [...this.truth].filter(([key]) => key >= low && key < high);
      wanted.sort(([a], [b]) => (a < b ? -1 : 1));
      expect(page.records).toEqual(reverse ? wanted.reverse() : wanted);
    });
  }

  answer(): void {
    this.reads.splice(Math.floor(this.random() * this.reads.length), 1)[0]?.();
  }
}

test('a read shows every write, whatever is committed, refused or under way', () => {
  const random = seededRandom(5);
  for (let round = 0; round < 300; round++) {
    const world = new BufferWorld(random);
    for (let step = 0; step < 60; step++) {
      const dice = random();
      if (dice < 0.45) world.write();
      else if (dice < 0.65) world.commit();
      else if (dice < 0.85) world.read();
      else world.answer();
    }
    while (world.reads.length > 0) world.answer();
  }
});

test('what an append stages is seen from its sealing on, and never if the commit is refused', () => {
  const buffer = new WriteBuffer();
  const range = { start: 'a', end: 'z', limit: 10 };
  const staged = { appends: [], state: new Map([['k', value(1)]]) };
  const before = buffer.overlay(range);
  buffer.seal(staged);
  expect(before([]).records).toEqual([['k', value(1)]]);
  buffer.failed();
  expect(before([]).records).toEqual([]);
  buffer.seal(staged);
  buffer.committed();
  expect(before([]).records).toEqual([['k', value(1)]]);
});

test('a delete that came before an append of the same commit loses against it', () => {
  const buffer = new WriteBuffer();
  buffer.delete('k');
  const batch = buffer.seal({ appends: [], state: new Map([['k', value(1)]]) });
  expect(batch.state.get('k')).toEqual(value(1));
});

test('a refused commit is written again with the next one, newer writes first', () => {
  const buffer = new WriteBuffer();
  buffer.put('a', value(1));
  buffer.put('b', value(1));
  buffer.drop(0, 7);
  buffer.seal(nothing());
  buffer.put('b', value(2));
  buffer.failed();
  const batch = buffer.seal(nothing());
  expect(Object.fromEntries(batch.state)).toEqual({ a: value(1), b: value(2) });
  expect(batch.drops).toEqual([{ shard: 0, firstSeq: 7 }]);
});

test('a commit that failed before it was sealed changes nothing', () => {
  const buffer = new WriteBuffer();
  buffer.drop(0, 7);
  buffer.failed();
  expect(buffer.seal(nothing()).drops).toEqual([{ shard: 0, firstSeq: 7 }]);
});

test('a buffer is empty again once everything is sealed', () => {
  const buffer = new WriteBuffer();
  expect(buffer.empty).toBe(true);
  for (let i = 0; i < 10_000; i++) buffer.put(`k${i}`, value(i));
  expect(buffer.empty).toBe(false);
  buffer.seal(nothing());
  buffer.committed();
  expect(buffer.empty).toBe(true);
  expect(buffer.overlay({ start: 'a', end: 'z', limit: 10 })([]).records).toEqual([]);
});
