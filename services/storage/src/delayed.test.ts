import { join } from 'node:path';
import { common, keeper } from '@malabar/contracts';
import { FakeClock, seededRandom, tempDir } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { openBus, queue, TestBus, type TestJob, topic } from './bus.suite.js';
import { createLmdbEngine } from './engines/lmdb.js';

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

/** Memory holds the first ones only, and all that the topic has taken is one stretch. */
function expectWindow({ store }: TestBus): void {
  const { entriesInMemory, taken } = store.topic('q', 't');
  expect(entriesInMemory).toBeGreaterThan(0);
  expect(entriesInMemory).toBeLessThanOrEqual(WINDOW_MAX);
  expect(taken.ranges).toBeLessThanOrEqual(1);
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
  const clock = new FakeClock();
  const path = join(tempDir('delayed'), 'store');
  const queues = [queue('q', [topic('t')], { retentionMs: YEAR_MS })];
  const live = (): Promise<TestBus> =>
    new TestBus({ queues, clock, store: { engine: createLmdbEngine({ path }) } }).open();
  const bus = await live();
  const random = seededRandom(3);
  const now = bus.clock.now();
  // Some of them fall due soon, wherever they stand among the others.
  const due = Array.from({ length: 50_000 }, (_, i) =>
    Math.round(i % 25 === 0 ? now + 1_000 + random() * 59_000 : now + HOUR_MS + random() * YEAR_MS),
  );
  await appendAll(bus, due.map(delayed));
  expect(bus.counts('q', 't')).toMatchObject({ scheduled: 50_000, ready: 0 });
  expectWindow(bus);
  await bus.store.close();
  const next = await live();
  expectWindow(next);
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
  await next.store.close();
}, 120_000);

test('plain and delayed jobs in turn, while nobody takes any, do not make the record of a topic grow', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  const later = bus.clock.now() + HOUR_MS;
  const size = (): number => bus.store.topic('q', 't').snapshot()[1].length;
  const jobs = Array.from({ length: 6_000 }, (_, i): TestJob => {
    return i % 2 === 0 ? `plain ${i}` : [`later ${i}`, { deliverAtMs: later }];
  });
  for (let at = 0; at < 3_000; at += 100) await bus.append('q', ...jobs.slice(at, at + 100));
  const half = size();
  for (let at = 3_000; at < 6_000; at += 100) await bus.append('q', ...jobs.slice(at, at + 100));
  const t = bus.store.topic('q', 't');
  expect(t.taken.ranges).toBeLessThan(1_100);
  expect(size()).toBeLessThan(half + 100);
  await bus.pass(1_000);
  expect(bus.counts('q', 't')).toMatchObject({ ready: 3_000, scheduled: 3_000 });

  const next = await bus.reopen();
  const consumer = await next.consumer('q', 't', 500);
  const delivered: string[] = [];
  for (let got = consumer.bodies(); got.length > 0; got = consumer.bodies()) {
    delivered.push(...got);
    await consumer.done();
    await next.pass(250);
  }
  const plain = jobs.filter((job) => typeof job === 'string');
  expect([...delivered].sort()).toEqual([...plain].sort());
  // Each of the two ways keeps its order.
  const isEarly = (body: string): boolean => Number(body.split(' ')[1]) < 2_000;
  expect(delivered.filter(isEarly)).toEqual(plain.filter(isEarly));
  // Now that the log is taken, what comes waits in it again.
  await consumer.credits(0);
  await next.append('q', 'a', 'b', 'c');
  expect(next.store.topic('q', 't').entries).toBe(3_000);
  expect(next.counts('q', 't')).toMatchObject({ ready: 3, scheduled: 3_000, done: 3_000 });
  expect(await next.problems()).toEqual([]);
}, 60_000);

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
