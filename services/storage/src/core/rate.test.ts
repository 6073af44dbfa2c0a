import { expect, test } from 'vitest';
import { RateLimit } from './rate.js';

const NOW = 1_900_000_000_000;

test('in no time are there more than the burst and what the rate allows', () => {
  const rate = { limit: 7, perMs: 1_000, burst: 3 };
  const limit = new RateLimit(rate);
  const given: number[] = [];
  for (let now = NOW; now < NOW + 5_000; now += 13) {
    const count = Math.min(limit.room(now), 2);
    limit.use(count, now);
    for (let i = 0; i < count; i++) given.push(now);
  }
  expect(given.length).toBeGreaterThan(34);
  given.forEach((from, i) => {
    for (let j = i; j < given.length; j++) {
      const most = rate.burst + (7 * ((given[j] as number) - from)) / 1_000;
      expect(j - i + 1).toBeLessThanOrEqual(most + 1e-6);
    }
  });
});

test('it says when there is room again, to the millisecond', () => {
  const limit = new RateLimit({ limit: 3, perMs: 1_000, burst: 1 });
  expect(limit.roomAtMs(NOW)).toBeUndefined();
  limit.use(1, NOW);
  expect(limit.roomAtMs(NOW)).toBe(NOW + 334);
  expect(limit.room(NOW + 333)).toBe(0);
  expect(limit.room(NOW + 334)).toBe(1);
});

test('what was used stays used over a restart and a change, and a clock set back cannot stop it', () => {
  const before = new RateLimit({ limit: 1, perMs: 60_000, burst: 1 });
  before.use(1, NOW);
  const again = new RateLimit(undefined, before.usedToMs);
  again.change({ limit: 1, perMs: 60_000, burst: 1 });
  expect(again.roomAtMs(NOW + 1)).toBe(NOW + 60_000);
  again.change({ limit: 2, perMs: 1_000, burst: 1 });
  expect(again.roomAtMs(NOW + 1)).toBe(NOW + 501);
  expect(again.roomAtMs(NOW - 3_600_000)).toBe(NOW - 3_600_000 + 500);
});

test('without a rate there is always room', () => {
  const limit = new RateLimit(undefined);
  limit.use(1_000_000, NOW);
  expect([limit.room(NOW), limit.roomAtMs(NOW)]).toEqual([Number.POSITIVE_INFINITY, undefined]);
});
