import { RESULTS_QUEUE } from '@malabar/config';
import { common } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { expect, test } from 'vitest';
import { HEADER } from './fire-job.js';
import type { RunEnded } from './leader.js';
import { Desk, newTown, type Town } from './office.suite.js';
import { followResults } from './results-feed.js';

const { DONE } = common.DeliveryState;

/** A result as storage writes it. */
const result = (run: string, more: object = {}): string =>
  JSON.stringify({
    v: 1,
    status: 'done',
    headers: { [HEADER.schedule]: 'one', [HEADER.run]: run },
    startedAtMs: 1_000,
    durationMs: 500,
    message: '',
    ...more,
  });

function follow(town: Town, take: (run: RunEnded) => Promise<void> = async () => undefined) {
  const { clock, bus } = town;
  const desk = new Desk(town);
  const taken: RunEnded[] = [];
  const ended = async (run: RunEnded): Promise<void> => {
    await take(run);
    taken.push(run);
  };
  const { logger: log, signal } = desk;
  const over = followResults({ storage: bus.storage, clock, log, signal, ended });
  const leave = (): Promise<void> => {
    desk.clear();
    return over;
  };
  return { taken, leave };
}

const open = ({ bus }: Town): number =>
  bus.jobs(RESULTS_QUEUE).filter(({ state }) => state !== DONE).length;

test('a result ends its run with what was said', async () => {
  const town = newTown();
  town.bus.put(RESULTS_QUEUE, result('r1', { output: 'out', message: 'ignored' }));
  town.bus.put(RESULTS_QUEUE, result('r2', { status: 'dead', message: 'killed' }));
  const { taken, leave } = follow(town);
  await town.clock.advance(1_000);
  expect(taken).toMatchObject([
    {
      kind: 'runEnded',
      schedule: 'one',
      runId: 'r1',
      status: 'done',
      endedAtMs: 1_500,
      output: 'out',
    },
    { runId: 'r2', status: 'dead', output: 'killed' },
  ]);
  expect(open(town)).toBe(0);
  await leave();
});

test('what is no result of a run holds up nobody', async () => {
  const town = newTown();
  const strange = ['', 'no JSON', 'null', '5', '"text"', '[]', '{}', '{"status":"done"}'];
  const other = [
    '{"status":"done","headers":null}',
    '{"status":"done","headers":{}}',
    result('r', { status: 'retrying' }),
    result('r', { headers: { [HEADER.schedule]: 'one' } }),
  ];
  for (const body of [...strange, ...other, result('r1')]) town.bus.put(RESULTS_QUEUE, body);
  const { taken, leave } = follow(town);
  await town.clock.advance(1_000);
  expect(taken.map(({ runId }) => runId)).toEqual(['r1']);
  expect(open(town)).toBe(0);
  await leave();
});

test('what is not in the journal is not settled: it comes again, and then it is', async () => {
  const town = newTown();
  for (const run of ['r1', 'r2', 'r3']) town.bus.put(RESULTS_QUEUE, result(run));
  let failing = true;
  const { taken, leave } = follow(town, async ({ runId }) => {
    if (failing && runId === 'r2') throw new BusError('UNAVAILABLE', 'no journal');
  });
  await town.clock.advance(4_000);
  expect(open(town)).toBe(3);
  failing = false;
  await town.clock.advance(15_000);
  expect(open(town)).toBe(0);
  // Some are told twice, and none is not: the planner knows what has ended.
  expect(new Set(taken.map(({ runId }) => runId))).toEqual(new Set(['r1', 'r2', 'r3']));
  await leave();
});

test('storage that is away and back is asked again', async () => {
  const town = newTown();
  town.bus.away = true;
  const { taken, leave } = follow(town);
  await town.clock.advance(10_000);
  town.bus.put(RESULTS_QUEUE, result('r1'));
  town.bus.away = false;
  await town.clock.advance(10_000);
  expect(taken.map(({ runId }) => runId)).toEqual(['r1']);
  await leave();
});

test('a leader that leads no more takes nothing, also while it waits', async () => {
  const town = newTown();
  const { taken, leave } = follow(town);
  await town.clock.advance(1_000);
  await leave();
  town.bus.put(RESULTS_QUEUE, result('r1'));
  await town.clock.advance(60_000);
  expect([taken, open(town)]).toEqual([[], 1]);
});
