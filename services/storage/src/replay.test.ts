import { common, type keeper, type storage } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { type Consumer, openBus, queue, type TestBus, topic } from './bus.suite.js';
import { replay } from './replay.js';

const { DEAD } = common.OutcomeKind;

async function deadJobs(
  count: number,
): Promise<{ bus: TestBus; consumer: Consumer; ids: string[] }> {
  const bus = await openBus(queue('q', [topic('t')]));
  const consumer = await bus.consumer('q', 't', count);
  await bus.append('q', ...Array.from({ length: count }, (_, i) => `job-${i}`));
  await bus.rest();
  for (const lease of consumer.leases()) await consumer.say(lease, DEAD);
  consumer.runs.length = 0;
  await bus.store.committer.flush();
  const shard = bus.store.shard('q');
  const ids = Array.from({ length: count }, (_, seq) => shard.idOf(shard.acceptedAtMs, seq));
  return { bus, consumer, ids };
}

test('all that is dead is ready again, under its old id, and stays so over a crash', async () => {
  const { bus, ids } = await deadJobs(3);
  expect(await bus.replay('q', 't')).toBe(3);
  const next = await bus.reopen();
  expect(next.counts('q', 't')).toMatchObject({ dead: 0, ready: 3 });
  const again = await next.consumer('q', 't');
  expect(again.bodies().sort()).toEqual(['job-0', 'job-1', 'job-2']);
  expect(again.runs.map(({ attempt }) => attempt)).toEqual([2, 2, 2]);
  const { deliveries } = await next.browser.job(ids[0] as string);
  expect(deliveries[0]?.history).toHaveLength(1);
});

test('named deliveries are replayed, the others stay dead', async () => {
  const { bus, consumer, ids } = await deadJobs(3);
  expect(await bus.replay('q', 't', ids[1] as string, ids[1] as string)).toBe(1);
  expect(consumer.bodies()).toEqual(['job-1']);
  expect(bus.counts('q', 't')).toMatchObject({ dead: 2, leased: 1 });
});

test('a name that is not dead is refused before anything has changed', async () => {
  const { bus, consumer, ids } = await deadJobs(2);
  await bus.replay('q', 't', ids[0] as string);
  await consumer.done();
  await expect(bus.replay('q', 't', ids[1] as string, ids[0] as string)).rejects.toMatchObject({
    code: 'UNKNOWN_JOB',
  });
  expect(bus.counts('q', 't')).toMatchObject({ dead: 1, done: 1 });
});

test('what dies again during a replay is not replayed twice', async () => {
  const { bus, consumer } = await deadJobs(2);
  expect(await bus.replay('q', 't')).toBe(2);
  for (const lease of consumer.leases()) await consumer.say(lease, DEAD);
  expect(bus.counts('q', 't')).toMatchObject({ dead: 2, ready: 0, leased: 0 });
});

test('two replays at once move every delivery once', async () => {
  const { bus, consumer } = await deadJobs(3);
  const both = await Promise.allSettled([bus.replay('q', 't'), bus.replay('q', 't')]);
  expect(both[1]).toMatchObject({ status: 'rejected', reason: { code: 'BUSY' } });
  expect(consumer.bodies()).toHaveLength(3);
  expect(await bus.problems()).toEqual([]);
});

test('a replay that is given up half way makes room for the next', async () => {
  const { bus } = await deadJobs(2);
  const request = { queue: 'q', topic: 't', jobIds: [], force: false };
  for await (const _ of replay(bus.store, bus.browser, request)) break;
  expect(await bus.replay('q', 't')).toBe(0);
});

test('a replay comes to a lane that is just being read after a start', async () => {
  const { bus } = await deadJobs(3);
  await bus.append('q', ['late', { deliverAtMs: bus.clock.now() + 60_000 }]);
  await bus.append('q', ['due', { deliverAtMs: bus.clock.now() + 1 }]);
  await bus.clock.advance(10);
  const next = await bus.reopen([]);
  const release = next.hold('scan');
  await next.configure(queue('q', [topic('t')]));
  await next.rest();
  const replayed = next.replay('q', 't');
  await release();
  expect(await replayed).toBe(3);
  await next.pass(10);
  expect((await next.consumer('q', 't')).bodies()).toHaveLength(4);
});

test('what was replayed as often as the topic allows is left dead, unless somebody insists', async () => {
  const config = topic('t');
  const retry = { ...config.retry, replaysMax: 2 } as keeper.RetryPolicy;
  const bus = await openBus(queue('q', [{ ...config, retry }]));
  const consumer = await bus.consumer('q', 't', 2);
  await bus.append('q', 'poison', 'other');
  await bus.rest();
  const die = async (): Promise<void> => {
    await consumer.say(consumer.leases().at(-1) ?? 0, DEAD);
    await bus.store.committer.flush();
  };
  const [poison = 0, other = 0] = consumer.leases();
  await consumer.say(other, DEAD);
  await consumer.say(poison, DEAD);
  const shard = bus.store.shard('q');
  const id = shard.idOf(shard.acceptedAtMs, 0);
  for (let i = 0; i < 2; i++) {
    expect(await bus.replay('q', 't', id)).toBe(1);
    await die();
  }
  await expect(bus.replay('q', 't', id)).rejects.toMatchObject({
    code: 'INVALID',
    message: expect.stringMatching(/was replayed 2 times .* topic 't' allows 2 \(retry\.replays\)/),
  });
  const next = await bus.reopen();
  expect((await next.browser.job(id)).deliveries[0]).toMatchObject({ replays: 2 });
  const all = { queue: 'q', topic: 't', jobIds: [] };
  const last = async (force: boolean) => {
    let said: storage.ReplayResponse | undefined;
    for await (const one of replay(next.store, next.browser, { ...all, force })) said = one;
    return said;
  };
  expect(await last(false)).toEqual({ replayed: 1, refused: 1, total: 2 });
  expect(await last(true)).toEqual({ replayed: 1, refused: 0, total: 1 });
  expect((await next.browser.job(id)).deliveries[0]).toMatchObject({ replays: 3 });
});
