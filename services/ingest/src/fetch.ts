import { common } from '@malabar/contracts';
import { BusError, frameBody, frameOffsets, jobId } from '@malabar/core';
import type { IntakeQueue } from './intake.js';
import type { StorageClient } from './storage-client.js';

/** Beyond the wait itself: storage has to commit what was settled or leased. */
const ANSWER_TIMEOUT_MS = 30_000;

/** A leased delivery as a fetching client sees it. */
export interface FetchedJob {
  jobId: string;
  leaseId: number;
  /** From 1. */
  attempt: number;
  acceptedAtMs: number;
  /** Unix milliseconds at which the lease ends unless extended. */
  leaseUntilMs: number;
  job: common.Job;
}

export interface FetchWish {
  topic: string;
  jobsMax: number;
  waitMs: number;
  /** Settle as done before the answer: at most once. */
  settle: boolean;
  consumer: string;
  signal?: AbortSignal;
}

/** Takes deliveries of a topic. */
export async function fetchJobs(
  storage: StorageClient,
  queue: IntakeQueue,
  wish: FetchWish,
): Promise<FetchedJob[]> {
  const { runs } = await storage.fetch(
    {
      queue: queue.name,
      topic: wish.topic,
      maxJobs: wish.jobsMax,
      waitMs: wish.waitMs,
      leaseMs: 0,
      settle: wish.settle,
      consumer: wish.consumer,
    },
    { timeoutMs: wish.waitMs + ANSWER_TIMEOUT_MS, signal: wish.signal },
  );
  return runs.flatMap(unpack);
}

function unpack(run: common.JobRun): FetchedJob[] {
  const offsets = frameOffsets(run.jobs);
  if (offsets?.length !== run.count + 1) {
    throw new BusError('INTERNAL', `storage sent a run of ${run.count} jobs with broken frames`);
  }
  return Array.from({ length: run.count }, (_, i) => ({
    jobId: jobId(run.acceptedAtMs, run.store, run.shard, run.firstSeq + i),
    leaseId: run.firstLeaseId + i,
    attempt: run.attempt || 1,
    acceptedAtMs: run.acceptedAtMs,
    leaseUntilMs: run.leaseUntilMs,
    job: common.Job.decode(frameBody(run.jobs, offsets[i] as number, offsets[i + 1] as number)),
  }));
}

/** The topic that a consumer means who names only the queue. */
export function defaultTopic(queue: IntakeQueue): string {
  const topics = queue.config?.topics ?? [];
  if (topics.length === 1) return (topics[0] as { name: string }).name;
  if (topics.some((each) => each.name === 'default')) return 'default';
  const names = topics.map((each) => `${queue.name}/${each.name}`).join(', ');
  throw new BusError('UNKNOWN_TOPIC', `name the topic to fetch from: ${names || 'there is none'}`);
}
