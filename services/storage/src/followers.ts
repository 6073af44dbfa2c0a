import { storage } from '@malabar/contracts';
import { joinFrames } from '@malabar/core';
import { type BatchGrowth, grow, type LiveBatch } from './core/batch.js';
import type { AppendCall, Shard, StagedAppend } from './core/shard.js';
import type { Key } from './engine.js';
import type { Store } from './store.js';

/** Batches within a commit: what counts in them, which of them end, and the jobs that follow those. */
export class Followers {
  /** The appends of the coming commit that follow batches. */
  #calls = new Map<AppendCall, LiveBatch>();

  constructor(private readonly store: Store) {}

  /** Something of batches waits for a commit. */
  get pending(): boolean {
    return this.store.batches.pending;
  }

  /** Counts, ends what is over, and answers the appends that follow. `others`: those of the same commit. */
  calls(others: ReadonlyArray<[Shard, AppendCall]>): Array<[Shard, AppendCall]> {
    const { batches, shards, options } = this.store;
    let joined: ReadonlySet<string> | undefined;
    batches.settle(options.clock.now(), () => {
      joined ??= batchesOf(others);
      return joined;
    });
    this.#calls = new Map();
    return batches.followers().flatMap((each): Array<[Shard, AppendCall]> => {
      const shard = shards.get(each.batch.thenQueue);
      if (shard === undefined) return [];
      const call = callOf(each);
      this.#calls.set(call, each);
      return [[shard, call]];
    });
  }

  /** Writes batches with the commit, those that end with the jobs that follow them. */
  write(staged: readonly StagedAppend[], state: Map<Key, Uint8Array | undefined>): void {
    for (const each of this.store.batches.followers()) {
      const message = `queue '${each.batch.thenQueue}' does not exist`;
      each.follow({ fault: { code: 'UNKNOWN_QUEUE', message } });
    }
    for (const { shard, answers } of staged)
      for (const [call, { fault, acceptedAtMs, firstSeq }] of answers)
        this.#calls.get(call)?.follow({ fault, jobId: shard.idOf(acceptedAtMs, firstSeq) });
    this.store.batches.write(growthsOf(staged), state);
  }

  /** The commit is durable. */
  committed(staged: readonly StagedAppend[]): void {
    const { batches, options } = this.store;
    for (const { batch } of batches.ended) {
      options.metrics.batchEnded(batch.state);
      const { id, thenQueue: queue, thenFault } = batch;
      if (thenFault)
        options.log.warn({ batch: id, queue, ...thenFault }, 'nothing follows a batch');
    }
    batches.committed(growthsOf(staged));
  }
}

function callOf(batch: LiveBatch): AppendCall {
  const queue = batch.batch.thenQueue;
  const request = storage.AppendRequest.fromPartial({ queue, count: 1 });
  request.jobs = joinFrames([batch.followerJob()]);
  return { request, reply: () => undefined, unlimited: true };
}

/** The batches that appends name. */
function batchesOf(calls: ReadonlyArray<[Shard, AppendCall]>): ReadonlySet<string> {
  const ids = new Set<string>();
  for (const [, { request }] of calls) for (const { batch } of request.options) ids.add(batch);
  return ids;
}

/** What the appends of a commit add to batches, over all queues. */
function growthsOf(staged: readonly StagedAppend[]): ReadonlyMap<string, BatchGrowth> {
  const all = new Map<string, BatchGrowth>();
  for (const { growths } of staged) for (const [id, growth] of growths) grow(all, id, growth);
  return all;
}
