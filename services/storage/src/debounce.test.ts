import { common, keeper } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { openBus, queue, type TestBus, topic } from './bus.suite.js';

const { DISCARDED } = common.DeliveryState;
const { RELEASE, RETRY } = common.OutcomeKind;

const of = (debounceMs: number, more = {}) => ({ idempotencyKey: 'k', debounceMs, ...more });

const replaced = (bus: TestBus, topicName = 't') => bus.list('q', topicName, DISCARDED);

test('the last of a row is delivered once it had peace; the others stay in the history', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  const consumer = await bus.consumer('q', 't');
  for (const body of ['a', 'b', 'c']) {
    await bus.append('q', [body, of(1_000)]);
    await bus.pass(600);
  }
  expect(consumer.bodies()).toEqual([]);
  expect(bus.counts('q', 't')).toMatchObject({ scheduled: 1, discarded: 2 });
  await bus.pass(500);
  expect(consumer.bodies()).toEqual(['c']);
  const [first] = await replaced(bus);
  expect(first).toMatchObject({ attempts: 0, errorCode: 'REPLACED' });
  expect(first?.error).toMatch(/^job [0-9a-f-]{36} took its place$/);
  expect(await bus.problems()).toEqual([]);
});

test('jobs of one commit make room for each other, in every topic', async () => {
  const bus = await openBus(queue('q', [topic('t'), topic('u')]));
  await bus.append('q', ['a', of(1_000)], 'plain', ['b', of(1_000)], ['c', of(1_000)]);
  for (const name of ['t', 'u'])
    expect(bus.counts('q', name)).toMatchObject({ ready: 1, scheduled: 1, discarded: 2 });
  expect(await bus.problems()).toEqual([]);
  const next = await bus.reopen();
  expect(next.counts('q', 'u')).toMatchObject({ ready: 1, scheduled: 1, discarded: 2 });
  await next.pass(1_100);
  expect((await next.consumer('q', 'u')).bodies().sort()).toEqual(['c', 'plain']);
});

test('a steady stream is put off no longer than its longest wait', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  const consumer = await bus.consumer('q', 't');
  for (let i = 1; i <= 6; i++) {
    await bus.append('q', [`job-${i}`, of(1_000, { debounceMaxMs: 2_500 })]);
    await bus.pass(600);
  }
  expect(consumer.bodies()).toEqual(['job-5']);
  expect(bus.counts('q', 't')).toMatchObject({ scheduled: 1, leased: 1, discarded: 4 });
});

test('a job that somebody has begun stays; the next is a job of its own', async () => {
  const bus = await openBus(queue('q', [topic('t'), topic('u')]));
  const consumer = await bus.consumer('q', 't', 1);
  await bus.append('q', ['a', of(100)]);
  await bus.pass(200);
  expect(consumer.bodies()).toEqual(['a']);
  await bus.append('q', ['b', of(100)]);
  expect(bus.counts('q', 'u')).toMatchObject({ ready: 1, scheduled: 1, discarded: 0 });
  await consumer.done();
  await bus.append('q', ['c', of(100)]);
  expect(await replaced(bus)).toHaveLength(1);
  await bus.pass(200);
  expect(consumer.bodies()).toEqual(['c']);
});

test('what was tried once is begun, what only came back unseen is not', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  const consumer = await bus.consumer('q', 't', 1);
  await bus.append('q', ['a', of(100)]);
  await bus.pass(200);
  await consumer.credits(0);
  await consumer.say(consumer.leases()[0] ?? 0, RELEASE);
  await bus.append('q', ['b', of(100)]);
  expect(await replaced(bus)).toHaveLength(1);
  await consumer.credits(1);
  await bus.pass(200);
  await consumer.say(consumer.leases().at(-1) ?? 0, RETRY);
  await bus.append('q', ['c', of(100)]);
  expect(await replaced(bus)).toHaveLength(1);
});

test('a job that waits in the order of the log makes room as well, and a plain one is a duplicate', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  await bus.append('q', ['a', { idempotencyKey: 'k' }], 'other');
  await bus.append('q', ['b', of(100)]);
  expect(bus.counts('q', 't')).toMatchObject({ ready: 1, scheduled: 1, discarded: 1 });
  await bus.append('q', ['again', { idempotencyKey: 'k' }]);
  expect(bus.counts('q', 't')).toMatchObject({ ready: 1, scheduled: 1 });
  expect(await bus.problems()).toEqual([]);
  await bus.pass(200);
  expect((await bus.consumer('q', 't')).bodies().sort()).toEqual(['b', 'other']);
});

test('a full queue takes what only changes places, and nobody is told of what was replaced', async () => {
  const told = { queue: 'told', of: [keeper.ResultStatus.DISCARDED] };
  const topics = [keeper.TopicConfig.fromPartial({ ...topic('t'), result: told })];
  const bus = await openBus(
    keeper.QueueConfig.fromPartial({ ...queue('q', topics), waitingMax: 1 }),
    queue('told', [topic('r')]),
  );
  await bus.append('q', ['a', of(1_000)]);
  await bus.append('q', ['b', of(1_000)]);
  expect(bus.counts('q', 't')).toMatchObject({ scheduled: 1, discarded: 1 });
  expect(bus.counts('told', 'r')).toMatchObject({ ready: 0 });
});
