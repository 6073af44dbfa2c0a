import { keeper } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { retryDelayMs, retryPolicy } from './retry-policy.js';

const { EXPONENTIAL, FIXED, LADDER } = keeper.Backoff;
const policy = (settings: Partial<keeper.RetryPolicy>): keeper.RetryPolicy =>
  keeper.RetryPolicy.fromPartial({ minMs: 100, maxMs: 1_000, ...settings });
const pauses = (settings: Partial<keeper.RetryPolicy>, random = 0): number[] =>
  [1, 2, 3, 4, 5, 60].map((attempt) => retryDelayMs(policy(settings), attempt, random));

test('exponential pauses double up to the longest', () => {
  expect(pauses({ backoff: EXPONENTIAL })).toEqual([100, 200, 400, 800, 1_000, 1_000]);
});

test('fixed pauses are all the same', () => {
  expect(pauses({ backoff: FIXED })).toEqual([100, 100, 100, 100, 100, 100]);
});

test('a ladder gives its steps in order and repeats the last', () => {
  expect(pauses({ backoff: LADDER, ladderMs: [5, 50, 500] })).toEqual([5, 50, 500, 500, 500, 500]);
});

test('jitter only shortens a pause, by its part of it at most', () => {
  const jittered = { backoff: FIXED, jitter: 0.2 };
  expect(pauses(jittered, 0)[0]).toBe(100);
  expect(pauses(jittered, 0.5)[0]).toBe(90);
  expect(pauses(jittered, 0.999)[0]).toBe(80);
});

test('a topic whose document names no policy has the default one', () => {
  const unset = retryPolicy(keeper.TopicConfig.fromPartial({}));
  expect(unset).toMatchObject({ attempts: 10, backoff: EXPONENTIAL, minMs: 1_000, crashesMax: 3 });
  const own = policy({ attempts: 2 });
  expect(retryPolicy(keeper.TopicConfig.fromPartial({ retry: own })).attempts).toBe(2);
});
