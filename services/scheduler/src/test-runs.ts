import { RUN_TOPIC, testQueue } from '@malabar/config';
import { common, type keeper, type scheduler } from '@malabar/contracts';
import { BusError, type Clock, fromFault } from '@malabar/core';
import { HEADER } from './fire-job.js';
import type { RunEnder } from './run-ender.js';
import { type IngestClient, Submitter } from './submitter.js';

const TIMEOUT_MS = 300_000;
const TIMEOUT_MS_MAX = 86_400_000;

export interface TestRunsOptions {
  ingest: IngestClient;
  ender: RunEnder;
  clock: Clock;
}

/** Commands of schedules that are tried out: jobs of a queue beside that of the schedule. */
export class TestRuns {
  readonly #submitter: Submitter;
  readonly #stopping = new AbortController();

  constructor(private readonly options: TestRunsOptions) {
    this.#submitter = new Submitter(options);
  }

  /** Throws INVALID for a schedule that runs no command. */
  async start(
    { name, runs, job }: keeper.ScheduleConfig,
    { timeoutMs }: scheduler.TestRunRequest,
  ): Promise<scheduler.TestRunResponse> {
    if (!runs) {
      const text = `${name} pushes to ${job?.queue}: a test would do the work; push a job of your own`;
      throw new BusError('INVALID', text);
    }
    if (timeoutMs < 0 || timeoutMs > TIMEOUT_MS_MAX)
      throw new BusError('INVALID', 'a test run takes up to a day');
    const headers = { ...job?.headers, [HEADER.schedule]: name, [HEADER.reason]: 'test' };
    const queue = testQueue(name);
    const [result] = await this.#submitter.submit(queue, [common.Job.fromPartial({ headers })], 0);
    if (result?.fault !== undefined) throw fromFault(result.fault);
    const place = { queue, topic: RUN_TOPIC, jobId: result?.jobId ?? '' };
    this.#endAfter(timeoutMs || TIMEOUT_MS, place);
    return place;
  }

  stop(): void {
    this.#stopping.abort();
    this.#submitter.close();
  }

  #endAfter(timeoutMs: number, place: scheduler.TestRunResponse): void {
    const { clock, ender } = this.options;
    const reason = 'the time of the test run is over';
    const { signal } = this.#stopping;
    const end = (): void => void ender.end({ ...place, reason }, signal).catch(() => undefined);
    const cancel = clock.after(timeoutMs, end);
    signal.addEventListener('abort', cancel, { once: true });
  }
}
