import { common, keeper, records } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { openBus, queue, type TestBus, type TestJob, topic } from './bus.suite.js';

const { DEAD } = common.OutcomeKind;
const RETENTION_MS = 60_000;

/** The records of one kind that the disk holds. */
const kept = (bus: TestBus, letter: string): number =>
  bus.disk.scan({ start: letter, end: `${letter}\xff`, limit: 1_000 }).length;
const logRecords = (bus: TestBus): number => {
  let count = 0;
  for (let at = 0; ; count++) {
    const entry = bus.disk.logFrom(0, at);
    if (entry === undefined) return count;
    at = entry.firstSeq + 1;
  }
};

async function doneJobs(...bodies: string[]): Promise<TestBus> {
  const bus = await openBus(queue('q', [topic('t')], { retentionMs: RETENTION_MS }));
  const consumer = await bus.consumer('q', 't');
  await bus.append('q', ...bodies);
  await bus.rest();
  await consumer.done();
  await consumer.close();
  return bus;
}

test('settled jobs stay readable for the retention of their queue, no longer', async () => {
  const bus = await doneJobs('a');
  const id = bus.store.shard('q').idOf(bus.store.shard('q').acceptedAtMs, 0);
  await bus.clock.advance(RETENTION_MS - 10);
  await bus.trim();
  expect((await bus.browser.job(id)).deliveries[0]?.state).toBe(common.DeliveryState.DONE);
  await bus.clock.advance(10);
  await bus.trim();
  expect(logRecords(bus)).toBe(0);
  const next = await bus.reopen();
  await expect(next.browser.job(id)).rejects.toMatchObject({ code: 'UNKNOWN_JOB' });
});

test('a job that waits in the log holds its record, whatever its age', async () => {
  const bus = await openBus(queue('q', [topic('t')], { retentionMs: 0 }));
  await bus.append('q', 'a', 'b');
  const consumer = await bus.consumer('q', 't', 1);
  await bus.clock.advance(1_000);
  await bus.trim();
  expect(logRecords(bus)).toBe(1);
  await consumer.done();
  await consumer.done();
  await bus.trim();
  expect(logRecords(bus)).toBe(0);
});

test('one late job does not hold its neighbours: it is copied out and delivered in its time', async () => {
  const bus = await openBus(queue('q', [topic('t')], { retentionMs: 0 }));
  const consumer = await bus.consumer('q', 't');
  await bus.append('q', 'a', ['late', { deliverAtMs: bus.clock.now() + 30_000 }], 'b', 'dead');
  await bus.rest();
  await consumer.say(consumer.leases()[2] as number, DEAD);
  await consumer.done();
  await bus.clock.advance(1);
  await bus.trim();
  expect([logRecords(bus), kept(bus, 'J')]).toEqual([0, 2]);
  const next = await bus.reopen();
  expect(await next.problems()).toEqual([]);
  const again = await next.consumer('q', 't');
  await next.pass(30_000);
  expect(again.bodies()).toEqual(['late']);
  await again.done();
  await next.trim();
  expect(kept(next, 'J')).toBe(1);
  await next.replay('q', 't');
  expect(again.bodies()).toEqual(['dead']);
  await again.done();
  await next.trim();
  expect(['J', 'A', 'X', 'S', 'L', 'D'].map((letter) => kept(next, letter))).toEqual([
    0, 0, 0, 0, 0, 0,
  ]);
});

test('numbers go on after everything was trimmed and the store was killed in between', async () => {
  const bus = await doneJobs('a', 'b', 'c');
  await bus.clock.advance(RETENTION_MS);
  // The pass is stopped behind its first drop; whatever is written by then becomes durable.
  const release = bus.hold('nextLog');
  const pass = bus.trimmer.pass();
  await bus.rest();
  await release();
  await pass;
  await bus.store.committer.flush();
  const next = await bus.reopen();
  const { firstSeq } = await next.append('q', 'd');
  expect(firstSeq).toBe(3);
  expect((await next.consumer('q', 't')).bodies()).toEqual(['d']);
  expect(await next.problems()).toEqual([]);
});

test('every commit with a drop says where the log ends', async () => {
  const bus = await doneJobs('a');
  const consumer = await bus.consumer('q', 't');
  await bus.append('q', 'b');
  await bus.rest();
  await consumer.done();
  await bus.clock.advance(RETENTION_MS);
  const { writes } = bus.store;
  const drop = writes.drop.bind(writes);
  const ends: number[] = [];
  writes.drop = (shard, firstSeq) => {
    drop(shard, firstSeq);
    // As if the process died with the commit that carries just this drop.
    queueMicrotask(() => ends.push(firstSeq));
  };
  await bus.trim();
  expect(ends).toEqual([0, 1]);
  const next = await bus.reopen();
  expect(next.store.shard('q')).toMatchObject({ tail: 2, trimmedTo: 2 });
});

