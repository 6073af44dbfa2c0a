import type { ingest, keeper } from '@malabar/contracts';
import { type BusError, type Clock, fromFault, parseJobId, toBusError } from '@malabar/core';
import type { Outgoing } from './core/record.js';
import type { Arrival, Report } from './core/runs.js';
import type { Schedules } from './leader.js';
import type { SchedulerMetrics } from './metrics.js';
import { type Bundle, Packing, type Parcel, type ParcelBatch, type Pushed } from './packing.js';
import { isForGood, type Patience } from './patience.js';
import type { Submitter } from './submitter.js';

/** The nodes that are there for a fire. */
export interface Placed {
  schedule: string;
  id: string;
  nodes: readonly string[];
}

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
  /** The nodes on which commands of this schedule run now. */
  nodesFor(broadcast: keeper.Broadcast, queue: string): Promise<string[]>;
}

/** What became of one job. */
interface Arrived extends Arrival {
  /** From its due time until it was safe. */
  lateMs: number;
  /** It was not there before. */
  isNew: boolean;
}

export interface SendOptions {
  outgoing: readonly Outgoing[];
  schedules: Schedules;
  isNew: boolean;
  onSent(sent: readonly Sent[]): void;
  onPlaced(placed: Placed): void;
}

/** Carries decisions out: pushes jobs until they are safe, in the order of each queue. */
export class Outbox {
  constructor(private readonly options: OutboxOptions) {}

  /**
   * `onSent` is called whenever something has come to its end. `isNew`: nobody has sent it before, so
   * a job with its key is not its own.
   */
  send({ outgoing, schedules, isNew, onSent, onPlaced }: SendOptions): void {
    const packing = new Packing(isNew);
    for (const one of outgoing) {
      const found = schedules.get(one.schedule);
      if (found === undefined) continue;
      if (one.kind === 'replace') void this.#replace(one, found.config, onSent);
      else if (one.kind === 'place') void this.#place(one, found.config, onPlaced);
      else packing.add(one, found);
    }
    for (const batch of packing.batches) void this.#push(batch, onSent);
  }

  /** What cannot be pushed now is pushed later; what never can be is reported as refused. */
  async #push(
    { queue, windowMs, isNew, parcels: all, bundles }: ParcelBatch,
    onSent: SendOptions['onSent'],
  ): Promise<void> {
    const { patience } = this.options;
    let parcels = all;
    let attempts = 0;
    try {
      await patience.until(`${queue} takes its jobs`, async () => {
        const isRepeated = attempts++ > 0;
        const results = await this.#submit(queue, parcels, windowMs);
        const ended: Sent[] = [];
        let waiting: BusError | undefined;
        parcels = parcels.filter((parcel, at) => {
          const result = results[at] as ingest.SubmitResult;
          const error = result.fault && fromFault(result.fault);
          if (error === undefined) {
            const arrived = this.#arrived(parcel, result, { isNew, isRepeated });
            ended.push(...this.#gather(parcel, arrived, bundles));
          } else if (isForGood(error)) {
            ended.push(...this.#gather(parcel, this.#refused(parcel, error), bundles));
          } else if (waiting === undefined || error.retryable) waiting = error;
          return error !== undefined && !isForGood(error);
        });
        if (ended.length > 0) onSent(ended);
        if (waiting !== undefined) throw waiting;
      });
    } catch (thrown) {
      const error = toBusError(thrown);
      if (error.retryable) return;
      onSent(
        parcels.flatMap((parcel) => this.#gather(parcel, this.#refused(parcel, error), bundles)),
      );
    }
  }

  /** What is to be reported now: of a fire on many nodes nothing before its last job. */
  #gather({ outgoing, job }: Parcel, one: Arrived, bundles: Map<Outgoing, Bundle>): Sent[] {
    const { id } = outgoing;
    const { isNew, lateMs, ...arrival } = one;
    const nodes = outgoing.kind === 'fire' ? outgoing.nodes : undefined;
    const bundle = bundles.get(outgoing) ?? { arrivals: [], lateMs, isNew };
    bundles.set(outgoing, bundle);
    bundle.arrivals.push({ node: job.node, ...arrival });
    bundle.lateMs = Math.max(bundle.lateMs, lateMs);
    bundle.isNew ||= isNew;
    if (bundle.arrivals.length < (nodes?.length ?? 1)) return [];
    if (bundle.isNew) this.#count(outgoing, bundle.lateMs);
    const report = nodes === undefined ? { id, ...arrival } : { id, parts: bundle.arrivals };
    return [{ outgoing, report, lateMs: bundle.lateMs }];
  }

  #count(outgoing: Pushed, lateMs: number): void {
    const { metrics } = this.options;
    if (outgoing.kind === 'skipped') metrics.skipped(outgoing);
    else metrics.fired(outgoing, lateMs);
  }

  async #submit(queue: string, parcels: readonly Parcel[], windowMs: number) {
    const jobs = parcels.map(({ job }) => job);
    return this.options.submitter.submit(queue, jobs, windowMs);
  }

  #arrived(
    { outgoing }: Parcel,
    { jobId: job, duplicate }: ingest.SubmitResult,
    { isNew: isMine, isRepeated }: { isNew: boolean; isRepeated: boolean },
  ): Arrived {
    // What is there already is ours if we have sent it before and heard no answer.
    const isNew = !duplicate || (isMine && isRepeated);
    if (outgoing.kind === 'skipped') return { job, lateMs: 0, isNew };
    const acceptedAtMs = duplicate ? parseJobId(job).acceptedAtMs : this.options.clock.now();
    const lateMs = acceptedAtMs - outgoing.dueMs;
    return { job, stranger: duplicate && isMine && !isRepeated, lateMs, isNew };
  }

  #refused({ outgoing }: Parcel, error: BusError): Arrived {
    const { metrics, patience } = this.options;
    const { schedule } = outgoing;
    metrics.refused(error.code);
    patience.log.error({ schedule, code: error.code, reason: error.message }, 'a fire is refused');
    return { refused: error.message, lateMs: 0, isNew: false };
  }

  /** Asks who is there, for as long as it takes. */
  async #place(
    { id, schedule }: Outgoing & { kind: 'place' },
    { broadcast, job }: keeper.ScheduleConfig,
    onPlaced: SendOptions['onPlaced'],
  ): Promise<void> {
    const { patience, nodesFor } = this.options;
    try {
      const nodes = await patience.until('the dispatchers are known', async () =>
        broadcast === undefined ? [] : nodesFor(broadcast, job?.queue ?? ''),
      );
      onPlaced({ schedule, id, nodes });
    } catch (thrown) {
      // This leader leads no more: the next one asks.
      patience.log.debug(
        { schedule, reason: toBusError(thrown).message },
        'a fire has no place yet',
      );
    }
  }

  async #replace(
    outgoing: Outgoing & { kind: 'replace' },
    config: keeper.ScheduleConfig,
    onSent: SendOptions['onSent'],
  ): Promise<void> {
    const { patience, endRun } = this.options;
    const { id, schedule, runId, jobs } = outgoing;
    const queue = config.job?.queue ?? '';
    const end = (job: string): Promise<void> =>
      endRun({ queue, job }).catch((thrown) => {
        const reason = toBusError(thrown).message;
        patience.log.warn({ schedule, run: runId, reason }, 'a run that was replaced goes on');
      });
    await Promise.all(jobs.map(end));
    onSent([{ outgoing, report: { id }, lateMs: 0 }]);
  }
}
