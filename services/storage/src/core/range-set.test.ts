import { seededRandom } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { RangeSet } from './range-set.js';

const TOP = 60;

/** A random set, and the same numbers in a Set. */
function grow(random: () => number, adds: number): [RangeSet, Set<number>] {
  const ranges = new RangeSet();
  const numbers = new Set<number>();
  for (let i = 0; i < adds; i++) {
    const start = Math.floor(random() * TOP);
    const end = start + Math.floor(random() * 8);
    let added = 0;
    for (let n = start; n < end; n++) if (!numbers.has(n)) added += numbers.add(n) ? 1 : 0;
    expect(ranges.add(start, end)).toBe(added);
  }
  return [ranges, numbers];
}

function missingFrom(numbers: ReadonlySet<number>, from: number): number {
  let missing = from;
  while (numbers.has(missing)) missing++;
  return missing;
}

test('a range set answers like a set of numbers, whatever was added in whatever order', () => {
  const random = seededRandom(1);
  for (let round = 0; round < 400; round++) {
    const [ranges, numbers] = grow(random, Math.floor(random() * 14));
    expect(ranges.size).toBe(numbers.size);
    const all = Array.from({ length: TOP + 10 }, (_, n) => n);
    expect(all.filter((n) => ranges.has(n))).toEqual(all.filter((n) => numbers.has(n)));
    expect(all.map((n) => ranges.firstMissing(n))).toEqual(all.map((n) => missingFrom(numbers, n)));
    const from = Math.floor(random() * TOP);
    const to = from + Math.floor(random() * TOP);
    expect(ranges.countIn(from, to)).toBe([...numbers].filter((n) => n >= from && n < to).length);
  }
});

test('its ranges are sorted, apart, and no more than needed', () => {
  const random = seededRandom(2);
  for (let round = 0; round < 300; round++) {
    const [ranges] = grow(random, 12);
    const edges = [...ranges].flat();
    expect(edges.every((edge, i) => i === 0 || edge > (edges[i - 1] as number))).toBe(true);
    expect(ranges.ranges).toBe(edges.length / 2);
  }
});

test('what is encoded is decoded to the same set, from any base below it', () => {
  const random = seededRandom(3);
  for (let round = 0; round < 200; round++) {
    const [ranges] = grow(random, 10);
    const base = Math.min(...[...ranges].map(([start]) => start), 0);
    const copy = RangeSet.decode(base, ranges.encode(base));
    expect([...copy]).toEqual([...ranges]);
    expect(copy.size).toBe(ranges.size);
  }
});

test('the first gap from a missing number on ends where the set goes on', () => {
  const ranges = new RangeSet();
  ranges.add(5, 7);
  ranges.add(10, 12);
  expect(ranges.nextPresent(0, 100)).toBe(5);
  expect(ranges.nextPresent(7, 100)).toBe(10);
  expect(ranges.nextPresent(7, 9)).toBe(9);
  expect(ranges.nextPresent(12, 100)).toBe(100);
});

test('absorbing takes the leading range only when it touches the floor', () => {
  const ranges = new RangeSet();
  ranges.add(3, 6);
  ranges.add(8, 9);
  expect(ranges.absorb(2)).toBe(2);
  expect(ranges.absorb(3)).toBe(6);
  expect(ranges.size).toBe(1);
  expect(ranges.absorb(20)).toBe(20);
  expect(ranges.size).toBe(0);
});

test('numbers that cluster take one range, whatever their count', () => {
  const ranges = new RangeSet();
  for (let n = 0; n < 10_000; n++) ranges.add(n * 2, n * 2 + 1);
  expect(ranges.ranges).toBe(10_000);
  for (let n = 0; n < 10_000; n++) ranges.add(n * 2 + 1, n * 2 + 2);
  expect(ranges.ranges).toBe(1);
  expect(ranges.size).toBe(20_000);
});
