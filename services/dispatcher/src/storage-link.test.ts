import { common } from '@malabar/contracts';
import type { Logger } from '@malabar/telemetry';
import { FakeClock, logToMemory, seededRandom } from '@malabar/testkit';
import { afterEach, expect, test } from 'vitest';
import type { Delivery } from './delivery.js';
import { StorageDouble } from './storage-double.suite.js';
import { createStorageLink, rangesOf } from './storage-link.js';

const { EXTEND, RELEASE, RETRY } = common.OutcomeKind;
const stops: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

function start() {
  const clock = new FakeClock();
  const storage = new StorageDouble(() => clock.now());
  const { log, entries } = logToMemory<Logger>();
  const link = createStorageLink({
    client: storage,
    name: 'd1',
    node: 'n1',
    clock,
    random: seededRandom(1),
    log,
    turn: setImmediate,
  });
  stops.push(() => link.stop());
  const settle = () => clock.advance(0).then(() => clock.advance(0));
  return { clock, storage, link, entries, settle };
}

function subscriber(topic = 't') {
  const got = { deliveries: [] as Delivery[], calls: 0, shares: [] as number[], losses: 0 };
  return {
    ...got,
    queue: 'q',
    topic,
    leased(deliveries: Delivery[]) {
      this.calls++;
      this.deliveries.push(...deliveries);
    },
    shared(share: number) {
      this.shares.push(share);
    },
    refused() {},
    lost() {
      this.losses++;
    },
  };
}

test.each([
  [[], []],
  [[5], [[5, 1]]],
  [
    [1, 2, 3, 7, 8, 10],
    [
      [1, 3],
      [7, 2],
      [10, 1],
    ],
  ],
  [[3, 1, 2], [[1, 3]]],
])('lease ids %j are the runs %j', (leaseIds, ranges) => {
  expect(rangesOf(leaseIds)).toEqual(
    ranges.map(([firstLeaseId, count]) => ({ firstLeaseId, count })),
  );
});

test('what is said in one turn of the event loop is one message', async () => {
  const { storage, link, settle } = start();
  const one = subscriber();
  link.subscribe(one, 10);
  await settle();
  storage.push('q/t', 'a', 'b', 'c', 'd');
  await settle();
  const before = storage.requests.length;
  const [a, b, c, d] = one.deliveries as [Delivery, Delivery, Delivery, Delivery];
  for (const delivery of [b, a, d]) link.done(delivery);
  link.settle(c, { kind: EXTEND });
  await settle();
  expect(storage.requests.slice(before)).toMatchObject([
    {
      done: [
        { firstLeaseId: a.leaseId, count: 2 },
        { firstLeaseId: d.leaseId, count: 1 },
      ],
      outcomes: [{ leaseId: c.leaseId, kind: EXTEND }],
    },
  ]);
});

test('the jobs of one message come to a topic at once', async () => {
  const { storage, link, settle } = start();
  const one = subscriber();
  storage.push('q/t', 'a', 'b', 'c');
  link.subscribe(one, 10);
  await settle();
  expect([one.calls, one.deliveries.length]).toEqual([1, 3]);
  expect(one.deliveries[1]?.decode().body.toString()).toBe('b');
});

test('after a broken stream every topic is subscribed again, with jitter', async () => {
  const { clock, storage, link, entries, settle } = start();
  const one = subscriber();
  const subscription = link.subscribe(one, 10);
  await settle();
  expect(link.connected).toBe(true);
  storage.cut();
  await settle();
  expect(link.connected).toBe(false);
  expect(one.losses).toBe(1);
  subscription.credits(3);
  await clock.advance(100);
  expect(storage.streams).toBe(2);
  expect(storage.credits('q/t')).toBe(3);
  expect(entries.map(({ message }) => message)).toContain(
    'the Deliver stream broke: the connection was cut',
  );
});

test('an outcome of a lease that a broken stream has ended is not sent', async () => {
  const { clock, storage, link, settle } = start();
  const one = subscriber();
  link.subscribe(one, 1);
  storage.push('q/t', 'a');
  await settle();
  const [old] = one.deliveries as [Delivery];
  storage.cut();
  await clock.advance(1000);
  link.done(old);
  link.settle(old, { kind: RETRY });
  await settle();
  expect(one.deliveries).toHaveLength(2);
  expect([storage.done, storage.outcomes, storage.stale]).toEqual([[], [], []]);
});

test('jobs of a topic that has just gone are put back', async () => {
  const { storage, link, settle } = start();
  const subscription = link.subscribe(subscriber(), 1);
  await settle();
  const run = common.JobRun.fromPartial({ firstLeaseId: 77, subscriptionId: 99 });
  storage.send({ runs: [{ ...run, count: 1, jobs: Uint8Array.of(0) }] });
  await settle();
  subscription.end();
  await settle();
  expect(storage.outcomes).toMatchObject([{ leaseId: 77, kind: RELEASE }]);
});

test('a run that is not what it announces fails with a reason', async () => {
  const { storage, link, settle } = start();
  link.subscribe(subscriber(), 1);
  await settle();
  const run = { firstLeaseId: 5, count: 2, jobs: Uint8Array.of(9, 1), subscriptionId: 1 };
  storage.send({ runs: [common.JobRun.fromPartial(run)] });
  await settle();
  expect(storage.outcomes).toMatchObject([
    { leaseId: 5, kind: RETRY, errorCode: 'CORRUPT' },
    { leaseId: 6, kind: RETRY, errorCode: 'CORRUPT' },
  ]);
});

test('the last outcomes reach storage before a stop ends the stream', async () => {
  const { storage, link, settle } = start();
  const one = subscriber();
  link.subscribe(one, 1);
  storage.push('q/t', 'a');
  await settle();
  link.done(one.deliveries[0] as Delivery);
  await link.stop();
  expect(storage.done).toEqual([1]);
  expect(storage.leased).toBe(0);
});

test('a stop while storage is away ends at once', async () => {
  const { storage, link, settle } = start();
  await settle();
  storage.cut();
  await settle();
  await link.stop();
  expect(storage.streams).toBe(1);
});
