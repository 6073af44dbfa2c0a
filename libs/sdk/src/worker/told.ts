import { common } from '@malabar/contracts';
import type { Verdict } from './verdict.js';

const DONE_MAX = 20_000;
/** Failures have words. */
const FAILED_MAX = 1_000;

/**
 * What became of the latest attempts of a task. An attempt that comes a second time was answered, and
 * the answer went down with the bus or with the connection: then it is answered again, not done again.
 */
export class Told {
  readonly #done = new Map<string, Verdict>();
  readonly #failed = new Map<string, Verdict>();

  /** What was said of this attempt; undefined if it is new. */
  find(jobId: string, attempt: number): Verdict | undefined {
    const key = keyOf(jobId, attempt);
    return this.#done.get(key) ?? this.#failed.get(key);
  }

  remember(jobId: string, attempt: number, verdict: Verdict): void {
    const isDone = verdict.kind === common.OutcomeKind.DONE;
    const verdicts = isDone ? this.#done : this.#failed;
    verdicts.set(keyOf(jobId, attempt), verdict);
    if (verdicts.size <= (isDone ? DONE_MAX : FAILED_MAX)) return;
    const [oldest] = verdicts.keys();
    verdicts.delete(oldest as string);
  }
}

// A replay goes on counting the attempts, so none has the name of an earlier one.
function keyOf(jobId: string, attempt: number): string {
  return `${jobId} ${attempt}`;
}
