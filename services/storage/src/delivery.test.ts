import { common, keeper } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { openBus, queue, type TestBus, topic } from './bus.suite.js';

const { RETRY, DEAD, DONE } = common.OutcomeKind;
const LEASE_MS = 16_000;

const bodies = (runs: common.JobRun[]): number => runs.reduce((sum, { count }) => sum + count, 0);

test('what is appended is delivered to every topic, byte for byte', async () => {
  const bus = await openBus(queue('q', [topic('t'), topic('u')]));
  const t = await bus.consumer('q', 't');
  const u = await bus.consumer('q', 'u');
  await bus.append('q', 'a', 'b\0\xff', '');
  await bus.rest();
  for (const consumer of [t, u]) expect(consumer.bodies()).toEqual(['a', 'b\0\xff', '']);
  await t.done();
  expect(bus.counts('q', 't')).toMatchObject({ done: 3, leased: 0 });
  expect(bus.counts('q', 'u')).toMatchObject({ done: 0, leased: 3 });
});

test('a subscription holds no more leases than it has credits', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  const consumer = await bus.consumer('q', 't', 2);
  await bus.append('q', 'a', 'b', 'c', 'd', 'e');
  await bus.rest();
  expect(consumer.bodies()).toEqual(['a', 'b']);
  await consumer.done();
  expect(consumer.bodies()).toEqual(['c', 'd']);
  await consumer.credits(3);
  expect(consumer.bodies()).toEqual(['c', 'd', 'e']);
});

test('a stream that ends gives its deliveries back at once', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  const first = await bus.consumer('q', 't');
  await bus.append('q', 'a', 'b');
  await bus.rest();
  const second = await bus.consumer('q', 't');
  expect(second.bodies()).toEqual([]);
  await first.close();
  expect(second.bodies()).toEqual(['a', 'b']);
  expect(second.runs[0]?.attempt).toBe(1);
});

test('a lease that is over is a failed attempt, and its late answer changes nothing', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  const consumer = await bus.consumer('q', 't', 1);
  await bus.append('q', 'a');
  await bus.rest();
  const [late] = consumer.leases();
  await bus.pass(LEASE_MS);
  await consumer.say(late as number, DONE);
  expect(bus.counts('q', 't')).toMatchObject({ done: 0, scheduled: 1 });
  await bus.pass(100);
  expect(consumer.runs[1]?.attempt).toBe(2);
  const page = await bus.browser.job(
    bus.store.shard('q').idOf(consumer.runs[1]?.acceptedAtMs ?? 0, 0),
  );
  expect(page.deliveries[0]?.history).toMatchObject([{ errorCode: 'LEASE_EXPIRED', number: 1 }]);
});

test('leases of a former life are stale', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  const consumer = await bus.consumer('q', 't');
  await bus.append('q', 'a');
  await bus.rest();
  const leases = consumer.leases();
  const next = await bus.reopen();
  const again = await next.consumer('q', 't');
  expect(again.bodies()).toEqual(['a']);
  const outcomes = leases.map((leaseId) => common.Outcome.fromPartial({ leaseId, kind: DONE }));
  expect(next.store.settle(outcomes)).toEqual(leases);
  expect(next.counts('q', 't')).toMatchObject({ done: 0, leased: 1 });
});

test('one range of leases may span runs, stale ones and those of entries', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  const consumer = await bus.consumer('q', 't');
  await bus.append('q', 'a', ['b', { priority: 3 }], 'c');
  await bus.rest();
  const [, second] = consumer.leases();
  await consumer.say(second as number, RETRY);
  const first = Math.min(...consumer.leases());
  bus.store.settleDone({ firstLeaseId: first - 2, count: 9 });
  expect(bus.counts('q', 't')).toMatchObject({ done: 2, leased: 0, scheduled: 1 });
  await bus.store.committer.flush();
  expect(await bus.problems()).toEqual([]);
});

test('retries come back when their pause is over', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  const consumer = await bus.consumer('q', 't');
  await bus.append('q', 'a');
  await bus.rest();
  await consumer.say(consumer.leases()[0] as number, RETRY, { error: 'no' });
  await bus.pass(99);
  expect(consumer.runs).toHaveLength(1);
  await bus.pass(1);
  expect(consumer.runs[1]).toMatchObject({ attempt: 2, firstSeq: 0 });
});

test('counters tell what is due without any consumer', async () => {
  const bus = await openBus(queue('q', [topic('t'), topic('d', { delayMs: 500 })]));
  await bus.append('q', ['a', { deliverAtMs: bus.clock.now() + 300 }], 'b');
  await bus.rest();
  expect(bus.counts('q', 't')).toMatchObject({ ready: 1, scheduled: 1 });
  await bus.pass(300);
  expect(bus.counts('q', 't')).toMatchObject({ ready: 2, scheduled: 0 });
  expect(bus.counts('q', 'd')).toMatchObject({ ready: 0, scheduled: 2 });
  await bus.pass(200);
  expect(bus.counts('q', 'd')).toMatchObject({ ready: 2, scheduled: 0 });
});

