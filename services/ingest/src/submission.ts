import type { BatchAnswer, JobOutcome, Waiter } from './batch.js';
import type { Protocol } from './metrics.js';

/** Waits for the jobs of one request, all of one batch, and hands on what became of each. */
export class Submission implements Waiter {
  constructor(
    readonly protocol: Protocol,
    private readonly done: (outcomes: JobOutcome[]) => void,
  ) {}

  settle(answer: BatchAnswer, index: number, count: number): void {
    this.done(answer.outcomes(index, count));
  }
}
