import { common, keeper } from '@malabar/contracts';
import { seededRandom } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { openBus, queue, type TestBus, type TestJob, topic } from './bus.suite.js';

const { SCHEDULED, READY } = common.DeliveryState;
const { DISCARDED } = keeper.ResultStatus;
const HOUR_MS = 3_600_000;
const YEAR_MS = 365 * 24 * HOUR_MS;
/** The most that a lane keeps in memory. */
const WINDOW_MAX = 2_048;
const BATCH = 1_000;

const delayed = (deliverAtMs: number): TestJob => [String(deliverAtMs), { deliverAtMs }];

async function appendAll(bus: TestBus, jobs: readonly TestJob[]): Promise<void> {
  for (let at = 0; at < jobs.length; at += BATCH)
    await bus.append('q', ...jobs.slice(at, at + BATCH));
}

test('a job that is due in an hour, then one that is due in a second: the second comes first', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  const consumer = await bus.consumer('q', 't');
  await bus.append('q', ['hour', { deliverAtMs: bus.clock.now() + HOUR_MS }]);
  await bus.append('q', ['second', { deliverAtMs: bus.clock.now() + 1_000 }]);
  await bus.pass(999);
  expect(consumer.bodies()).toEqual([]);
  await bus.pass(1);
  expect(consumer.bodies()).toEqual(['second']);
  await consumer.done();
  await bus.pass(HOUR_MS - 1_001);
  expect(consumer.bodies()).toEqual([]);
  await bus.pass(1);
  expect(consumer.bodies()).toEqual(['hour']);
});

test('of 50,000 delayed jobs memory holds a window, and the next life has them all in order', async () => {
  const bus = await openBus(queue('q', [topic('t')], { retentionMs: YEAR_MS }));
  const random = seededRandom(3);
  const now = bus.clock.now();
  // Some of them fall due soon, wherever they stand among the others.
  const due = Array.from({ length: 50_000 }, (_, i) =>
    Math.round(i % 25 === 0 ? now + 1_000 + random() * 59_000 : now + HOUR_MS + random() * YEAR_MS),
  );
  await appendAll(bus, due.map(delayed));
  expect(bus.counts('q', 't')).toMatchObject({ scheduled: 50_000, ready: 0 });
  const lives = [bus, await bus.reopen()];
  const next = lives[1] as TestBus;
  for (const { store } of lives) {
    const t = store.topic('q', 't');
    expect(t.entriesInMemory).toBeGreaterThan(0);
    expect(t.entriesInMemory).toBeLessThanOrEqual(WINDOW_MAX);
    // All that they have taken is one stretch.
    expect(t.taken.ranges).toBeLessThanOrEqual(1);
  }
  const sorted = [...due].sort((a, b) => a - b);
  const kept = await next.list('q', 't', SCHEDULED, 500);
  expect(kept.map(({ job }) => Number(Buffer.from(job?.body ?? []).toString()))).toEqual(sorted);

  const consumer = await next.consumer('q', 't', 100);
  const delivered: number[] = [];
  while (next.clock.now() < now + 61_000) {
    await next.pass(250);
    for (let got = consumer.bodies(); got.length > 0; got = consumer.bodies()) {
      for (const body of got) expect(Number(body)).toBeLessThanOrEqual(next.clock.now());
      delivered.push(...got.map(Number));
      await consumer.done();
    }
  }
  expect(delivered).toEqual(sorted.slice(0, 2_000));
  expect(next.counts('q', 't')).toMatchObject({ done: 2_000, scheduled: 48_000, ready: 0 });
  expect(await next.problems()).toEqual([]);
}, 120_000);

test('jobs expire where nobody asks, also behind a backlog that never ends, and each is told of', async () => {
  const told = { queue: 'told', of: [DISCARDED] };
  const bus = await openBus(
    queue('q', [topic('t', { result: told })]),
    queue('told', [topic('log')]),
  );
  const now = bus.clock.now();
  // Urgent or late, these never end and fill the window of their lane.
  await appendAll(
    bus,
    Array.from({ length: 3_000 }, (_, i): TestJob => [`stays ${i}`, { deliverAtMs: now + 1 }]),
  );
  await appendAll(
    bus,
    Array.from(
      { length: 4_000 },
      (_, i): TestJob => [
        `ends ${i}`,
        { deliverAtMs: now + 2, expiresAtMs: now + (i % 2 === 0 ? 5_000 : YEAR_MS) },
      ],
    ),
  );
  await bus.pass(4_900);
  expect(bus.counts('q', 't')).toMatchObject({ ready: 7_000, discarded: 0 });
  await bus.pass(1_000);
  const soon = bus.counts('q', 't').discarded;
  // It has begun, and it is bounded.
  expect(soon).toBeGreaterThan(0);
  expect(soon).toBeLessThan(2_000);
  await bus.pass(10_000);
  expect(bus.counts('q', 't')).toMatchObject({ ready: 5_000, discarded: 2_000 });
  const results = await bus.list('told', 'log', READY, 500);
  const params = results.map(({ job }) => JSON.parse(Buffer.from(job?.body ?? []).toString()));
  expect(params).toHaveLength(2_000);
  expect(new Set(params.map(({ jobId }) => jobId)).size).toBe(2_000);
  expect(params.every(({ status, code }) => status === 'discarded' && code === 'EXPIRED')).toBe(
    true,
  );
  expect(bus.store.topic('q', 't').entriesInMemory).toBeLessThanOrEqual(WINDOW_MAX);
  expect(await bus.problems()).toEqual([]);
}, 60_000);