test('counters tell what is due right after a start', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  await bus.append('q', ['a', { deliverAtMs: bus.clock.now() + 300 }]);
  await bus.clock.advance(1_000);
  const next = await bus.reopen();
  expect(next.counts('q', 't')).toMatchObject({ ready: 1, scheduled: 0 });
});

test('a fetch leases what is ready, and waits for the first job if asked to', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  expect(await bus.fetch({ queue: 'q', topic: 't', maxJobs: 5 })).toEqual([]);
  const waiting = bus.fetch({ queue: 'q', topic: 't', maxJobs: 2, waitMs: 1_000 });
  await bus.rest();
  await bus.append('q', 'a', 'b', 'c');
  expect(bodies(await waiting)).toBe(2);
  const late = bus.fetch({ queue: 'q', topic: 't', waitMs: 1_000 });
  expect(bodies(await late)).toBe(1);
  const nothing = bus.fetch({ queue: 'q', topic: 't', waitMs: 1_000 });
  await bus.pass(1_000);
  expect(await nothing).toEqual([]);
});

test('a consumer that gave up gets nothing, and nothing is lost', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  const abort = new AbortController();
  const waiting = bus.fetch({ queue: 'q', topic: 't', waitMs: 60_000 }, abort.signal);
  await bus.rest();
  abort.abort();
  expect(await waiting).toEqual([]);
  await bus.append('q', 'a');
  await bus.rest();
  expect(bus.counts('q', 't')).toMatchObject({ ready: 1, leased: 0 });
});

/** Jobs that only a slow read can find. */
async function forgetfulBus(): Promise<TestBus> {
  const bus = await openBus(queue('q', [topic('t')]));
  return new (bus.constructor as typeof TestBus)({
    queues: [queue('q', [topic('t')])],
    store: { cacheBytes: 0 },
  }).open();
}

test('of two consumers that wait each gets its own job, and what was settled for it', async () => {
  const bus = await forgetfulBus();
  const wish = { queue: 'q', topic: 't', maxJobs: 1, waitMs: 60_000, settle: true };
  const calls = [bus.fetch(wish), bus.fetch(wish), bus.fetch(wish)];
  await bus.rest();
  const release = bus.hold('readLog');
  await bus.append('q', 'a');
  await bus.append('q', 'b');
  await bus.append('q', 'c');
  await bus.rest();
  await release();
  await bus.pass(250);
  expect((await Promise.all(calls)).map(bodies)).toEqual([1, 1, 1]);
  expect(bus.counts('q', 't')).toMatchObject({ done: 3, leased: 0, ready: 0 });
});

test('a wait that ends while its job is being read ends with the job', async () => {
  const bus = await forgetfulBus();
  const call = bus.fetch({ queue: 'q', topic: 't', waitMs: 1_000, settle: true });
  await bus.rest();
  const release = bus.hold('readLog');
  await bus.append('q', 'a');
  await bus.pass(2_000);
  await release();
  expect(bodies(await call)).toBe(1);
  expect(bus.counts('q', 't')).toMatchObject({ done: 1 });
});

test('an append that a new configuration overtakes leaves nothing behind', async () => {
  const bus = await openBus(queue('q', [topic('t'), topic('u')]));
  const release = bus.hold('commit');
  const appended = bus.append('q', ['a', { priority: 4 }]);
  await bus.rest();
  const configured = bus.configure(queue('q', [topic('u'), topic('v')]));
  await bus.rest();
  await release();
  await Promise.all([appended, configured]);
  expect(await bus.problems()).toEqual([]);
  const next = await bus.reopen([queue('q', [topic('t'), topic('u'), topic('v')])]);
  expect(await next.problems()).toEqual([]);
  expect(next.counts('q', 't').ready + next.counts('q', 'u').ready).toBe(2);
  expect(next.counts('q', 'v').ready).toBe(0);
});

test('a scan of due deliveries misses none that came while it ran', async () => {
  const first = await openBus(queue('q', [topic('t')]));
  await first.append('q', ['a', { deliverAtMs: first.clock.now() + 5 }]);
  await first.clock.advance(100);
  const bus = await first.reopen([]);
  const release = bus.hold('scan');
  await bus.configure(queue('q', [topic('t')]));
  await bus.append('q', ['b', { priority: 0, deliverAtMs: bus.clock.now() - 50 }]);
  await bus.rest();
  await release();
  await bus.pass(300);
  const consumer = await bus.consumer('q', 't');
  expect(consumer.bodies().sort()).toEqual(['a', 'b']);
});

