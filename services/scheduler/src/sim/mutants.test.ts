import { expect, test } from 'vitest';
import { mutants } from './mutants.suite.js';
import { World } from './world.suite.js';

/** In so many years every fault must show. */
const YEARS_MAX = 5;

test.each(mutants)('a scheduler is caught: $name', ({ name, sabotage, arm }) => {
  const disarm = arm?.();
  try {
    for (let seed = 1; seed <= YEARS_MAX; seed++) {
      const wrong = errorOf(new World(seed, { ...SMALL, ...sabotage }));
      if (wrong === undefined) continue;
      console.log(`caught in year ${seed}: ${name} (${wrong.split('\n')[0]})`);
      return;
    }
    expect.fail(`${YEARS_MAX} years and nobody noticed: ${name}`);
  } finally {
    disarm?.();
  }
});

const SMALL = { schedules: 40, deaths: 200, effectsPerLife: 200 };

function errorOf(world: World): string | undefined {
  try {
    world.run();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
