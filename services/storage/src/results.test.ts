import { common, keeper } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { bodiesOf, openBus, queue, TestBus, topic } from './bus.suite.js';

const { RETRY, DEAD, DONE, RELEASE, EXTEND } = common.OutcomeKind;
const { READY } = common.DeliveryState;
const { ResultStatus } = keeper;
const ALL = [
  ResultStatus.DONE,
  ResultStatus.RETRYING,
  ResultStatus.FAILED,
  ResultStatus.DEAD,
  ResultStatus.DISCARDED,
];

/** The topic `paid/ship` tells the queue `results`. */
const telling = (of = ALL, limits: Partial<keeper.QueueConfig> = {}): keeper.QueueConfig[] => [
  queue('paid', [topic('ship', { result: { queue: 'results', of } })]),
  queue('results', [topic('log')], limits),
];

const openTelling = (of = ALL, limits?: Partial<keeper.QueueConfig>): Promise<TestBus> =>
  openBus(...telling(of, limits));

/** What the queue of results was told, oldest first. */
async function told(bus: TestBus) {
  const log = await bus.consumer('results', 'log');
  const bodies = log.bodies();
  await log.close();
  return bodies.map((body) => JSON.parse(body) as Record<string, unknown>);
}

const statuses = async (bus: TestBus): Promise<unknown[]> =>
  (await told(bus)).map(({ status }) => status);

test('a result says everything about the attempt that was done', async () => {
  const bus = await openTelling();
  const ship = await bus.consumer('paid', 'ship');
  const { acceptedAtMs } = await bus.append('paid', '{"order":12345678901234567890}');
  await bus.rest();
  const startedAtMs = bus.clock.now();
  const more = { startedAtMs, durationMs: 12, consumer: 'w1', output: 'said', exitCode: 0 };
  await ship.say(ship.leases()[0] as number, DONE, more);
  await bus.pass(10);
  const jobId = bus.store.shard('paid').idOf(acceptedAtMs, 0);
  const log = await bus.consumer('results', 'log');
  const [body = ''] = log.runs.flatMap(bodiesOf);
  expect(JSON.parse(body)).toMatchObject({
    v: 1,
    queue: 'paid',
    topic: 'ship',
    event: 'paid',
    task: 'ship',
    jobId,
    attempt: 1,
    status: 'done',
    startedAtMs,
    durationMs: 12,
    consumer: 'w1',
    code: '',
    message: '',
    headers: {},
    output: 'said',
    exitCode: 0,
  });
  expect(body).toContain('"params":{"order":12345678901234567890}');
});

test('a result carries the headers of the job and a key of its own', async () => {
  const bus = await openTelling();
  const given = { headers: { run: '7' }, key: 'user-1' };
  await bus.append('paid', ['not json', {}, given]);
  await bus.fetch({ queue: 'paid', topic: 'ship', maxJobs: 1, settle: true, consumer: 'f' });
  const [{ job } = { job: undefined }, ...others] = await bus.list('results', 'log', READY);
  expect(others).toEqual([]);
  const said = JSON.parse(Buffer.from(job?.body ?? []).toString());
  expect(said).toMatchObject({ status: 'done', headers: { run: '7' }, consumer: 'f' });
  expect(said).not.toHaveProperty('params');
  expect(job).toMatchObject({
    contentType: 'application/json',
    key: 'user-1',
    idempotencyKey: `${said.jobId}/ship/1/done`,
  });
});

test('retries, refusals and exhaustion are told apart; giving back and asking for time are no results', async () => {
  const bus = await openTelling();
  const ship = await bus.consumer('paid', 'ship', 1);
  await bus.append('paid', 'a');
  await bus.rest();
  const last = (): number => ship.leases().at(-1) as number;
  await ship.say(last(), EXTEND);
  await ship.say(last(), RELEASE);
  for (let attempt = 1; attempt <= 3; attempt++) {
    await ship.say(last(), RETRY, { error: `no ${attempt}`, errorCode: 'E' });
    await bus.pass(100);
  }
  await bus.append('paid', 'b');
  await bus.rest();
  await ship.say(last(), DEAD);
  await bus.pass(10);
  expect(
    (await told(bus)).map(({ status, attempt, message }) => [status, attempt, message]),
  ).toEqual([
    ['retrying', 1, 'no 1'],
    ['retrying', 2, 'no 2'],
    ['dead', 3, 'no 3'],
    ['failed', 1, ''],
  ]);
});

