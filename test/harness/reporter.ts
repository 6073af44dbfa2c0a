import type { SerializedError } from 'vitest';
import type { Reporter, TestModule } from 'vitest/node';

/**
 * Ends a run with one plain line, e.g. `412 passed, 0 failed, 3 skipped`. What has no test to its
 * name (a file that does not load, a hook of a suite, an error outside of tests) counts as failed
 * too: a red run never says `0 failed`.
 */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[]): void {
    const count = { passed: 0, failed: errors.length, skipped: 0 };
    for (const module of modules) {
      for (const suite of [module, ...module.children.allSuites()]) {
        if (suite.errors().length > 0) count.failed++;
      }
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state !== 'pending') count[state]++;
      }
    }
    const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : '';
    // Behind whatever the other reporters still print.
    process.once('exit', () => {
      console.log(`${count.passed} passed, ${count.failed} failed${skipped}`);
    });
  }
}
