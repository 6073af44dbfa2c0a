import { common, type keeper } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { openBus, queue, type TestBus, type TestJob, topic } from './bus.suite.js';

const { READY, SCHEDULED } = common.DeliveryState;
const { RETRY, RELEASE } = common.OutcomeKind;

const open = (settings: Partial<keeper.TopicConfig>): Promise<TestBus> =>
  openBus(queue('q', [topic('t', settings), topic('plain')]));
const keyed = (more: Partial<keeper.KeyPolicy> = {}): Partial<keeper.TopicConfig> => ({
  key: { concurrency: 1, from: '', strict: false, ...more },
});
/** A job with a key. */
const job = (body: string, key: string, more = {}): TestJob => [
  body,
  { keys: [{ from: '', key }], ...more },
];

test('jobs of one key come one after the other, in their order; those of others do not wait', async () => {
  const bus = await open(keyed());
  const one = await bus.consumer('q', 't');
  const all = await bus.consumer('q', 'plain');
  await bus.append('q', job('a1', 'a'), job('a2', 'a'), job('b1', 'b'), 'free', job('a3', 'a'));
  await bus.rest();
  expect(one.bodies().sort()).toEqual(['a1', 'b1', 'free']);
  expect(all.bodies()).toHaveLength(5);
  expect(bus.counts('q', 't')).toMatchObject({ ready: 2, leased: 3 });
  await one.done();
  expect(one.bodies()).toEqual(['a2']);
  await one.done();
  expect(one.bodies()).toEqual(['a3']);
  expect(await bus.problems()).toEqual([]);
});

test('a key with thousands of jobs has its turns, and so has one with a single job', async () => {
  const bus = await open(keyed({ concurrency: 2 }));
  const many = Array.from({ length: 5_000 }, (_, i) => job(`many-${i}`, 'many'));
  await bus.append('q', ...many, job('single', 'z'));
  const again = await bus.reopen();
  for (const one of [bus, again]) {
    const consumer = await one.consumer('q', 't', 3);
    expect(consumer.bodies().sort()).toEqual(['many-0', 'many-1', 'single']);
    await consumer.close();
  }
  // Memory holds the beginning of a line only.
  expect(again.store.topic('q', 't').entriesInMemory).toBeLessThan(100);
});

test('more keys than memory holds have one turn each before one has two', async () => {
  const bus = await open(keyed());
  const jobs = [1, 2].flatMap((n) =>
    Array.from({ length: 3_000 }, (_, i) => job(`${i}/${n}`, `key-${i}`)),
  );
  await bus.append('q', ...jobs);
  const again = await bus.reopen();
  const consumer = await again.consumer('q', 't', 50);
  const seen: string[] = [];
  for (let i = 0; i < 1_000 && seen.length < 6_000; i++) {
    seen.push(...consumer.bodies());
    await consumer.done();
    await again.rest();
    expect(again.store.topic('q', 't').entriesInMemory).toBeLessThanOrEqual(2 * 1_024);
  }
  expect(seen).toHaveLength(6_000);
  expect(seen.slice(0, 2_900).every((body) => body.endsWith('/1'))).toBe(true);
  expect(await again.problems()).toEqual([]);
});

test('a job that is to be tried again lets the others of its key go, unless the order is strict', async () => {
  for (const strict of [false, true]) {
    const bus = await open(keyed({ strict }));
    const one = await bus.consumer('q', 't');
    await bus.append('q', job('a1', 'a'), job('a2', 'a'), job('b1', 'b'));
    await bus.rest();
    await one.say(one.leases()[one.bodies().indexOf('a1')] as number, RETRY);
    expect(one.bodies().includes('a2')).toBe(!strict);
    void bus.store.committer.flush();
    await bus.rest();
    const again = await bus.reopen();
    const other = await again.consumer('q', 't');
    expect(other.bodies().sort()).toEqual(strict ? ['b1'] : ['a2', 'b1']);
    await again.pass(100);
    expect(other.bodies().includes('a1')).toBe(strict);
    await other.done();
    expect(other.bodies()).toEqual([strict ? 'a2' : 'a1']);
    expect(await again.problems()).toEqual([]);
  }
});

test('what is given back keeps its place; a delayed job takes its place in line when its time comes', async () => {
  const bus = await open(keyed());
  const later = { deliverAtMs: bus.clock.now() + 500 };
  await bus.append('q', job('a1', 'a', later), job('a2', 'a'), job('a3', 'a'));
  const one = await bus.consumer('q', 't');
  expect(one.bodies()).toEqual(['a2']);
  expect((await bus.list('q', 't', SCHEDULED)).map(({ job }) => String(job?.body))).toHaveLength(1);
  expect(await bus.list('q', 't', READY)).toHaveLength(1);
  await one.say(one.leases()[0] as number, RELEASE);
  expect(one.bodies()).toEqual(['a2', 'a2']);
  await bus.pass(500);
  await one.done();
  expect(one.bodies()).toEqual(['a1']);
});

test('a rate lets so many go and wakes the store when the next may', async () => {
  const bus = await open({ rate: { limit: 2, perMs: 1_000, burst: 1 } });
  const one = await bus.consumer('q', 't');
  await bus.append('q', 'a', 'b', 'c', 'd');
  await bus.rest();
  expect(one.bodies()).toEqual(['a']);
  expect(bus.store.topic('q', 't').roomAtMs(bus.clock.now())).toBe(bus.clock.now() + 500);
  await bus.pass(499);
  expect(one.bodies()).toEqual(['a']);
  await bus.pass(1);
  expect(one.bodies()).toEqual(['a', 'b']);
  await bus.pass(1_000);
  expect(one.bodies()).toEqual(['a', 'b', 'c', 'd']);
});

test('a rate counts retries and those who fetch, and outlives a restart', async () => {
  const bus = await open({ rate: { limit: 1, perMs: 60_000, burst: 1 } });
  const one = await bus.consumer('q', 't');
  await bus.append('q', 'a', 'b');
  await bus.rest();
  await one.say(one.leases()[0] as number, RETRY);
  await bus.pass(10_000);
  expect(one.bodies()).toEqual(['a']);
  expect(await bus.fetch({ queue: 'q', topic: 't', maxJobs: 5 })).toEqual([]);
  const again = await bus.reopen();
  const other = await again.consumer('q', 't');
  await again.pass(49_000);
  expect(other.bodies()).toEqual([]);
  await again.pass(1_000);
  expect(other.bodies()).toHaveLength(1);
});