test('a new topic starts with what is retained or with what comes, as its document says', async () => {
  const bus = await openBus(queue('q', []));
  await bus.append('q', 'old-1', 'old-2');
  const { BEGINNING, NOW } = keeper.TopicStart;
  const topics = [topic('all', { start: BEGINNING }), topic('new', { start: NOW })];
  await bus.configure(queue('q', topics));
  await bus.append('q', 'young');
  expect((await bus.consumer('q', 'all')).bodies()).toEqual(['old-1', 'old-2', 'young']);
  expect((await bus.consumer('q', 'new')).bodies()).toEqual(['young']);
});

test('a subscription to a topic that is still to come begins with it', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  const consumer = await bus.consumer('q', 'later');
  await bus.configure(queue('q', [topic('t'), topic('later')]));
  await bus.append('q', 'a');
  await bus.rest();
  expect(consumer.bodies()).toEqual(['a']);
});

test('a subscription that ended with leases of its own begins again under the same number', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  const consumer = await bus.consumer('q', 't', 1);
  await bus.append('q', 'a', 'b');
  await bus.rest();
  await consumer.unsubscribe();
  await consumer.done();
  expect(consumer.bodies()).toEqual([]);
  await consumer.credits(5);
  expect(consumer.bodies()).toEqual(['b']);
});

test('a queue that is removed keeps what waits and goes on when it is back', async () => {
  const bus = await openBus(queue('q', [topic('t')]), queue('other', []));
  await bus.append('q', 'a');
  await bus.configure(queue('other', []));
  expect((await bus.append('q', 'b')).fault?.code).toBe('UNKNOWN_QUEUE');
  const next = await bus.reopen([queue('q', [topic('t')])]);
  await next.append('q', 'c');
  expect((await next.consumer('q', 't')).bodies()).toEqual(['a', 'c']);
  expect(await next.problems()).toEqual([]);
});

test('with a topic delay every job waits its time, also over a restart', async () => {
  const bus = await openBus(queue('q', [topic('t', { delayMs: 1_000 })]));
  await bus.append('q', 'a');
  await bus.clock.advance(600);
  await bus.append('q', 'b');
  const next = await bus.reopen();
  const consumer = await next.consumer('q', 't');
  await next.pass(399);
  expect(consumer.bodies()).toEqual([]);
  await next.pass(1);
  expect(consumer.bodies()).toEqual(['a']);
  await next.pass(600);
  expect(consumer.bodies()).toEqual(['a', 'b']);
});

test('a job that cannot be read is dead and says why, its neighbours go on', async () => {
  const bus = await forgetfulBus();
  await bus.append('q', 'a');
  await bus.append('q', 'b');
  await bus.rest();
  const broken = bus.disk.logBefore(bus.store.shard('q').id, 0);
  if (broken) broken.bytes = broken.bytes.map((byte) => byte ^ 1);
  const consumer = await bus.consumer('q', 't');
  expect(consumer.bodies()).toEqual(['b']);
  const [dead] = await bus.list('q', 't', common.DeliveryState.DEAD).catch(() => []);
  expect(dead).toBeUndefined();
  expect(bus.counts('q', 't')).toMatchObject({ dead: 1, leased: 1 });
});

test('a disk that is full refuses new jobs, loses none and delivers none until it recovers', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  await bus.append('q', 'a', 'b');
  const consumer = await bus.consumer('q', 't', 1);
  bus.disk.full = 'everything';
  expect((await bus.append('q', 'c')).fault?.code).toBe('DISK_FULL');
  await consumer.done();
  expect(consumer.bodies()).toEqual([]);
  expect(bus.store.notReady()).toHaveLength(1);
  bus.disk.full = 'nothing';
  await bus.pass(250);
  expect(consumer.bodies()).toEqual(['b']);
  expect(bus.store.notReady()).toEqual([]);
  const next = await bus.reopen();
  expect(next.counts('q', 't')).toMatchObject({ done: 1, ready: 1 });
});

test('dead deliveries stay dead over a restart, with their last words', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  const consumer = await bus.consumer('q', 't');
  await bus.append('q', 'a');
  await bus.rest();
  await consumer.say(consumer.leases()[0] as number, DEAD, { errorCode: 'E1', error: 'broken' });
  await bus.store.committer.flush();
  const next = await bus.reopen();
  const [dead] = await next.list('q', 't', common.DeliveryState.DEAD);
  expect(dead).toMatchObject({ errorCode: 'E1', error: 'broken', attempts: 1 });
  expect((await next.consumer('q', 't')).bodies()).toEqual([]);
});
