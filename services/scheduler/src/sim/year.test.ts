import { expect, test } from 'vitest';
import { World } from './world.suite.js';

// SIM_SEED=7 runs another year, and the same one again.
const SEED = Number(process.env.SIM_SEED ?? 1);
const DEATHS = 500;

// A simulation in which nothing happens any more would find nothing either.
const MUST_HAPPEN = [
  'duplicates dropped',
  'effects of leaders deposed',
  'fires: backfill',
  'fires: parent',
  'fires: timetable',
  'fires: trigger',
  'leaders who stop because somebody else wrote',
  'missed and fired: all',
  'missed and fired: once',
  'nodes that go',
  'parts of runs on many nodes',
  'parts pushed again by the next leader',
  'runs replaced',
  'skipped: ended',
  'skipped: misfire',
  'skipped: no_node',
  'skipped: overlap',
  'skipped: paused',
];

test('a year of 1,000 schedules and 500 deaths: every fire at its time, none lost, none doubled', () => {
  const startedAt = performance.now();
  const world = new World(SEED, { schedules: 1_000, deaths: DEATHS, effectsPerLife: 2_400 });
  try {
    world.run();
  } catch (error) {
    expect.fail(`SIM_SEED=${SEED}: ${(error as Error).stack}`);
  }
  const seconds = (performance.now() - startedAt) / 1000;
  const lines = [...world.outside.tally].sort().map(([what, times]) => `  ${what}: ${times}`);
  console.log(
    `SIM_SEED=${SEED}, ${world.steps} steps, ${world.effects} effects, ${world.deaths} deaths, ` +
      `${seconds.toFixed(1)} s\n${lines.join('\n')}`,
  );
  for (const what of MUST_HAPPEN) expect(world.outside.tally.get(what), what).toBeGreaterThan(10);
  expect(world.deaths).toBeGreaterThanOrEqual(DEATHS);
}, 600_000);
