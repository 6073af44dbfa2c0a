import { describe } from 'vitest';
import { committing } from './backends/testing/committing.suite.js';
import type { BackendUnderTest } from './backends/testing/harness.js';
import { leases } from './backends/testing/leases.suite.js';
import { model } from './backends/testing/model.suite.js';
import { outages } from './backends/testing/outages.suite.js';
import { reading } from './backends/testing/reading.suite.js';
import { reopening } from './backends/testing/reopening.suite.js';
import { values } from './backends/testing/values.suite.js';
import { watching } from './backends/testing/watching.suite.js';

/** What every backend must do, whatever it stands on. Change the suite, never only one backend's own test. */
export function backendSuite(backend: BackendUnderTest): void {
  describe(`${backend.name} backend`, () => {
    reading(backend);
    committing(backend);
    values(backend);
    watching(backend);
    leases(backend);
    reopening(backend);
    outages(backend);
    model(backend);
  });
}
