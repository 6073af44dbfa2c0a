import { expect, test } from 'vitest';
import { runHistory } from './history.suite.js';
import { mutants } from './mutants.suite.js';

/** In so many histories every fault must show. */
const HISTORIES_MAX = 1_000;

test.each(mutants)('a store is caught: $name', async ({ name, sabotage, arm }) => {
  const disarm = arm?.();
  try {
    for (let seed = 1; seed <= HISTORIES_MAX; seed++) {
      const wrong = await runHistory(seed, { sabotage }).then(
        () => undefined,
        (error: Error) => error.message,
      );
      if (wrong === undefined) continue;
      console.log(`caught after ${seed} histories: ${name} (${wrong})`);
      return;
    }
    expect.fail(`${HISTORIES_MAX} histories and nobody noticed: ${name}`);
  } finally {
    disarm?.();
  }
});
