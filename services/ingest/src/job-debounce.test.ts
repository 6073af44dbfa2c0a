import { expect, test } from 'vitest';
import { debounceFault, type JobDebounce } from './job-debounce.js';

const DAY_MS = 86_400_000;

test('a debounce with a key, and with a longest wait that is not shorter, is right', () => {
  expect(debounceFault({})).toBeUndefined();
  expect(debounceFault({ idempotencyKey: 'k', debounceMs: 1 })).toBeUndefined();
  const both = { idempotencyKey: 'k', debounceMs: 30 * DAY_MS, debounceMaxMs: 30 * DAY_MS };
  expect(debounceFault(both)).toBeUndefined();
});

test.each<[RegExp, JobDebounce]>([
  [/needs an idempotency key/, { debounceMs: 10 }],
  [/nothing without a debounce/, { idempotencyKey: 'k', debounceMaxMs: 10 }],
  [/not negative/, { idempotencyKey: 'k', debounceMs: -1 }],
  [/not negative/, { idempotencyKey: 'k', debounceMs: 1, debounceMaxMs: -1 }],
  [/a delay itself/, { idempotencyKey: 'k', debounceMs: 1, deliverAtMs: 5 }],
  [/30 days/, { idempotencyKey: 'k', debounceMs: 30 * DAY_MS + 1 }],
  [
    /9 ms is shorter than the debounce of 10 ms/,
    { idempotencyKey: 'k', debounceMs: 10, debounceMaxMs: 9 },
  ],
])('%s', (words, job) => {
  expect(debounceFault(job)).toMatchObject({
    code: 'INVALID',
    message: expect.stringMatching(words),
  });
});
