import { common } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { expect, test } from 'vitest';
import type { ScheduleLife } from './core/life.js';
import type { RunEnded } from './leader.js';
import { newTown, QUEUE, type Town } from './office.suite.js';
import { pollRuns } from './run-poll.js';

const { DONE, DEAD, SCHEDULED } = common.DeliveryState;

/** A schedule whose runs have these jobs. */
function lifeOf(
  name: string,
  jobs: ReadonlyArray<string | undefined>,
  tracked = true,
): ScheduleLife {
  const runs = jobs.map((job, at) => ({ runId: `${name} ${at}`, job }));
  return { schedule: { name, tracked }, record: { runs } } as unknown as ScheduleLife;
}

function poll(town: Town, ...lives: ScheduleLife[]) {
  const { clock, bus } = town;
  const ended: RunEnded[] = [];
  const state = { failing: false };
  const byName = new Map(lives.map((life) => [life.schedule.name, life]));
  const stop = pollRuns({
    storage: bus.storage,
    clock,
    lives: () => byName,
    isTold: (name) => name === 'told',
    async ended(run) {
      if (state.failing) throw new BusError('UNAVAILABLE', 'this scheduler leads no more');
      ended.push(run);
      byName.delete(run.schedule);
    },
  });
  return { ended, state, stop };
}

test('a run has ended when its job has, with what it died of', async () => {
  const town = newTown();
  const [good, bad] = ['a', 'b'].map((body) => town.bus.put(QUEUE, body));
  if (!good || !bad) throw new Error('no jobs');
  const { ended, stop } = poll(town, lifeOf('good', [good.id]), lifeOf('bad', [bad.id]));
  await town.clock.advance(1_000);
  expect(ended).toEqual([]);
  town.bus.end(good, DONE);
  town.bus.end(bad, SCHEDULED);
  await town.clock.advance(1_000);
  expect(ended).toMatchObject([{ schedule: 'good', runId: 'good 0', status: 'done', output: '' }]);
  town.bus.end(bad, DEAD, 'it broke');
  await town.clock.advance(1_000);
  expect(ended).toMatchObject([{}, { schedule: 'bad', status: 'dead', output: 'it broke' }]);
  await town.clock.advance(5_000);
  expect(ended).toHaveLength(2);
  stop();
});

test('a job that is kept no more has ended nobody knows how', async () => {
  const town = newTown();
  const gone = '01900000-0000-7004-8000-000000000001';
  const { ended, stop } = poll(town, lifeOf('old', [gone]));
  await town.clock.advance(1_000);
  expect(ended).toMatchObject([{ schedule: 'old', status: 'discarded' }]);
  stop();
});

test('nobody is asked about runs that are told of, not tracked, or not in a queue yet', async () => {
  const town = newTown();
  const job = town.bus.put(QUEUE, 'a');
  town.bus.end(job, DONE);
  const lives = [lifeOf('told', [job.id]), lifeOf('free', [job.id], false)];
  const { ended, stop } = poll(town, ...lives, lifeOf('new', [undefined]));
  await town.clock.advance(5_000);
  expect(ended).toEqual([]);
  stop();
});

test('storage away, or a journal that takes nothing: it is asked again until it is known', async () => {
  const town = newTown();
  const job = town.bus.put(QUEUE, 'a');
  town.bus.end(job, DONE);
  town.bus.away = true;
  const { ended, state, stop } = poll(town, lifeOf('one', [job.id]));
  await town.clock.advance(10_000);
  state.failing = true;
  town.bus.away = false;
  await town.clock.advance(10_000);
  expect(ended).toEqual([]);
  state.failing = false;
  await town.clock.advance(1_000);
  expect(ended).toHaveLength(1);
  stop();
  await town.clock.advance(10_000);
  expect(town.clock.pending).toBe(0);
});

test('a run on many nodes is asked about part by part', async () => {
  const town = newTown();
  const jobs = ['a', 'b'].map((body) => town.bus.put(QUEUE, body));
  const parts = jobs.map(({ id: job }, at) => ({ node: `n${at}`, job }));
  const schedule = { name: 'wide', tracked: true };
  const runs = [{ runId: 'r', parts, total: 2 }];
  const life = { schedule, record: { runs } } as unknown as ScheduleLife;
  const { ended, stop } = poll(town, life);
  if (jobs[1]) town.bus.end(jobs[1], DONE);
  await town.clock.advance(1_000);
  expect(ended).toMatchObject([{ runId: 'r', node: 'n1', status: 'done' }]);
  stop();
});
