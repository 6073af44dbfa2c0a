import { JOURNAL_QUEUE } from '@malabar/config';
import type { common } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { afterEach, expect, test } from 'vitest';
import { MINUTE_MS, NOW } from './core/bench.suite.js';
import type { Schedules } from './leader.js';
import { newTown, Office, QUEUE, schedulesOf, type Town } from './office.suite.js';

const offices: Office[] = [];
afterEach(async () => {
  for (const office of offices.splice(0)) await office.leave();
});

async function elect(town: Town, token: number, schedules: Schedules): Promise<Office> {
  const office = new Office(town, token, schedules);
  offices.push(office);
  await town.clock.advance(0);
  return office;
}

const minutely = schedulesOf({ tracked: false });
/** The nominal minutes of the jobs in the queue, in their order. */
const minutes = ({ bus }: Town): number[] =>
  bus.jobs(QUEUE).map(({ job }) => (Number(job.headers['malabar-nominal']) - NOW) / MINUTE_MS);

test('what is due is in the journal, then in its queue, at its time', async () => {
  const town = newTown();
  const office = await elect(town, 1, minutely);
  const before = town.bus.jobs(JOURNAL_QUEUE).length;
  await town.clock.advance(MINUTE_MS - 1);
  expect(minutes(town)).toEqual([]);
  await town.clock.advance(1);
  expect(minutes(town)).toEqual([1]);
  expect(town.bus.jobs(JOURNAL_QUEUE).length).toBeGreaterThan(before);
  expect(office.leader.lastFire('one')).toEqual({ nominalMs: NOW + MINUTE_MS, lateMs: 0 });
  expect(office.counted.fired).toBe(1);
});

test('no journal, no fire: a decision that cannot be written down is not carried out', async () => {
  const town = newTown();
  await elect(town, 1, minutely);
  town.bus.refusal = (queue) =>
    queue === JOURNAL_QUEUE ? new BusError('DISK_FULL', 'no room') : undefined;
  await town.clock.advance(MINUTE_MS + 20_000);
  expect(minutes(town)).toEqual([]);
  town.bus.refusal = () => undefined;
  await town.clock.advance(5_000);
  expect(minutes(town)).toEqual([1]);
});

test('an office that is lost in the middle of a push loses no fire and doubles none', async () => {
  const town = newTown();
  const first = await elect(town, 1, minutely);
  // The push arrives and nobody hears of it.
  town.bus.refusal = (queue) => {
    town.bus.mute = queue === QUEUE;
    return undefined;
  };
  await town.clock.advance(MINUTE_MS);
  expect(minutes(town)).toEqual([1]);
  expect(await first.leave()).toBeUndefined();
  expect(first.counted.fired).toBe(0);
  town.bus.mute = false;
  town.bus.refusal = () => undefined;
  const second = await elect(town, 2, minutely);
  await town.clock.advance(2 * MINUTE_MS);
  expect(minutes(town)).toEqual([1, 2, 3]);
  expect(second.leader.lives.get('one')?.record.outbox).toEqual([]);
});

test('an answer that was lost is asked for again, and the fire counts once', async () => {
  const town = newTown();
  const office = await elect(town, 1, minutely);
  let lost = 0;
  town.bus.refusal = (queue) => {
    town.bus.mute = queue === QUEUE && lost++ < 3;
    return undefined;
  };
  await town.clock.advance(MINUTE_MS + 10_000);
  expect(lost).toBe(4);
  expect(minutes(town)).toEqual([1]);
  expect(office.counted.fired).toBe(1);
  // It was safe when it arrived first, not when the answer came.
  expect(office.leader.lastFire('one')?.lateMs).toBe(0);
});

