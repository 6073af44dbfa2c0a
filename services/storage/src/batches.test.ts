import { join } from 'node:path';
import { batches, common, type storage } from '@malabar/contracts';
import { FakeClock, tempDir } from '@malabar/testkit';
import { expect, test } from 'vitest';
import {
  abandonBatches,
  closeBatch,
  ENDED_RETENTION_MS,
  getBatch,
  listBatches,
  openBatch,
} from './batches.js';
import { type Consumer, queue, TestBus, topic } from './bus.suite.js';
import { discard } from './discard.js';
import { createLmdbEngine } from './engines/lmdb.js';

const { DONE, DEAD, RETRY, CRASH } = common.OutcomeKind;
const { BatchState, BatchOn } = batches;
const { READY } = common.DeliveryState;
const HOUR_MS = 3_600_000;

const QUEUES = [
  queue('orders', [topic('ship'), topic('mail')]),
  queue('photos', [topic('scale')]),
  queue('after', [topic('report')]),
];

const openQueues = (): Promise<TestBus> => new TestBus({ queues: QUEUES }).open();

const open = async (
  { store }: TestBus,
  more: Partial<batches.BatchThen> = {},
  expiresAfterMs = 0,
): Promise<string> => {
  const thenJob = batches.BatchThen.fromPartial({ queue: 'after', ...more });
  return (await openBatch(store, { thenJob, expiresAfterMs })).id;
};

const push = (bus: TestBus, queueName: string, batch: string, ...bodies: string[]) =>
  bus.append(queueName, ...bodies.map((body): [string, object] => [body, { batch }]));

/** What followed, oldest first. */
async function followed(bus: TestBus) {
  await bus.rest();
  const jobs = await bus.list('after', 'report', READY, 100);
  return jobs.map(({ job, jobId }) => ({
    jobId,
    body: Buffer.from(job?.body ?? []).toString(),
    headers: job?.headers ?? {},
    key: job?.idempotencyKey,
    contentType: job?.contentType,
    totals: JSON.parse(job?.headers['malabar-batch-totals'] ?? '{}') as Record<string, unknown>,
  }));
}

async function sayAll(consumer: Consumer, kind: common.OutcomeKind, errorCode = ''): Promise<void> {
  const leases = consumer.leases();
  consumer.runs.length = 0;
  for (const lease of leases) await consumer.say(lease, kind, { errorCode, error: 'no luck' });
}

test('when all jobs of several queues have ended, one job follows with the totals', async () => {
  const bus = await openQueues();
  const id = await open(bus, { body: Buffer.from('{"n":7}'), headers: { user: '7' } });
  await push(bus, 'orders', id, 'a', 'b');
  await push(bus, 'photos', id, 'c');
  const [ship, mail, scale] = await Promise.all([
    bus.consumer('orders', 'ship'),
    bus.consumer('orders', 'mail'),
    bus.consumer('photos', 'scale'),
  ]);
  await ship.done();
  await mail.done();
  await closeBatch(bus.store, id);
  expect(await getBatch(bus.store, id)).toMatchObject({
    state: BatchState.CLOSED,
    jobs: 3,
    deliveries: 5,
    done: 4,
  });
  expect(await followed(bus)).toEqual([]);
  await sayAll(scale, DEAD, 'TOO_BIG');
  await bus.pass(10);
  const [then, ...more] = await followed(bus);
  expect(more).toEqual([]);
  const totals = {
    v: 1,
    batch: id,
    state: 'ended',
    jobs: 3,
    deliveries: 5,
    done: 4,
    dead: 1,
    discarded: 0,
    errors: [{ code: 'TOO_BIG', count: 1 }],
  };
  expect(then).toMatchObject({
    body: '{"n":7}',
    headers: { user: '7' },
    key: `batch/${id}`,
    totals,
  });
  const ended = await getBatch(bus.store, id);
  expect(ended).toMatchObject({ state: BatchState.ENDED, thenJobId: then?.jobId, dead: 1 });
  expect(ended.errors).toEqual([
    { code: 'TOO_BIG', count: 1, error: 'no luck', queue: 'photos', topic: 'scale' },
  ]);
  expect(await bus.problems()).toEqual([]);
});

test('without a body of its own the job that follows has the totals as its body', async () => {
  const bus = await openQueues();
  const id = await open(bus);
  await closeBatch(bus.store, id);
  const [then] = await followed(bus);
  expect(JSON.parse(then?.body ?? '')).toEqual(then?.totals);
  expect(then).toMatchObject({ totals: { jobs: 0 }, contentType: 'application/json' });
});

