import { common, storage } from '@malabar/contracts';
import { beforeAll, describe, expect, test } from 'vitest';
import { openBus, queue, type TestBus, topic } from './bus.suite.js';

const { READY, SCHEDULED, LEASED, DONE, DEAD, DISCARDED } = common.DeliveryState;
const { RETRY, DEAD: GIVE_UP } = common.OutcomeKind;

const bodiesOf = (deliveries: storage.Delivery[]): string[] =>
  deliveries.map(({ job }) => Buffer.from(job?.body ?? []).toString());

describe('a topic with deliveries in every state', () => {
  let bus: TestBus;

  // Of twenty-one jobs three are in each state, the fresh ones apart.
  beforeAll(async () => {
    bus = await openBus(queue('q', [topic('t')]));
    const now = bus.clock.now();
    const late = { deliverAtMs: now + 60_000 };
    const over = { expiresAtMs: now + 1, deliverAtMs: now + 1 };
    await bus.append('q', ...['x1', 'x2', 'x3'].map((one): [string, object] => [one, over]));
    const consumer = await bus.consumer('q', 't');
    await bus.pass(10);
    await bus.append('q', 'done1', 'done2', 'done3');
    await bus.rest();
    await consumer.done();
    await bus.append('q', 'dead1', 'dead2', 'dead3');
    await bus.rest();
    for (const lease of consumer.leases())
      await consumer.say(lease, GIVE_UP, { errorCode: 'E', error: 'broken' });
    consumer.runs.length = 0;
    await bus.append('q', 'retry1');
    await bus.rest();
    await consumer.say(consumer.leases()[0] as number, RETRY, { retryAfterMs: 60_000 });
    consumer.runs.length = 0;
    await bus.append('q', ['late1', late], ['late2', { ...late, priority: 5 }]);
    await bus.append('q', 'held1', ['held2', { priority: 1 }], 'held3');
    await bus.rest();
    await consumer.credits(0);
    const early = (priority: number) => ({ priority });
    await bus.append('q', 'fresh1', ['first', early(9)], 'fresh2', ['second', early(2)], 'fresh3');
    await bus.store.committer.flush();
  });

  test.each([
    [READY, ['first', 'second', 'fresh1', 'fresh2', 'fresh3']],
    [SCHEDULED, ['late2', 'late1', 'retry1']],
    [LEASED, ['held1', 'held2', 'held3']],
    [DONE, ['done3', 'done2', 'done1']],
    [DEAD, ['dead1', 'dead2', 'dead3']],
    [DISCARDED, ['x1', 'x2', 'x3']],
  ])('lists state %i in its order, whatever the page', async (state, wanted) => {
    for (const limit of [1, 2, 3, 50]) {
      const found = await bus.list('q', 't', state, limit);
      expect(bodiesOf(found).sort()).toEqual([...wanted].sort());
      if (state !== SCHEDULED) expect(bodiesOf(found)).toEqual(wanted);
      expect(found.every((one) => one.state === state)).toBe(true);
    }
  });

  test('every listed delivery is found again by its id, in the same state', async () => {
    for (const state of [READY, SCHEDULED, LEASED, DONE, DEAD, DISCARDED])
      for (const one of await bus.list('q', 't', state)) {
        const { deliveries, job } = await bus.browser.job(one.jobId);
        expect(deliveries).toHaveLength(1);
        expect(deliveries[0]).toMatchObject({
          state,
          attempts: one.attempts,
          dueAtMs: one.dueAtMs,
        });
        expect(job?.body).toEqual(one.job?.body);
      }
  });

  test('the lists are as long as the counters say', async () => {
    const { ready, scheduled, leased, done, dead, discarded } = bus.counts('q', 't');
    expect({ ready, scheduled, leased, done, dead, discarded }).toEqual({
      ready: 5,
      scheduled: 3,
      leased: 3,
      done: 3,
      dead: 3,
      discarded: 3,
    });
  });

  test('a delivery tells its story: attempts, error, consumer, due time', async () => {
    const [dead] = await bus.list('q', 't', DEAD);
    expect(dead).toMatchObject({ attempts: 1, errorCode: 'E', error: 'broken' });
    const [held] = await bus.list('q', 't', LEASED);
    expect(held?.consumer).toBe('test');
    const [late] = await bus.list('q', 't', SCHEDULED);
    expect(late?.dueAtMs).toBeGreaterThan(bus.clock.now());
    const { deliveries } = await bus.browser.job(dead?.jobId ?? '');
    expect(deliveries[0]?.history).toMatchObject([
      { number: 1, outcome: GIVE_UP, error: 'broken' },
    ]);
  });

  test.each([
    [READY, 'lane-9-zz'],
    [READY, 'lane-12-'],
    [READY, 'nonsense'],
    [READY, `lane-3-${Buffer.from('D').toString('hex')}`],
    [DEAD, '-1'],
    [DONE, '99999999999999999999'],
    [common.DeliveryState.UNSPECIFIED, ''],
  ])('refuses in state %i the cursor "%s"', async (state, cursor) => {
    const request = { queue: 'q', topic: 't', state, cursor, limit: 10 };
    const page = bus.browser.list(storage.ListJobsRequest.fromPartial(request));
    await expect(page).rejects.toMatchObject({ code: 'INVALID' });
  });
});

test('an id of another store, of a job that never was, or of none at all is refused', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  await bus.append('q', 'a');
  const shard = bus.store.shard('q');
  const good = shard.idOf(shard.acceptedAtMs, 0);
  await expect(bus.browser.job(good)).resolves.toMatchObject({ queue: 'q' });
  for (const id of [shard.idOf(shard.acceptedAtMs, 1), shard.idOf(shard.acceptedAtMs + 1, 0)])
    await expect(bus.browser.job(id)).rejects.toMatchObject({ code: 'UNKNOWN_JOB' });
  await expect(bus.browser.job('order-1')).rejects.toMatchObject({ code: 'INVALID' });
  const other = `${good.slice(0, 15)}${good[15] === 'f' ? '0' : 'f'}${good.slice(16)}`;
  await expect(bus.browser.job(other)).rejects.toMatchObject({ code: 'UNKNOWN_JOB' });
});

test('a job is shown in the topics that it is for, and in no other', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  await bus.append('q', 'a');
  const id = bus.store.shard('q').idOf(bus.store.shard('q').acceptedAtMs, 0);
  await bus.configure(queue('q', [topic('t'), topic('later')]));
  const { deliveries } = await bus.browser.job(id);
  expect(deliveries.map((one) => one.topic)).toEqual(['t']);
});

test('listing what is scheduled does not walk over what is ready', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  await bus.append('q', ...Array.from({ length: 2_000 }, (_, i) => `job-${i}`));
  const t = bus.store.topic('q', 't');
  const look = t.stateInMemory.bind(t);
  let looks = 0;
  t.stateInMemory = (seq) => {
    looks++;
    return look(seq);
  };
  expect(await bus.list('q', 't', SCHEDULED)).toEqual([]);
  expect(looks).toBeLessThan(10);
});