test('storage that is away and back finds every fire, in order and once', async () => {
  const town = newTown();
  const catchUp = schedulesOf({ tracked: false, misfire: { fire: 'all' } });
  const office = await elect(town, 1, catchUp);
  await town.clock.advance(MINUTE_MS);
  town.bus.away = true;
  await town.clock.advance(5 * MINUTE_MS);
  expect(minutes(town)).toEqual([1]);
  town.bus.away = false;
  await town.clock.advance(30_000);
  expect(minutes(town)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(office.leader.lastFire('one')?.lateMs).toBeLessThan(MINUTE_MS);
  await town.clock.advance(MINUTE_MS);
  expect(minutes(town)).toEqual([1, 2, 3, 4, 5, 6, 7]);
});

test('who begins while storage is away begins when it is back', async () => {
  const town = newTown();
  town.bus.away = true;
  const office = await elect(town, 1, minutely);
  await town.clock.advance(MINUTE_MS);
  expect(office.leader.lives.size).toBe(0);
  town.bus.away = false;
  await town.clock.advance(5_000);
  expect(office.leader.lives.size).toBe(1);
  await town.clock.advance(MINUTE_MS);
  expect(minutes(town)).toEqual([2]);
});

test('a leader that does not know of its successor fires nothing more: its line does not count', async () => {
  const town = newTown();
  const first = await elect(town, 1, minutely);
  await town.clock.advance(MINUTE_MS);
  // The first would fire at the same moment; the second loses a place in the journal to it.
  const second = await elect(town, 2, minutely);
  await town.clock.advance(MINUTE_MS);
  expect((await first.over)?.code).toBe('STALE_LEASE');
  expect((await second.over)?.code).toBe('STALE_LEASE');
  expect(minutes(town)).toEqual([1]);
  const third = await elect(town, 3, minutely);
  await town.clock.advance(3 * MINUTE_MS);
  expect(minutes(town)).toEqual([1, 2, 3, 4, 5]);
  expect(third.leader.lives.get('one')?.record.cursorMs).toBe(NOW + 5 * MINUTE_MS);
});

test('a leader with an older token than the journal has never begins', async () => {
  const town = newTown();
  await elect(town, 7, minutely);
  await town.clock.advance(MINUTE_MS);
  const late = await elect(town, 6, minutely);
  await town.clock.advance(5_000);
  expect((await late.over)?.code).toBe('STALE_LEASE');
  expect(late.counted).toEqual({ fired: 0, skipped: 0, refused: [] });
  expect(minutes(town)).toEqual([1]);
});

test('whoever waits for a leader that ends hears that it leads no more', async () => {
  const town = newTown();
  const office = await elect(town, 1, minutely);
  town.bus.away = true;
  const wishes = [1, 2].map((n) => {
    const wish = { kind: 'triggered' as const, nowMs: NOW, schedule: 'one', request: `r${n}` };
    return office.leader.tell(wish).catch((error: BusError) => error.code);
  });
  await town.clock.advance(1_000);
  await office.leave();
  expect(await Promise.all(wishes)).toEqual(['UNAVAILABLE', 'UNAVAILABLE']);
});

test('a result that is told twice ends its run once', async () => {
  const town = newTown();
  const both = schedulesOf(
    { name: 'parent', overlap: { kind: 'queue_all' } },
    { name: 'child', tracked: false, after: { schedules: ['parent'], on: 'success', need: 'any' } },
  );
  const office = await elect(town, 1, both);
  await town.clock.advance(MINUTE_MS);
  const [run] = office.leader.lives.get('parent')?.record.runs ?? [];
  const ending = { schedule: 'parent', runId: run?.runId ?? '', status: 'done' as const };
  const told = { kind: 'runEnded' as const, nowMs: town.clock.now(), endedAtMs: 1, output: 'x' };
  await Promise.all([1, 2, 3].map(() => office.leader.tell({ ...told, ...ending })));
  await town.clock.advance(1_000);
  await office.leader.tell({ ...told, ...ending });
  await town.clock.advance(1_000);
  expect(town.bus.bodies(QUEUE)).toEqual(['parent', 'child']);
  // Also to the next leader.
  await office.leave();
  const next = await elect(town, 2, both);
  await next.leader.tell({ ...told, ...ending });
  await town.clock.advance(1_000);
  expect(town.bus.bodies(QUEUE)).toEqual(['parent', 'child']);
});

test('a queue that refuses for good ends the fire and says why; its neighbours go on', async () => {
  const town = newTown();
  const two = schedulesOf({ name: 'bad', tracked: false }, { name: 'good', tracked: false });
  const office = await elect(town, 1, two);
  town.bus.refusal = (_queue, job: common.Job) =>
    Buffer.from(job.body).toString() === 'bad' ? new BusError('TOO_LARGE', 'too long') : undefined;
  await town.clock.advance(3 * MINUTE_MS);
  expect(town.bus.bodies(QUEUE)).toEqual(['good', 'good', 'good']);
  expect(office.counted).toMatchObject({
    fired: 3,
    refused: ['TOO_LARGE', 'TOO_LARGE', 'TOO_LARGE'],
  });
  expect(office.leader.lives.get('bad')?.record.outbox).toEqual([]);
});