test('retries and crashes end nothing; the last attempt does', async () => {
  const bus = await openQueues();
  const id = await open(bus);
  await push(bus, 'photos', id, 'a');
  await closeBatch(bus.store, id);
  const scale = await bus.consumer('photos', 'scale');
  await sayAll(scale, RETRY, 'E1');
  await bus.pass(100);
  await sayAll(scale, CRASH, 'E2');
  await bus.pass(100);
  expect(await followed(bus)).toEqual([]);
  await sayAll(scale, RETRY, 'E3');
  await bus.pass(10);
  const [then] = await followed(bus);
  expect(then?.totals).toMatchObject({ dead: 1, errors: [{ code: 'E3', count: 1 }] });
});

test('a job that is replayed before the end is open again; after the end it changes nothing', async () => {
  const bus = await openQueues();
  const id = await open(bus);
  await push(bus, 'photos', id, 'a', 'b');
  const scale = await bus.consumer('photos', 'scale');
  await sayAll(scale, DEAD, 'E');
  await bus.store.committer.flush();
  expect(await getBatch(bus.store, id)).toMatchObject({ dead: 2 });
  const [dead] = await bus.list('photos', 'scale', common.DeliveryState.DEAD);
  await bus.replay('photos', 'scale', dead?.jobId as string);
  expect(await getBatch(bus.store, id)).toMatchObject({
    dead: 1,
    done: 0,
    errors: [{ code: 'E', count: 1 }],
  });
  await closeBatch(bus.store, id);
  expect(await followed(bus)).toEqual([]);
  await scale.done();
  await bus.pass(10);
  expect((await followed(bus)).map(({ totals }) => totals)).toMatchObject([{ done: 1, dead: 1 }]);
  await bus.replay('photos', 'scale');
  await scale.done();
  await bus.pass(10);
  expect(await followed(bus)).toHaveLength(1);
  expect(await getBatch(bus.store, id)).toMatchObject({ done: 1, dead: 1 });
});

test('what expires or is taken back counts as discarded, also what was dead', async () => {
  const bus = await openQueues();
  const id = await open(bus, { on: BatchOn.SUCCESS });
  await push(bus, 'photos', id, 'a', 'b');
  await bus.append('photos', ['c', { batch: id, expiresAtMs: bus.clock.now() + 50 }]);
  const scale = await bus.consumer('photos', 'scale', 1);
  await sayAll(scale, DEAD, 'E');
  await scale.close();
  await bus.pass(1_000);
  const { store, browser } = bus;
  const jobIds = ['a', 'b'].map((_, seq) => store.shard('photos').idOf(bus.clock.now(), seq));
  const [first] = await bus.list('photos', 'scale', common.DeliveryState.DEAD);
  jobIds[0] = first?.jobId as string;
  jobIds[1] = (await bus.list('photos', 'scale', READY))[0]?.jobId as string;
  await discard(store, browser, { queue: 'photos', topic: '', jobIds, reason: 'no' });
  expect(await getBatch(store, id)).toMatchObject({ done: 0, dead: 0, discarded: 3 });
  await closeBatch(store, id);
  // It has not ended well.
  expect(await followed(bus)).toEqual([]);
  expect((await getBatch(store, id)).state).toBe(BatchState.ENDED);
});

test('an ended batch takes no more jobs; a closed one does, from those that still run', async () => {
  const bus = await openQueues();
  const id = await open(bus);
  await push(bus, 'photos', id, 'a');
  await closeBatch(bus.store, id);
  await push(bus, 'photos', id, 'b');
  const scale = await bus.consumer('photos', 'scale');
  await scale.done();
  await bus.pass(10);
  expect((await followed(bus))[0]?.totals).toMatchObject({ jobs: 2, done: 2 });
  const late = await push(bus, 'photos', id, 'c');
  expect(late.exceptions[0]?.fault).toMatchObject({ code: 'NOT_FOUND' });
  expect(bus.counts('photos', 'scale')).toMatchObject({ done: 2, ready: 0 });
  expect((await closeBatch(bus.store, id)).state).toBe(BatchState.ENDED);
});

test('a duplicate is not in the batch a second time', async () => {
  const bus = await openQueues();
  const id = await open(bus);
  for (let i = 0; i < 2; i++)
    await bus.append('photos', ['a', { batch: id, idempotencyKey: 'once' }]);
  expect(await getBatch(bus.store, id)).toMatchObject({ jobs: 1, deliveries: 1 });
});

