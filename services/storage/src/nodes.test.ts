import { common } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { openBus, queue, type TestBus, type TestJob, topic } from './bus.suite.js';

const { READY, SCHEDULED, DISCARDED, DEAD: IS_DEAD } = common.DeliveryState;
const { RETRY, DEAD, RELEASE } = common.OutcomeKind;
const WAIT_MS = 10_000;

const open = (): Promise<TestBus> => openBus(queue('q', [topic('t')]));
const at = (bus: TestBus, node: string, credits = 100) => bus.consumer('q', 't', credits, node);
/** A job for one node only. */
const job = (body: string, node: string, more = {}): TestJob => [
  body,
  { node, nodeWaitMs: WAIT_MS, ...more },
];

test('a job for a node goes to the dispatcher of that node and to nobody else', async () => {
  const bus = await open();
  const [one, two, nowhere] = [await at(bus, 'n1'), await at(bus, 'n2'), await at(bus, '')];
  await bus.append('q', job('a', 'n1'), job('b', 'n2'), job('c', 'n3'));
  await bus.rest();
  expect([one.bodies(), two.bodies(), nowhere.bodies()]).toEqual([['a'], ['b'], []]);
  expect(await bus.fetch({ queue: 'q', topic: 't', maxJobs: 5 })).toEqual([]);
  expect(bus.counts('q', 't')).toMatchObject({ ready: 1, leased: 2 });
  expect((await at(bus, 'n3')).bodies()).toEqual(['c']);
});

test('what waits for a node that is away holds nobody up', async () => {
  const bus = await open();
  const one = await at(bus, 'n1', 2);
  const away = Array.from({ length: 3_000 }, (_, i) => job(`away-${i}`, 'n9'));
  await bus.append('q', ...away, 'free', job('mine', 'n1'));
  await bus.rest();
  expect(one.bodies().sort()).toEqual(['free', 'mine']);
  expect(bus.counts('q', 't')).toMatchObject({ ready: 3_000, leased: 2 });
});

test('a store whose jobs wait for somebody who is away sleeps', async () => {
  const bus = await open();
  await at(bus, 'n1');
  const forEver = { nodeWaitMs: 0 };
  const away = Array.from({ length: 5_000 }, (_, i) => job(`away-${i}`, 'n9', forEver));
  await bus.append('q', ...away);
  await bus.rest();
  const scans = bus.disk.scans;
  await bus.pass(10_000);
  // Four times a second something may be counted, not a thousand times.
  expect(bus.disk.scans - scans).toBeLessThan(200);
  expect(bus.counts('q', 't')).toMatchObject({ ready: 5_000 });
});

test('a retry, a release and a replay stay with the node', async () => {
  const bus = await open();
  await bus.append('q', job('a', 'n1'));
  const first = await at(bus, 'n1');
  const other = await at(bus, 'n2');
  await first.say(first.leases()[0] as number, RETRY);
  await bus.pass(100);
  await first.say(first.leases()[1] as number, RELEASE);
  await first.say(first.leases()[2] as number, DEAD);
  expect((await bus.list('q', 't', IS_DEAD))[0]?.node).toBe('n1');
  await bus.replay('q', 't');
  expect(first.bodies()).toEqual(['a', 'a', 'a', 'a']);
  await first.close();
  expect(bus.counts('q', 't')).toMatchObject({ ready: 1 });
  expect(other.bodies()).toEqual([]);
});

test('a restart keeps for which node a job is, and waits for it anew', async () => {
  const bus = await open();
  await bus.append('q', job('a', 'n1'), job('b', 'n2', { deliverAtMs: bus.clock.now() + 3_000 }));
  await bus.pass(WAIT_MS - 1_000);
  const next = await bus.reopen();
  await next.pass(WAIT_MS - 1_000);
  expect(next.counts('q', 't')).toMatchObject({ ready: 2, discarded: 0 });
  expect((await at(next, 'n2')).bodies()).toEqual(['b']);
  expect((await at(next, 'n1')).bodies()).toEqual(['a']);
  expect(await next.problems()).toEqual([]);
});

test('a node that is away too long is not waited for, and one that is busy is', async () => {
  const bus = await open();
  const busy = await at(bus, 'n1', 1);
  await bus.append('q', job('a', 'n1'), job('b', 'n1'), job('c', 'n9'));
  await bus.pass(WAIT_MS - 1);
  expect(bus.counts('q', 't')).toMatchObject({ ready: 2, discarded: 0 });
  await bus.pass(250);
  expect(bus.counts('q', 't')).toMatchObject({ ready: 1, leased: 1, discarded: 1 });
  expect(await bus.list('q', 't', DISCARDED)).toMatchObject([
    { errorCode: 'NODE_AWAY', error: 'node n9 was away for 10000 ms', node: 'n9' },
  ]);
  await busy.close();
  await bus.pass(WAIT_MS - 1);
  expect(bus.counts('q', 't')).toMatchObject({ ready: 2 });
  await bus.pass(250);
  expect(bus.counts('q', 't')).toMatchObject({ ready: 0, discarded: 3 });
});

test('it says for whom it waits', async () => {
  const bus = await open();
  const later = { deliverAtMs: bus.clock.now() + 60_000, nodeWaitMs: 0 };
  await bus.append('q', 'free', job('a', 'n1'), job('b', 'n2', later), job('c', 'n2'));
  const { topics } = bus.store.shard('q');
  expect(topics.get('t')?.nodes.away).toEqual(['n1', 'n2']);
  const two = await at(bus, 'n2', 0);
  expect(topics.get('t')?.nodes.away).toEqual(['n1']);
  const said = (await bus.list('q', 't', READY, 2)).map(({ job, node, nodeAway }) => [
    Buffer.from(job?.body ?? '').toString(),
    node,
    nodeAway,
  ]);
  expect(said.sort()).toEqual([
    ['a', 'n1', true],
    ['c', 'n2', false],
    ['free', '', false],
  ]);
  expect(await bus.list('q', 't', SCHEDULED)).toMatchObject([{ node: 'n2', nodeAway: false }]);
  await two.close();
  expect((await bus.list('q', 't', SCHEDULED))[0]?.nodeAway).toBe(true);
});

test('an expired job goes without anybody who takes it', async () => {
  const bus = await open();
  await bus.append(
    'q',
    ['gone', { expiresAtMs: 1 }],
    ['later', { expiresAtMs: bus.clock.now() + 5_000 }],
  );
  await bus.pass(300);
  expect(bus.counts('q', 't')).toMatchObject({ ready: 1, discarded: 1 });
  await bus.pass(5_300);
  expect(bus.counts('q', 't')).toMatchObject({ ready: 0, discarded: 2 });
});

test('each dispatcher has the whole concurrency where it is not to be divided', async () => {
  const bus = await openBus(queue('q', [topic('t', { concurrency: 3, concurrencyEach: true })]));
  const shares: number[] = [];
  for (const name of ['one', 'two']) {
    const session = bus.store.delivery.openSession(name, name, ({ shares: told }) =>
      shares.push(...told.map(({ concurrency }) => concurrency)),
    );
    const subscribe = [{ id: 1, queue: 'q', topic: 't', credits: 1 }];
    bus.store.delivery.handle(session, { ...NOTHING, dispatcher: name, subscribe });
  }
  expect(shares).toEqual([3, 3]);
});

const NOTHING = { node: '', subscribe: [], unsubscribe: [], done: [], outcomes: [] };
