import type { common, storage } from '@malabar/contracts';
import { type BusError, fromFault, jobId } from '@malabar/core';
import { FrameBuffer, type ScratchPool } from './frame-buffer.js';
import type { JobKeys } from './job-keys.js';
import type { Protocol } from './metrics.js';

/** Who waits for jobs: a command, a call. One object per request, never per job. */
export interface Waiter {
  readonly protocol: Protocol;
  /** The jobs [index, index + count) of the answered batch, all of this waiter, have ended. */
  settle(answer: BatchAnswer, index: number, count: number): void;
}

/** What became of one job: `error`, or the id (of the first one if it is a duplicate). */
export interface JobOutcome {
  jobId: string;
  duplicate: boolean;
  error?: BusError;
}

/** What storage must know of a job beside its bytes. */
export type JobOptions = Omit<Partial<storage.JobOptions>, 'index' | 'keys'>;

/** Jobs of one queue on their way to storage. */
export class Batch {
  readonly frames: FrameBuffer;
  readonly options: storage.JobOptions[] = [];
  readonly waiters: Waiter[] = [];
  /** Jobs of waiters[i], consecutive. */
  readonly counts: number[] = [];
  count = 0;
  bytes = 0;
  sentAtMs = 0;

  constructor(
    readonly queue: string,
    readonly requestId: number,
    pool: ScratchPool,
    /** How keys of its jobs are found; undefined if nobody cares for them. */
    readonly keys: JobKeys | undefined,
  ) {
    this.frames = new FrameBuffer(pool);
  }

  /** The job just written belongs to `waiter`. */
  expect(waiter: Waiter): void {
    const last = this.waiters.length - 1;
    if (last >= 0 && this.waiters[last] === waiter) {
      this.counts[last] = (this.counts[last] as number) + 1;
    } else {
      this.waiters.push(waiter);
      this.counts.push(1);
    }
    this.count++;
  }

  /** Tells every waiter; calls `failed` for one that throws and goes on. */
  settle(answer: BatchAnswer, failed: (error: unknown) => void): void {
    let index = 0;
    for (let i = 0; i < this.waiters.length; i++) {
      const count = this.counts[i] as number;
      try {
        (this.waiters[i] as Waiter).settle(answer, index, count);
      } catch (error) {
        failed(error);
      }
      index += count;
    }
  }
}

/** Storage's answer to a batch, or the error that took its place. */
export class BatchAnswer {
  private constructor(
    /** The whole batch was refused or its fate is unknown. */
    readonly error: BusError | undefined,
    private readonly response: storage.AppendResponse | undefined,
  ) {}

  static of(response: storage.AppendResponse): BatchAnswer {
    const fault: common.Fault | undefined = response.fault;
    return new BatchAnswer(fault && fromFault(fault), response);
  }

  static failed(error: BusError): BatchAnswer {
    return new BatchAnswer(error, undefined);
  }

  /** Every job of the batch was appended. */
  get whole(): boolean {
    return this.error === undefined && this.response?.exceptions.length === 0;
  }

  /** Ready deliveries of the fullest topic after the batch. */
  get ready(): number {
    return this.response?.ready ?? 0;
  }

  /** The first of the jobs [index, index + count) that was refused says why; undefined if none was. */
  refusal(index: number, count: number): BusError | undefined {
    if (this.error) return this.error;
    for (const exception of this.response?.exceptions ?? []) {
      if (exception.index < index || exception.index >= index + count) continue;
      if (exception.fault) return fromFault(exception.fault);
    }
    return undefined;
  }

  /** The codes of those of the jobs [index, index + count) that were refused; default all. */
  faultCodes(index = 0, count = Number.POSITIVE_INFINITY): string[] {
    const codes: string[] = [];
    for (const { index: at, fault } of this.response?.exceptions ?? []) {
      if (fault && at >= index && at < index + count) codes.push(fault.code);
    }
    return codes;
  }

  /** What became of each of the jobs [index, index + count). */
  outcomes(index: number, count: number): JobOutcome[] {
    const outcomes: JobOutcome[] = [];
    const exceptions = this.response?.exceptions ?? [];
    let next = exceptions.findIndex((each) => each.index >= index);
    if (next < 0) next = exceptions.length;
    for (let i = index; i < index + count; i++) {
      const exception = exceptions[next]?.index === i ? exceptions[next++] : undefined;
      outcomes.push(this.error ? refused(this.error) : this.#outcome(i, next, exception));
    }
    return outcomes;
  }

  /** `skipped`: jobs up to this one that were not appended and took no sequence number. */
  #outcome(
    index: number,
    skipped: number,
    exception: storage.AppendException | undefined,
  ): JobOutcome {
    if (exception?.fault) return refused(fromFault(exception.fault));
    if (exception) return { jobId: exception.duplicateOf, duplicate: true };
    const { acceptedAtMs, store, shard, firstSeq } = this.response as storage.AppendResponse;
    return {
      jobId: jobId(acceptedAtMs, store, shard, firstSeq + index - skipped),
      duplicate: false,
    };
  }
}

function refused(error: BusError): JobOutcome {
  return { jobId: '', duplicate: false, error };
}