test('a job whose place a later one takes counts as discarded, in the batch that it is in', async () => {
  const bus = await openQueues();
  const id = await open(bus);
  const key = { idempotencyKey: 'k', debounceMs: 1_000 };
  await bus.append('photos', ['a', { batch: id, ...key }]);
  await closeBatch(bus.store, id);
  await bus.append('photos', ['b', key]);
  await bus.pass(10);
  expect((await followed(bus)).map(({ totals }) => totals)).toMatchObject([
    { jobs: 1, discarded: 1, errors: [{ code: 'REPLACED', count: 1 }] },
  ]);
});

test('a batch that nobody closes expires, says so, and ALWAYS is followed', async () => {
  const bus = await openQueues();
  const always = await open(bus, {}, HOUR_MS);
  const success = await open(bus, { on: BatchOn.SUCCESS }, HOUR_MS);
  await push(bus, 'photos', always, 'a');
  await bus.clock.advance(HOUR_MS);
  await bus.trim();
  await bus.rest();
  expect(await followed(bus)).toMatchObject([
    { totals: { batch: always, state: 'expired', jobs: 1, deliveries: 1, done: 0 } },
  ]);
  expect((await getBatch(bus.store, success)).state).toBe(BatchState.EXPIRED);
  await expect(closeBatch(bus.store, success)).rejects.toMatchObject({ code: 'CONFLICT' });
  expect(bus.log.filter((entry) => /has expired/.test(JSON.stringify(entry)))).toHaveLength(2);
});

