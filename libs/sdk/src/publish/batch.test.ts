import { batches } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { batchRequest } from './batch.js';
import type { BatchOptions } from './batch-options.js';

test('the event that follows has an envelope, or with no parameters gets the totals', () => {
  const next = { event: 'done', params: { n: 1 }, headers: { user: '7' } };
  const { thenJob, expiresAfterMs } = batchRequest({ next, on: 'success', expires: '2h' });
  expect(thenJob).toMatchObject({
    queue: 'done',
    headers: { user: '7' },
    on: batches.BatchOn.SUCCESS,
  });
  expect(Buffer.from(thenJob?.body ?? []).toString()).toBe(
    '{"v":1,"event":"done","params":{"n":1}}',
  );
  expect(expiresAfterMs).toBe(7_200_000);
  const bare = batchRequest({ next: { event: 'done', queue: 'other' } });
  expect(bare.thenJob).toMatchObject({ queue: 'other', on: batches.BatchOn.ALWAYS });
  expect(bare.thenJob?.body).toHaveLength(0);
});

test.each([
  [{}, /a batch needs `next`/],
  [{ next: { event: 'a b' } }, /event/],
  [{ next: { event: 'done' }, on: 'never' }, /neither 'always' nor 'success'/],
  [{ next: { event: 'done' }, expires: 5 }, /expires: 5 is not a duration/],
  [{ next: { event: 'done' }, queue: 'x' }, /queue/],
])('%j is refused by name', (options, reason) => {
  expect(() => batchRequest(options as unknown as BatchOptions)).toThrow(reason);
});
