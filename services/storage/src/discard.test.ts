import { common, keeper } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { openBus, queue, type TestBus, topic } from './bus.suite.js';
import { discard } from './discard.js';

const { DISCARDED } = common.DeliveryState;
const { DEAD, RETRY, RELEASE } = common.OutcomeKind;

const idOf = (bus: TestBus, seq: number): string => {
  const shard = bus.store.shard('q');
  return shard.idOf(shard.acceptedAtMs, seq);
};

const takeBack = (bus: TestBus, seqs: number[], topicName = '') =>
  discard(bus.store, bus.browser, {
    queue: 'q',
    topic: topicName,
    jobIds: seqs.map((seq) => idOf(bus, seq)),
    reason: 'discarded by ann: wrong',
  });

test('what waits is taken back wherever it waits, what somebody works on is left to him', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  const later = { deliverAtMs: bus.clock.now() + 60_000 };
  const consumer = await bus.consumer('q', 't', 1);
  await bus.append('q', 'leased', 'fresh', ['urgent', { priority: 3 }], ['later', later], 'kept');
  await bus.rest();
  expect(consumer.bodies()).toEqual(['urgent']);
  expect(await takeBack(bus, [0, 1, 2, 3])).toEqual({ discarded: 3, leased: 1 });
  expect(bus.counts('q', 't')).toMatchObject({ ready: 1, scheduled: 0, leased: 1, discarded: 3 });
  await consumer.done();
  expect(consumer.bodies()).toEqual(['kept']);
  expect(await bus.problems()).toEqual([]);
  const next = await bus.reopen();
  expect(next.counts('q', 't')).toMatchObject({ discarded: 3 });
  expect((await next.list('q', 't', DISCARDED))[0]).toMatchObject({
    errorCode: 'DISCARDED',
    error: 'discarded by ann: wrong',
  });
});

test('what was given back, waits for a retry or is dead goes too; what has ended is not touched', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  const consumer = await bus.consumer('q', 't');
  await bus.append('q', 'released', 'retried', 'dead', 'done');
  await bus.rest();
  await consumer.credits(0);
  const [released = 0, retried = 0, dead = 0] = consumer.leases();
  await consumer.say(released, RELEASE);
  await consumer.say(retried, RETRY);
  await consumer.say(dead, DEAD);
  await consumer.done();
  expect(await takeBack(bus, [0, 1, 2, 3])).toEqual({ discarded: 3, leased: 0 });
  expect(await takeBack(bus, [0, 1, 2, 3])).toEqual({ discarded: 0, leased: 0 });
  await consumer.credits(10);
  await bus.pass(1_000);
  expect(consumer.bodies()).toEqual([]);
  expect(bus.counts('q', 't')).toMatchObject({ dead: 0, done: 1, discarded: 3, ready: 0 });
  expect(await bus.problems()).toEqual([]);
});

test('one topic of several, and it is told like every end', async () => {
  const { result } = topic('t', { result: { queue: 'told', of: [keeper.ResultStatus.DISCARDED] } });
  const topics = [topic('t', { result }), topic('u')];
  const bus = await openBus(queue('q', topics), queue('told', [topic('r')]));
  const told = await bus.consumer('told', 'r');
  await bus.append('q', 'a');
  expect(await takeBack(bus, [0], 't')).toEqual({ discarded: 1, leased: 0 });
  await bus.rest();
  expect(told.bodies().map((text) => JSON.parse(text))).toMatchObject([
    { topic: 't', status: 'discarded', code: 'DISCARDED', message: 'discarded by ann: wrong' },
  ]);
  expect((await bus.consumer('q', 'u')).bodies()).toEqual(['a']);
});

test('jobs of other queues and jobs that there are not are refused', async () => {
  const bus = await openBus(queue('q', [topic('t')]), queue('p', [topic('t')]));
  await bus.append('p', 'a');
  const shard = bus.store.shard('p');
  const foreign = shard.idOf(shard.acceptedAtMs, 0);
  const request = { queue: 'q', topic: '', reason: '' };
  await expect(
    discard(bus.store, bus.browser, { ...request, jobIds: [foreign] }),
  ).rejects.toMatchObject({ code: 'UNKNOWN_JOB' });
  await expect(takeBack(bus, [7])).rejects.toMatchObject({ code: 'UNKNOWN_JOB' });
  expect(bus.counts('p', 't')).toMatchObject({ ready: 1 });
});
