import { keeper } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { createSchedule } from '@malabar/schedule';
import { expect, test } from 'vitest';
import { MINUTE_MS, NOW, spec } from './core/bench.suite.js';
import type { Fire, Outgoing } from './core/record.js';
import type { Schedules } from './leader.js';
import { Desk, newTown, QUEUE, schedulesOf, type Town } from './office.suite.js';
import type { Sent } from './outbox.js';

const fire = (schedule: string, minute = 1, rest: Partial<Fire> = {}): Outgoing => ({
  kind: 'fire',
  id: `${schedule}/${minute}`,
  schedule,
  runId: `run ${schedule}/${minute}`,
  idempotencyKey: `${schedule}@${minute}`,
  nominalMs: NOW + minute * MINUTE_MS,
  dueMs: NOW,
  reason: 'timetable',
  ...rest,
});

const withBody = (bytes: number, ...names: string[]): Schedules =>
  new Map(
    names.map((name) => {
      const job = { queue: QUEUE, body: Buffer.alloc(bytes, name) };
      const config = keeper.ScheduleConfig.fromPartial({ name, job });
      return [name, { config, schedule: createSchedule(spec({}, name)) }];
    }),
  );

function send(town: Town, schedules: Schedules, outgoing: readonly Outgoing[], isNew = true) {
  const desk = new Desk(town);
  const sent: Sent[] = [];
  const onSent = (some: readonly Sent[]): void => void sent.push(...some);
  desk.outbox.send({ outgoing, schedules, isNew, onSent, onPlaced: () => undefined });
  const reports = () => sent.map(({ report }) => report);
  return { desk, sent, reports };
}

test('what is refused for good is reported at once, what is refused for now goes on', async () => {
  const town = newTown();
  const names = { name: 'large' },
    others = [{ name: 'full' }, { name: 'fine' }];
  const schedules = schedulesOf(names, ...others);
  const codes = new Map([
    ['large', 'TOO_LARGE'],
    ['full', 'QUEUE_FULL'],
  ] as const);
  town.bus.refusal = (_queue, { body }) => {
    const code = codes.get(Buffer.from(body).toString() as 'large');
    return code && new BusError(code, `it is ${code}`);
  };
  const { desk, sent, reports } = send(town, schedules, [
    fire('large'),
    fire('full'),
    fire('fine'),
  ]);
  await town.clock.advance(5_000);
  expect(reports()).toMatchObject([
    { id: 'large/1', refused: 'it is TOO_LARGE' },
    { id: 'fine/1', job: expect.any(String) },
  ]);
  codes.delete('full');
  await town.clock.advance(5_000);
  expect(reports()).toMatchObject([{}, {}, { id: 'full/1', stranger: false }]);
  expect(sent[2]?.lateMs).toBeGreaterThan(4_000);
  expect(desk.counted).toEqual({ fired: 2, skipped: 0, refused: ['TOO_LARGE'] });
  // Nothing is pushed again that has come to its end.
  expect(town.bus.pushes.at(-1)?.jobs).toBe(1);
  desk.clear();
});

test('a queue that is not known yet gets its jobs when it is, and is given up after a while', async () => {
  const town = newTown();
  town.bus.refusal = () => new BusError('UNKNOWN_QUEUE', 'no such queue');
  const known = send(town, schedulesOf({}), [fire('one')]);
  await town.clock.advance(3_000);
  expect(known.reports()).toEqual([]);
  town.bus.refusal = () => undefined;
  await town.clock.advance(3_000);
  expect(known.reports()).toMatchObject([{ job: expect.any(String) }]);
  town.bus.refusal = () => new BusError('UNKNOWN_QUEUE', 'no such queue');
  const never = send(town, schedulesOf({}), [fire('one', 2)]);
  await town.clock.advance(30_000);
  expect(never.reports()).toMatchObject([{ id: 'one/2', refused: 'no such queue' }]);
  expect(town.bus.bodies(QUEUE)).toHaveLength(1);
  for (const { desk } of [known, never]) desk.clear();
});

test('many large jobs at once are several pushes, in their order', async () => {
  const town = newTown();
  const names = Array.from({ length: 60 }, (_, n) => String.fromCharCode(48 + n));
  const { desk, reports } = send(
    town,
    withBody(1_000_000, ...names),
    names.map((name) => fire(name)),
  );
  await town.clock.advance(1_000);
  expect(reports()).toHaveLength(60);
  expect(town.bus.bodies(QUEUE).map((body) => body[0])).toEqual(names);
  expect(town.bus.pushes.length).toBeGreaterThan(10);
  expect(Math.max(...town.bus.pushes.map(({ bytes }) => bytes))).toBeLessThan(5_000_000);
  desk.clear();
});

test('a fire on many nodes is reported as one, whatever its parts had to wait for', async () => {
  const town = newTown();
  const nodes = ['n1', 'n2', 'n3', 'n4', 'n5', 'n6'];
  let full = true;
  town.bus.refusal = (_queue, { node }) => {
    if (node === 'n2') return new BusError('TOO_LARGE', 'too long');
    return full && node === 'n5' ? new BusError('BUSY', 'later') : undefined;
  };
  const schedules = withBody(1_000_000, 'a');
  const { desk, reports } = send(town, schedules, [fire('a', 1, { nodes })]);
  await town.clock.advance(3_000);
  expect(reports()).toEqual([]);
  full = false;
  await town.clock.advance(3_000);
  expect(reports()).toHaveLength(1);
  const parts = [...(reports()[0]?.parts ?? [])].sort((a, b) => (a.node < b.node ? -1 : 1));
  expect(parts.map(({ node, refused }) => [node, refused])).toEqual(
    nodes.map((node) => [node, node === 'n2' ? 'too long' : undefined]),
  );
  expect(town.bus.pushes.length).toBeGreaterThan(1);
  expect(desk.counted.fired).toBe(1);
  desk.clear();
});

test('a job that was there before its fire was decided is a stranger, one of an earlier try is not', async () => {
  const town = newTown();
  const first = send(town, schedulesOf({}), [fire('one')]);
  await town.clock.advance(1_000);
  const stranger = send(town, schedulesOf({}), [fire('one')]);
  const repeated = send(town, schedulesOf({}), [fire('one')], false);
  await town.clock.advance(1_000);
  expect(first.reports()).toMatchObject([{ stranger: false }]);
  expect(stranger.reports()).toMatchObject([{ stranger: true }]);
  expect(repeated.reports()).toMatchObject([{ stranger: false }]);
  const fired = [first, stranger, repeated].map(({ desk }) => desk.counted.fired);
  expect(fired).toEqual([1, 0, 0]);
  for (const { desk } of [first, stranger, repeated]) desk.clear();
});

test('who leads no more pushes nothing more and reports nothing', async () => {
  const town = newTown();
  town.bus.away = true;
  const { desk, reports } = send(town, schedulesOf({}), [fire('one')]);
  await town.clock.advance(1_000);
  desk.clear();
  town.bus.away = false;
  await town.clock.advance(60_000);
  expect([reports(), town.bus.bodies(QUEUE)]).toEqual([[], []]);
});

test('what belongs to a schedule that is gone is nobody’s any more', async () => {
  const town = newTown();
  const { desk, reports } = send(town, schedulesOf({}), [fire('gone'), fire('one')]);
  await town.clock.advance(1_000);
  expect(reports()).toMatchObject([{ id: 'one/1' }]);
  desk.clear();
});
