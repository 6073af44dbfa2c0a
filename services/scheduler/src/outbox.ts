import type { common, ingest, keeper } from '@malabar/contracts';
import { type BusError, type Clock, fromFault, parseJobId, toBusError } from '@malabar/core';
import { nominalAfter, type Schedule } from '@malabar/schedule';
import type { Report } from './core/life.js';
import type { Outgoing } from './core/record.js';
import { jobOfFire, jobOfSkip } from './fire-job.js';
import type { Schedules } from './leader.js';
import type { SchedulerMetrics } from './metrics.js';
import type { Patience } from './patience.js';
import type { Submitter } from './submitter.js';

const DAY_MS = 86_400_000;
const WINDOW_MS = 7 * DAY_MS;
/** Seconds make many keys, and what a leader leaves unsaid is never older than ten of them. */
const WINDOW_SHORT_MS = DAY_MS;
const OFTEN_MS = 60_000;

/** What became of something that was sent. */
export interface Sent {
  outgoing: Outgoing;
  report: Report;
  /** From its due time until it was safe. */
  lateMs: number;
}

export interface OutboxOptions {
  submitter: Submitter;
  patience: Patience;
  clock: Clock;
  metrics: SchedulerMetrics;
  /** Ends a run whose place another one takes. */
  endRun(run: { queue: string; job: string }): Promise<void>;
}

/** A job on its way, and for which decision. */
interface Parcel {
  outgoing: Outgoing & { kind: 'fire' | 'skipped' };
  job: common.Job;
}

/** Jobs for one queue. */
interface ParcelBatch {
  queue: string;
  windowMs: number;
  isNew: boolean;
  parcels: Parcel[];
}

export interface SendOptions {
  outgoing: readonly Outgoing[];
  schedules: Schedules;
  isNew: boolean;
  onSent(sent: readonly Sent[]): void;
}

/** Carries decisions out: pushes jobs until they are safe, in the order of each queue. */
export class Outbox {
  constructor(private readonly options: OutboxOptions) {}

  /**
   * `onSent` is called whenever something has come to its end. `isNew`: nobody has sent it before, so
   * a job with its key is not its own.
   */
  send({ outgoing, schedules, isNew, onSent }: SendOptions): void {
    const batches = new Map<string, ParcelBatch>();
    for (const one of outgoing) {
      const found = schedules.get(one.schedule);
      if (found === undefined) continue;
      const { config, schedule } = found;
      if (one.kind === 'replace') {
        void this.#replace(one, config, onSent);
        continue;
      }
      const job = one.kind === 'fire' ? jobOfFire(one, config) : jobOfSkip(one, config);
      const queue = config.job?.queue ?? '';
      const windowMs = windowOf(schedule, one.nominalMs);
      const key = `${windowMs} ${queue}`;
      const batch = batches.get(key) ?? { queue, windowMs, isNew, parcels: [] };
      batches.set(key, batch);
      batch.parcels.push({ outgoing: one, job });
    }
    for (const batch of batches.values()) void this.#push(batch, onSent);
  }

  /** What cannot be pushed now is pushed later; what never can be is reported as refused. */
  async #push(
    { queue, windowMs, isNew, parcels: all }: ParcelBatch,
    onSent: SendOptions['onSent'],
  ): Promise<void> {
    const { patience } = this.options;
    let parcels = all;
    let attempts = 0;
    try {
      await patience.until(`${queue} takes its jobs`, async () => {
        const isFirst = isNew && attempts++ === 0;
        const results = await this.#submit(queue, parcels, windowMs);
        const ended: Sent[] = [];
        let waiting: BusError | undefined;
        parcels = parcels.filter((parcel, at) => {
          const result = results[at] as ingest.SubmitResult;
          const error = result.fault && fromFault(result.fault);
          if (error === undefined) ended.push(this.#arrived(parcel, result, isFirst));
          else waiting ??= error;
          return error !== undefined;
        });
        if (ended.length > 0) onSent(ended);
        if (waiting !== undefined) throw waiting;
      });
    } catch (thrown) {
      const error = toBusError(thrown);
      if (error.retryable) return;
      onSent(parcels.map((parcel) => this.#refused(parcel, error)));
    }
  }

  async #submit(queue: string, parcels: readonly Parcel[], windowMs: number) {
    const jobs = parcels.map(({ job }) => job);
    return this.options.submitter.submit(queue, jobs, windowMs);
  }

  #arrived({ outgoing }: Parcel, result: ingest.SubmitResult, isFirst: boolean): Sent {
    const { clock, metrics } = this.options;
    const { id } = outgoing;
    const { jobId: job, duplicate } = result;
    const acceptedAtMs = duplicate ? parseJobId(job).acceptedAtMs : clock.now();
    if (outgoing.kind === 'skipped') {
      if (!duplicate) metrics.skipped(outgoing);
      return { outgoing, report: { id, job }, lateMs: 0 };
    }
    const lateMs = acceptedAtMs - outgoing.dueMs;
    if (!duplicate) metrics.fired(outgoing, lateMs);
    return { outgoing, report: { id, job, stranger: duplicate && isFirst }, lateMs };
  }

  #refused({ outgoing }: Parcel, error: BusError): Sent {
    const { metrics, patience } = this.options;
    const { id, schedule } = outgoing;
    metrics.refused(error.code);
    patience.log.error({ schedule, code: error.code, reason: error.message }, 'a fire is refused');
    return { outgoing, report: { id, refused: error.message }, lateMs: 0 };
  }

  async #replace(
    outgoing: Outgoing & { kind: 'replace' },
    config: keeper.ScheduleConfig,
    onSent: SendOptions['onSent'],
  ): Promise<void> {
    const { patience, endRun } = this.options;
    const { id, schedule, runId, job } = outgoing;
    const queue = config.job?.queue ?? '';
    // One that is not in its queue yet cannot be found there either.
    if (job !== undefined)
      await endRun({ queue, job }).catch((thrown) => {
        const reason = toBusError(thrown).message;
        patience.log.warn({ schedule, run: runId, reason }, 'a run that was replaced goes on');
      });
    onSent([{ outgoing, report: { id }, lateMs: 0 }]);
  }
}

/** How long a fire's key is to be known: longer than any outage after which it may be pushed again. */
function windowOf(schedule: Schedule, nominalMs: number): number {
  const next = nominalAfter(schedule, nominalMs);
  return next !== undefined && next - nominalMs < OFTEN_MS ? WINDOW_SHORT_MS : WINDOW_MS;
}
