import { common } from '@malabar/contracts';
import { frameBody, frameOffsets, jobId } from '@malabar/core';

/** One leased job. A hot path makes one per job, so it only points into the run that it came in. */
export class Delivery {
  readonly leaseId: number;
  /** Unix milliseconds; moves when the lease is extended. */
  leaseUntilMs: number;
  /** Unix milliseconds when its consumer got it; 0 while it waits. */
  startedAtMs = 0;
  /** When its consumer got it or last asked for more time: its timeout counts from here. */
  aliveAtMs = 0;

  constructor(
    readonly run: common.JobRun,
    readonly index: number,
    readonly frameStart: number,
    readonly frameEnd: number,
    /** The stream that the lease lives on: an outcome for another one is stale. */
    readonly session: number,
  ) {
    this.leaseId = run.firstLeaseId + index;
    this.leaseUntilMs = run.leaseUntilMs;
  }

  get jobId(): string {
    const { acceptedAtMs, store, shard, firstSeq } = this.run;
    return jobId(acceptedAtMs, store, shard, firstSeq + this.index);
  }

  /** Which try this is, from 1. */
  get attempt(): number {
    return this.run.attempt;
  }

  /** Whether an earlier try has crashed its consumer. */
  get hasCrashed(): boolean {
    return this.run.crashes > 0;
  }

  get acceptedAtMs(): number {
    return this.run.acceptedAtMs;
  }

  /** Size of the encoded job. */
  get bytes(): number {
    return this.frameEnd - this.frameStart;
  }

  /** The job as its producer wrote it, decoded anew at each call. Throws if the bytes are no Job. */
  decode(): common.Job {
    return common.Job.decode(frameBody(this.run.jobs, this.frameStart, this.frameEnd));
  }
}

/** The deliveries of a run; undefined if its bytes are not the jobs that it announces. */
export function deliveriesOf(run: common.JobRun, session: number): Delivery[] | undefined {
  const offsets = frameOffsets(run.jobs);
  if (offsets === undefined || offsets.length !== run.count + 1) return undefined;
  const deliveries = new Array<Delivery>(run.count);
  for (let i = 0; i < run.count; i++)
    deliveries[i] = new Delivery(run, i, offsets[i] as number, offsets[i + 1] as number, session);
  return deliveries;
}
