import { common, type storage } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { openBus, queue, type TestBus, topic } from './bus.suite.js';
import { discardDead } from './discard-dead.js';
import { replay } from './replay.js';

const { DEAD } = common.OutcomeKind;
const { DISCARDED } = common.DeliveryState;

/** A bus with `early` deliveries that died a minute before `late` others. */
async function deadJobs(early: number, late: number): Promise<TestBus> {
  const bus = await openBus(queue('q', [topic('t')]));
  const consumer = await bus.consumer('q', 't', early + late);
  for (const count of [early, late]) {
    consumer.runs.length = 0;
    await bus.append('q', ...Array.from({ length: count }, (_, i) => `job-${i}`));
    await bus.rest();
    for (const lease of consumer.leases()) await consumer.say(lease, DEAD);
    await bus.pass(60_000);
  }
  await consumer.credits(0);
  return bus;
}

async function purge(
  bus: TestBus,
  { olderThanMs = 0, dryRun = false } = {},
): Promise<storage.DiscardDeadResponse[]> {
  const said: storage.DiscardDeadResponse[] = [];
  const request = { queue: 'q', topic: 't', olderThanMs, dryRun, reason: 'discarded by ann' };
  for await (const one of discardDead(bus.store, request)) said.push(one);
  return said;
}

test('all that is dead is discarded part by part, and its history says who did it', async () => {
  const bus = await deadJobs(700, 0);
  const said = await purge(bus);
  expect(said.map(({ discarded }) => discarded)).toEqual([500, 700]);
  expect(said.at(-1)).toEqual({ discarded: 700, kept: 0, total: 700 });
  const next = await bus.reopen();
  expect(next.counts('q', 't')).toMatchObject({ dead: 0, discarded: 700 });
  const [one] = await next.list('q', 't', DISCARDED, 1);
  expect(one).toMatchObject({ error: 'discarded by ann', attempts: 1 });
  expect((await next.browser.job(one?.jobId ?? '')).deliveries[0]?.history).toHaveLength(1);
  expect(await next.problems()).toEqual([]);
});

test('only what has been dead for long enough, and with a dry run nothing at all', async () => {
  const bus = await deadJobs(2, 3);
  const olderThanMs = 90_000;
  expect((await purge(bus, { olderThanMs, dryRun: true })).at(-1)).toEqual({
    discarded: 2,
    kept: 3,
    total: 5,
  });
  expect(bus.counts('q', 't')).toMatchObject({ dead: 5, discarded: 0 });
  expect((await purge(bus, { olderThanMs })).at(-1)).toMatchObject({ discarded: 2, kept: 3 });
  expect(bus.counts('q', 't')).toMatchObject({ dead: 3, discarded: 2 });
});

test('nothing dead is an answer; what is being replayed and bad wishes are refused', async () => {
  const bus = await deadJobs(0, 1);
  const all = { queue: 'q', topic: 't', jobIds: [], force: false };
  const replaying = replay(bus.store, bus.browser, all);
  await replaying.next();
  await expect(purge(bus)).rejects.toMatchObject({ code: 'BUSY' });
  await replaying.return(undefined);
  expect(await purge(bus)).toEqual([{ discarded: 0, kept: 0, total: 0 }]);
  await expect(purge(bus, { olderThanMs: -1 })).rejects.toMatchObject({ code: 'INVALID' });
});