/** Puts the dead delivery of the first job back to ready, at once. */
function replayFirst(bus: TestBus): void {
  const [, bytes] = bus.disk.scan({ start: 'D', end: 'E', limit: 1 })[0] ?? [];
  const dead = records.EntryRecord.decode(bytes as Uint8Array);
  bus.store.topic('q', 't').replay(0, dead, bus.clock.now());
}

async function deadJob(): Promise<TestBus> {
  const bus = await openBus(queue('q', [topic('t')], { retentionMs: 0 }));
  const consumer = await bus.consumer('q', 't');
  await bus.append('q', 'a');
  await bus.rest();
  await consumer.say(consumer.leases()[0] as number, DEAD);
  await consumer.close();
  await bus.store.committer.flush();
  await bus.clock.advance(1);
  return bus;
}

test.each([0, 1, 2, 3])(
  'a delivery that is replayed after %i reads of a drop is not lost',
  async (reads) => {
    const bus = await deadJob();
    const release = bus.hold('scan', reads);
    const pass = bus.trimmer.pass();
    await bus.rest();
    replayFirst(bus);
    await release();
    await pass;
    await bus.trim();
    const next = await bus.reopen();
    expect((await next.consumer('q', 't')).bodies()).toEqual(['a']);
    expect(await next.problems()).toEqual([]);
  },
);

test.each([1, 2, 3])(
  'a survivor that is replayed after %i reads of a sweep is not lost',
  async (reads) => {
    const bus = await deadJob();
    await bus.trim();
    expect(kept(bus, 'J')).toBe(1);
    const release = bus.hold('scan', reads);
    const pass = bus.trimmer.pass();
    await bus.rest();
    replayFirst(bus);
    await release();
    await pass;
    await bus.store.committer.flush();
    expect(kept(bus, 'J')).toBe(1);
    expect((await bus.consumer('q', 't')).bodies()).toEqual(['a']);
  },
);

test.each([0, 1, 2])(
  'an idempotency key that is taken again after %i reads of a sweep is kept',
  async (reads) => {
    const bus = await openBus(queue('q', [topic('t')]));
    const key = { idempotencyKey: 'k', idempotencyWindowMs: 1_000 };
    await bus.append('q', ['a', key]);
    await bus.clock.advance(1_500);
    const release = bus.hold('scan', reads);
    const pass = bus.trimmer.pass();
    await bus.rest();
    await bus.append('q', ['b', key]);
    await release();
    await pass;
    await bus.trim();
    const [again] = (await bus.append('q', ['c', key])).exceptions;
    expect(again?.duplicateOf).toBe(bus.store.shard('q').idOf(bus.clock.now(), 1));
  },
);

test('idempotency keys go when their window is over', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  for (let i = 0; i < 5; i++)
    await bus.append('q', ['a', { idempotencyKey: `k${i}`, idempotencyWindowMs: 1_000 }]);
  await bus.clock.advance(999);
  await bus.trim();
  expect(kept(bus, 'K')).toBe(5);
  await bus.clock.advance(1);
  await bus.trim();
  expect([kept(bus, 'K'), kept(bus, 'E')]).toEqual([0, 0]);
});

test('a topic that comes while a record is dropped gets all of it or nothing', async () => {
  const bus = await doneJobs('a', 'b');
  await bus.clock.advance(RETENTION_MS);
  const release = bus.hold('scan');
  const pass = bus.trimmer.pass();
  await bus.rest();
  const all = topic('all', { start: keeper.TopicStart.BEGINNING });
  const configured = bus.configure(queue('q', [topic('t'), all], { retentionMs: RETENTION_MS }));
  await bus.rest();
  await release();
  await Promise.all([pass, configured]);
  await bus.trim();
  expect((await bus.consumer('q', 'all')).bodies()).toEqual(['a', 'b']);
});

test('a heap of delayed jobs outlives its records a part at a time', async () => {
  const bus = await openBus(queue('q', [topic('t')], { retentionMs: RETENTION_MS }));
  const deliverAtMs = bus.clock.now() + 2 * RETENTION_MS;
  const jobs = Array.from({ length: 12_000 }, (_, i) => [`${i}`, { deliverAtMs }] as const);
  for (let at = 0; at < jobs.length; at += 1_000)
    await bus.append(
      'q',
      ...jobs.slice(at, at + 1_000).map(([body, options]): TestJob => [body, options]),
    );
  const survivors = (): number =>
    bus.disk.scan({ start: 'J', end: 'J\xff', limit: 100_000 }).length;
  await bus.clock.advance(RETENTION_MS);
  await bus.trim();
  expect(survivors()).toBeGreaterThanOrEqual(5_000);
  expect(survivors()).toBeLessThan(7_000);
  for (let i = 0; i < 3; i++) await bus.trim();
  expect([survivors(), logRecords(bus)]).toEqual([12_000, 0]);
  expect(bus.counts('q', 't')).toMatchObject({ scheduled: 12_000 });
  const consumer = await bus.consumer('q', 't', 20);
  await bus.pass(RETENTION_MS);
  expect(consumer.bodies()).toEqual(jobs.slice(0, 20).map(([body]) => body));
  expect(await bus.problems()).toEqual([]);
}, 30_000);