test('one that was abandoned is followed by nothing', async () => {
  const bus = await openQueues();
  const id = await open(bus);
  await push(bus, 'photos', id, 'a');
  const foreign = { queue: 'photos', ids: [id] };
  await expect(abandonBatches(bus.store, foreign)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  const [batch] = await abandonBatches(bus.store, { queue: 'after', ids: [id] });
  expect(batch?.state).toBe(BatchState.ABANDONED);
  const scale = await bus.consumer('photos', 'scale');
  await scale.done();
  await bus.pass(10);
  expect(await followed(bus)).toEqual([]);
  await expect(closeBatch(bus.store, id)).rejects.toMatchObject({ code: 'CONFLICT' });
});

test('counts survive a crash; what was not durable is delivered and counted again, once', async () => {
  let bus = await openQueues();
  const id = await open(bus);
  await push(bus, 'photos', id, 'a', 'b', 'c');
  await closeBatch(bus.store, id);
  let scale = await bus.consumer('photos', 'scale');
  const [a, b] = scale.leases() as [number, number];
  await scale.say(a, DONE);
  await bus.pass(10);
  // Said, but the process dies before the disk hears of it.
  bus.hold('commit');
  await scale.say(b, DONE);
  await bus.pass(10);
  bus = await bus.reopen();
  expect(await getBatch(bus.store, id)).toMatchObject({ jobs: 3, done: 1 });
  scale = await bus.consumer('photos', 'scale');
  expect(scale.bodies()).toEqual(['b', 'c']);
  await scale.done();
  await bus.pass(10);
  bus = await bus.reopen();
  expect((await followed(bus)).map(({ totals }) => totals)).toMatchObject([{ jobs: 3, done: 3 }]);
  expect(bus.store.batches.size).toBe(0);
});

test('an end that the disk refuses comes later, with its job, once', async () => {
  const bus = await openQueues();
  const id = await open(bus);
  await push(bus, 'photos', id, 'a');
  await closeBatch(bus.store, id);
  const scale = await bus.consumer('photos', 'scale');
  bus.disk.full = 'everything';
  await scale.done();
  await bus.pass(300);
  bus.disk.full = 'nothing';
  await bus.pass(300);
  const [then, ...more] = await followed(bus);
  expect(more).toEqual([]);
  expect(await getBatch(bus.store, id)).toMatchObject({
    state: BatchState.ENDED,
    thenJobId: then?.jobId,
  });
});

test('a job that comes with the close is in the batch', async () => {
  const bus = await openQueues();
  const id = await open(bus);
  const letGo = bus.hold('commit');
  const other = bus.append('photos', 'other');
  await bus.rest();
  const closed = closeBatch(bus.store, id);
  const pushed = push(bus, 'photos', id, 'a');
  await letGo();
  await Promise.all([other, closed]);
  expect((await pushed).exceptions).toEqual([]);
  expect(await followed(bus)).toEqual([]);
  const scale = await bus.consumer('photos', 'scale');
  await scale.done();
  await bus.pass(10);
  expect((await followed(bus))[0]?.totals).toMatchObject({ jobs: 1, done: 1 });
});

test('where the queue is gone that should get the job, the batch says so', async () => {
  const bus = await openQueues();
  const id = await open(bus);
  await bus.configure(...QUEUES.slice(0, 2));
  await closeBatch(bus.store, id);
  expect(await getBatch(bus.store, id)).toMatchObject({
    state: BatchState.ENDED,
    thenJobId: '',
    thenFault: { code: 'UNKNOWN_QUEUE' },
  });
});

test('a full queue takes the job that follows all the same', async () => {
  const full = queue('after', [topic('report')], { waitingMax: 1 });
  const bus = await new TestBus({ queues: [...QUEUES.slice(0, 2), full] }).open();
  await bus.append('after', 'x');
  await closeBatch(bus.store, await open(bus));
  expect(await followed(bus)).toHaveLength(2);
});

test('lists page by page, latest first, what is open before what has ended', async () => {
  const bus = await openQueues();
  const ids: string[] = [];
  for (let i = 0; i < 7; i++) {
    await bus.clock.advance(5);
    ids.push(await open(bus));
  }
  for (const id of ids.slice(0, 4)) await closeBatch(bus.store, id);
  const all = async (request: Partial<storage.ListBatchesRequest>): Promise<string[]> => {
    const found: string[] = [];
    let cursor = '';
    do {
      const page = await listBatches(bus.store, { state: 0, limit: 2, cursor, ...request });
      found.push(...page.batches.map(({ id }) => id));
      cursor = page.nextCursor;
    } while (cursor !== '');
    return found;
  };
  const [open0, ended] = [ids.slice(4).reverse(), ids.slice(0, 4).reverse()];
  expect(await all({})).toEqual([...open0, ...ended]);
  expect(await all({ state: BatchState.ENDED })).toEqual(ended);
  await expect(listBatches(bus.store, { state: 0, limit: 2, cursor: 'x' })).rejects.toMatchObject({
    code: 'INVALID',
  });
});

test('an ended batch is forgotten after its time', async () => {
  const bus = await openQueues();
  const id = await open(bus);
  await closeBatch(bus.store, id);
  await bus.clock.advance(ENDED_RETENTION_MS);
  await bus.trim();
  expect((await getBatch(bus.store, id)).id).toBe(id);
  await bus.clock.advance(1);
  await bus.trim();
  await expect(getBatch(bus.store, id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

test('what a batch needs is checked when it is opened', async () => {
  const bus = await openQueues();
  await expect(open(bus, { queue: 'none' })).rejects.toMatchObject({ code: 'UNKNOWN_QUEUE' });
  await expect(open(bus, {}, 31 * 24 * HOUR_MS)).rejects.toMatchObject({ code: 'INVALID' });
  const body = Buffer.alloc(65_537);
  await expect(open(bus, { body })).rejects.toMatchObject({ code: 'TOO_LARGE' });
});

/** A consumer does so many jobs and goes. */
async function doneBy(bus: TestBus, jobs: number): Promise<void> {
  const scale = await bus.consumer('photos', 'scale', 500);
  for (let done = 0; done < jobs; await bus.pass(1)) {
    done += scale.leases().length;
    await scale.done();
  }
  await scale.close();
}

test('of a batch of 20,000 jobs memory holds counts, and the next life goes on with them', async () => {
  const clock = new FakeClock();
  const path = join(tempDir('batch'), 'store');
  const live = (): Promise<TestBus> =>
    new TestBus({ queues: QUEUES, clock, store: { engine: createLmdbEngine({ path }) } }).open();
  let bus = await live();
  const id = await open(bus);
  const bodies = Array.from({ length: 1_000 }, (_, i) => `${i}`);
  for (let i = 0; i < 20; i++) await push(bus, 'photos', id, ...bodies);
  await closeBatch(bus.store, id);
  await doneBy(bus, 10_000);
  await bus.store.close();
  bus = await live();
  expect(await getBatch(bus.store, id)).toMatchObject({ jobs: 20_000, done: 10_000 });
  expect(bus.store.topic('photos', 'scale').entriesInMemory).toBeLessThanOrEqual(2_048);
  await doneBy(bus, 10_000);
  await bus.pass(10);
  await bus.store.committer.flush();
  expect((await followed(bus)).map(({ totals }) => totals)).toMatchObject([
    { jobs: 20_000, done: 20_000 },
  ]);
  await bus.store.close();
});
