import { common, keeper, records, type storage } from '@malabar/contracts';
import { frameBody, frameOffsets } from '@malabar/core';

export const DAY_MS = 24 * 3_600_000;

/** What is to be remembered of a delivery over a crash. */
export interface Kept {
  state: 'waiting' | 'done' | 'dead' | 'discarded';
  /** It has left the log's order. */
  entry: boolean;
  /** Of one that has left the log's order. */
  dueAtMs: number;
  attempts: number;
  crashes: number;
  forgivenAttempts: number;
  forgivenCrashes: number;
  /** Others of its key wait for it to be tried again. */
  holds: boolean;
  replays: number;
}

export interface ModelLease {
  id: number;
  delivery: ModelDelivery;
  holder: string;
  leaseMs: number;
  deadlineMs: number;
  /** Its holder has heard of it. */
  told: boolean;
  /** Whether the store can know how old the job is: it reads that from the log. */
  ageKnown: () => boolean;
}

export interface ModelDelivery {
  job: ModelJob;
  topic: ModelTopic;
  /** Its key in this topic; empty for none. */
  key: string;
  /** The job was accepted before the topic came: all that was said with it is forgotten. */
  late: boolean;
  kept: Kept;
  durable: Kept | undefined;
  lease: ModelLease | undefined;
  /** While which commit a lease of it was given back; somebody may have begun it then. */
  releasedIn: number;
}

export interface ModelJob {
  queue: ModelQueue;
  seq: number;
  id: string;
  body: string;
  acceptedAtMs: number;
  options: storage.JobOptions | undefined;
  deliveries: Map<string, ModelDelivery>;
  /** Behind the last job of its log record. */
  recordEnd: number;
  /** Its log record was dropped. */
  dropped: boolean;
}

export interface ModelTopic {
  name: string;
  config: keeper.TopicConfig;
  attached: boolean;
  /** Attached, as the disk knows it; undefined while the disk knows nothing of the topic. */
  durable: boolean | undefined;
  /** Every delay that it ever had. */
  delaysMs: number[];
}

/** Who has an idempotency key. */
export interface KeyHolder {
  id: string;
  seq: number;
  expiresAtMs: number;
  /** When the first of the row was accepted of which each replaced the one before. */
  sinceMs: number;
}

export interface ModelQueue {
  name: string;
  shard: number;
  config: keeper.QueueConfig | undefined;
  /** Every retention that it ever had. */
  retentionsMs: number[];
  /** The disk knows of it. */
  durable: boolean;
  topics: Map<string, ModelTopic>;
  jobs: ModelJob[];
  keys: Map<string, KeyHolder>;
}

/** What a queue must be told. */
export interface ModelResult {
  to: string;
  /** Job, topic, attempt and status. */
  says: string;
}

/** A job that a producer has offered. */
export interface Offer {
  options: storage.JobOptions | undefined;
  /** The producer was told that it was not taken. */
  refused: boolean;
}

/** What the model may look at when it hears of something. */
export interface StoreView {
  now(): number;
  store(): number;
  shardOf(queue: string): { id: number; trimmedTo: number } | undefined;
  inEffect(config: keeper.BusConfig): boolean;
  survives(shard: number, seq: number): boolean;
  /** The store waits for its disk. */
  isReading(): boolean;
  /** Since when nobody of a node is subscribed to a topic, at the earliest; undefined if somebody is. */
  awaySinceMs(node: string, queue: string, topic: string): number | undefined;
}

/** How a lease was asked for and what the store made of it. */
export interface LeaseTerms {
  holder: string;
  /** Where the holder stands. */
  node: string;
  fetching: boolean;
  /** By the fetching consumer; 0 for none. */
  askedMs: number;
  attempt: number;
  deadlineMs: number;
  ageKnown: () => boolean;
}

/** The simulation's chance is always in the middle, so that a pause is one number. */
export const RANDOM = 0.5;

export function pauseMs(policy: keeper.RetryPolicy, attempt: number): number {
  let full = policy.minMs;
  if (policy.backoff === keeper.Backoff.EXPONENTIAL) {
    for (let i = 1; i < attempt; i++) full *= 2;
    full = Math.min(full, policy.maxMs);
  } else if (policy.backoff === keeper.Backoff.LADDER)
    full = policy.ladderMs[Math.min(attempt, policy.ladderMs.length) - 1] as number;
  return Math.round(full - full * policy.jitter * RANDOM);
}

export const lives = (kept: Kept | undefined): boolean =>
  kept !== undefined && (kept.state === 'dead' || (kept.state === 'waiting' && kept.entry));

export const isSpecial = (options: storage.JobOptions): boolean =>
  [
    options.deliverAtMs,
    options.expiresAtMs,
    options.priority,
    options.leaseMs,
    options.debounceMs,
  ].some((n) => n > 0) ||
  options.node !== '' ||
  options.batch !== '';

/** The node that alone gets a delivery; empty for any. */
export const nodeOf = ({ late, job }: ModelDelivery): string =>
  late ? '' : (job.options?.node ?? '');

/** The first moment at which a delivery may be leased; the shortest delay counts that its topic ever had. */
export function dueOf({ job, topic, kept }: ModelDelivery): number {
  return kept.entry ? kept.dueAtMs : job.acceptedAtMs + Math.min(...topic.delaysMs);
}

/** The bodies of a log record's jobs. */
export function bodiesOf(logRecord: Uint8Array): string[] {
  const { jobs } = records.LogRecord.decode(logRecord);
  const offsets = frameOffsets(jobs) ?? [];
  return offsets.slice(1).map((end, i) => {
    const frame = frameBody(jobs, offsets[i] as number, end);
    return Buffer.from(common.Job.decode(frame).body).toString();
  });
}

/** What a job tells, if it is a result: those of producers are not JSON. */
export function resultOf(to: string, body: string): ModelResult[] {
  if (!body.startsWith('{')) return [];
  const { jobId, topic, attempt, status } = JSON.parse(body);
  return [{ to, says: `${jobId}/${topic}/${attempt}/${status}` }];
}