test('an expired lease and an expired job are told as well', async () => {
  const bus = await openTelling();
  const ship = await bus.consumer('paid', 'ship', 1);
  await bus.append('paid', 'a');
  await bus.rest();
  await bus.pass(16_000);
  await ship.close();
  await bus.append('paid', ['late', { expiresAtMs: bus.clock.now() + 10 }]);
  await bus.pass(20);
  await bus.consumer('paid', 'ship');
  await bus.trim();
  const [expired, discarded] = await told(bus);
  expect(expired).toMatchObject({ status: 'retrying', code: 'LEASE_EXPIRED', durationMs: 16_000 });
  expect(discarded).toMatchObject({ status: 'discarded', code: 'EXPIRED', attempt: 0 });
});

test('only what is asked for is told', async () => {
  const bus = await openTelling([ResultStatus.DEAD]);
  const ship = await bus.consumer('paid', 'ship', 3);
  await bus.append('paid', 'a', 'b', 'c');
  await bus.rest();
  const [a, b, c] = ship.leases() as [number, number, number];
  await ship.say(a, DONE);
  await ship.say(b, RETRY);
  await ship.say(c, DEAD);
  await bus.pass(10);
  expect(await statuses(bus)).toEqual([]);
});

test('a full queue takes results, and they count for its limit', async () => {
  const bus = await openTelling(ALL, { waitingMax: 1 });
  await bus.append('results', 'in the way');
  const ship = await bus.consumer('paid', 'ship');
  await bus.append('paid', 'a', 'b');
  await bus.rest();
  await ship.done();
  await bus.pass(10);
  expect(bus.counts('results', 'log').ready).toBe(3);
  expect((await bus.append('results', 'more')).exceptions[0]?.fault?.code).toBe('QUEUE_FULL');
});

test('a refused commit loses no result, and none is told twice', async () => {
  const bus = await openTelling();
  const ship = await bus.consumer('paid', 'ship');
  await bus.append('paid', 'a', 'b');
  await bus.rest();
  bus.disk.full = 'everything';
  await ship.done();
  await bus.pass(600);
  expect(bus.store.committer.failing).toBe(true);
  bus.disk.full = 'nothing';
  await bus.pass(300);
  expect(await statuses(bus)).toEqual(['done', 'done']);
  expect(await bus.problems()).toEqual([]);
});

test('after a crash there is an outcome with its result, or neither', async () => {
  const bus = await openTelling();
  const ship = await bus.consumer('paid', 'ship');
  await bus.append('paid', 'a');
  await bus.rest();
  const release = bus.hold('commit');
  await ship.done();
  await bus.pass(10);
  const before = await bus.reopen();
  expect(before.counts('paid', 'ship')).toMatchObject({ done: 0, ready: 1 });
  expect(before.counts('results', 'log').ready).toBe(0);
  await release();
});

test('an outcome waits for the job that its result is about, and is durable with it', async () => {
  const bus = await new TestBus({ queues: telling(), store: { cacheBytes: 0 } }).open();
  await bus.append('paid', 'a');
  const [run] = await bus.fetch({ queue: 'paid', topic: 'ship', maxJobs: 1 });
  const release = bus.hold('readLog');
  bus.store.settle([common.Outcome.fromPartial({ leaseId: run?.firstLeaseId, kind: DONE })]);
  await bus.pass(10);
  const without = await bus.reopen();
  expect(without.counts('paid', 'ship').done).toBe(0);
  await release();
});

test('a queue of results that is configured no more takes none, and nothing waits for it', async () => {
  const bus = await openTelling();
  const ship = await bus.consumer('paid', 'ship');
  await bus.append('paid', 'a');
  await bus.rest();
  await bus.configure(telling()[0] as keeper.QueueConfig);
  await ship.done();
  await bus.pass(10);
  expect(bus.counts('paid', 'ship').done).toBe(1);
  expect(bus.store.committer.failing).toBe(false);
  expect(bus.log[0]).toMatchObject({ fields: { queue: 'results', results: 1 } });
});
