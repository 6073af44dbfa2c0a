import { common, type storage } from '@malabar/contracts';
import type { Clock } from '@malabar/core';
import type { Topic } from './core/topic.js';

export interface FetchingOptions {
  clock: Clock;
  /** Leases what is ready now. */
  lease(topic: Topic, request: storage.FetchRequest): Promise<common.JobRun[]>;
  settle(outcomes: common.Outcome[]): void;
}

/** A fetching consumer that waits for its first job. */
interface Waiter {
  readonly topic: Topic;
  readonly request: storage.FetchRequest;
  /** Ends the wait; a second call does nothing. */
  resolve(runs: common.JobRun[]): void;
  ended: boolean;
  /** Leases are being taken for it: its time does not end before that is known. */
  serving: boolean;
  late: boolean;
}

/** Consumers that ask for jobs, and those of them that wait for one. */
export class Fetching {
  readonly #waiters = new Map<Topic, Waiter[]>();
  #closed = false;

  constructor(private readonly options: FetchingOptions) {}

  /** Topics that somebody waits at. */
  get topics(): Iterable<Topic> {
    return this.#waiters.keys();
  }

  /** Leases up to `maxJobs`, waiting for the first one if asked to, no longer than `waitMs`. */
  async fetch(
    topic: Topic,
    request: storage.FetchRequest,
    signal: AbortSignal,
  ): Promise<common.JobRun[]> {
    const runs = await this.options.lease(topic, request);
    if (runs.length > 0 || request.waitMs === 0 || signal.aborted || this.#closed) return runs;
    return this.#wait(topic, request, signal);
  }

  /** Something may be ready for those who wait at this topic; the longest wait comes first. */
  async serve(topic: Topic): Promise<void> {
    for (const waiter of this.#waiters.get(topic) ?? []) {
      if (!topic.leasable) return;
      if (waiter.ended || waiter.serving) continue;
      waiter.serving = true;
      const runs = await this.options.lease(topic, waiter.request);
      waiter.serving = false;
      if (waiter.ended) this.#giveBack(runs);
      else if (runs.length > 0 || waiter.late) waiter.resolve(runs);
    }
  }

  /** Everybody who waits gets nothing. */
  close(): void {
    this.#closed = true;
    for (const waiter of [...this.#waiters.values()].flat()) waiter.resolve([]);
  }

  #wait(
    topic: Topic,
    request: storage.FetchRequest,
    signal: AbortSignal,
  ): Promise<common.JobRun[]> {
    return new Promise((resolve) => {
      const giveUp = (): void => waiter.resolve([]);
      const cancelTimer = this.options.clock.after(request.waitMs, () => {
        waiter.late = true;
        if (!waiter.serving) giveUp();
      });
      const waiter: Waiter = {
        topic,
        request,
        ended: false,
        serving: false,
        late: false,
        resolve: (runs) => {
          if (waiter.ended) return;
          waiter.ended = true;
          cancelTimer();
          signal.removeEventListener('abort', giveUp);
          this.#remove(waiter);
          resolve(runs);
        },
      };
      signal.addEventListener('abort', giveUp);
      this.#waiters.set(topic, [...(this.#waiters.get(topic) ?? []), waiter]);
    });
  }

  #remove(waiter: Waiter): void {
    const rest = (this.#waiters.get(waiter.topic) ?? []).filter((one) => one !== waiter);
    if (rest.length > 0) this.#waiters.set(waiter.topic, rest);
    else this.#waiters.delete(waiter.topic);
  }

  /** The consumer stopped waiting just before its jobs came. */
  #giveBack(runs: common.JobRun[]): void {
    const kind = common.OutcomeKind.RELEASE;
    for (const { firstLeaseId, count } of runs)
      for (let i = 0; i < count; i++)
        this.options.settle([common.Outcome.fromPartial({ leaseId: firstLeaseId + i, kind })]);
  }
}
