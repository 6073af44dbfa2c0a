import { describe } from 'vitest';
import { atomicCommit } from './engines/testing/atomic-commit.suite.js';
import { buffers } from './engines/testing/buffers.suite.js';
import { durability } from './engines/testing/durability.suite.js';
import { fencing } from './engines/testing/fencing.suite.js';
import type { EngineUnderTest } from './engines/testing/harness.js';
import { logOrder } from './engines/testing/log-order.suite.js';
import { room } from './engines/testing/room.suite.js';
import { stateOrder } from './engines/testing/state-order.suite.js';
import { values } from './engines/testing/values.suite.js';

/** What every engine must do, whatever it stands on. Change the suite, never only one engine's own test. */
export function engineSuite(engine: EngineUnderTest): void {
  describe(`${engine.name} engine`, () => {
    atomicCommit(engine);
    stateOrder(engine);
    logOrder(engine);
    values(engine);
    buffers(engine);
    fencing(engine);
    durability(engine);
    room(engine);
  });
}
