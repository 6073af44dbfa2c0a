import { common, storage } from '@malabar/contracts';
import { BusError, joinFrames } from '@malabar/core';
import type { JobBatch } from './core/log-record.js';
import { encodeResult, type Result } from './core/result.js';
import type { AppendCall, Shard } from './core/shard.js';
import type { Store } from './store.js';

/** Turns what became of deliveries into the jobs that say so, for the commit that they belong to. */
export class Results {
  constructor(private readonly store: Store) {}

  /** Whether the coming commit has results whose jobs are not read. */
  get unread(): boolean {
    return this.store.writes.results.some(({ job }) => job === undefined);
  }

  /** Reads the jobs that the results of the coming commit are about. More may come meanwhile. */
  async read(): Promise<void> {
    for (const result of this.store.writes.results)
      if (result.job === undefined) await this.#read(result);
  }

  /** The appends that the coming commit takes along; results for queues that are gone go with them. */
  calls(): Array<[Shard, AppendCall]> {
    const jobs = new Map<string, Uint8Array[]>();
    for (const { to, job } of this.store.writes.results) {
      const list = jobs.get(to);
      if (list) list.push(job as Uint8Array);
      else jobs.set(to, [job as Uint8Array]);
    }
    const calls: Array<[Shard, AppendCall]> = [];
    for (const [queue, list] of jobs) {
      const shard = this.store.shards.get(queue);
      if (shard?.config !== undefined) calls.push([shard, resultCall(queue, list)]);
      else
        this.store.options.log.warn({ queue, results: list.length }, 'no such queue for results');
    }
    return calls;
  }

  async #read(result: Result): Promise<void> {
    const { topic, seq } = result;
    const shard = this.store.shardById(topic.shard) as Shard;
    const batch = this.store.reader.cached(shard.id, seq) ?? (await this.#readBatch(result));
    const jobId = shard.idOf(batch?.acceptedAtMs ?? 0, seq);
    const job = batch && decoded(batch, seq);
    result.job = encodeResult(result, { queue: shard.queue, jobId, job });
  }

  /** Undefined if the job is damaged or gone: what became of it is told all the same. */
  async #readBatch({ topic, seq }: Result): Promise<JobBatch | undefined> {
    try {
      return await this.store.reader.read(topic.shard, seq);
    } catch (error) {
      if (error instanceof BusError && ['CORRUPT', 'UNKNOWN_JOB'].includes(error.code)) return;
      throw error;
    }
  }
}

function resultCall(queue: string, jobs: readonly Uint8Array[]): AppendCall {
  const request = storage.AppendRequest.fromPartial({ queue, count: jobs.length });
  request.jobs = joinFrames(jobs);
  return { request, reply: () => undefined, unlimited: true };
}

function decoded(batch: JobBatch, seq: number): common.Job | undefined {
  try {
    return common.Job.decode(batch.job(seq));
  } catch {
    return undefined;
  }
}
