import { common, keeper, records, type storage } from '@malabar/contracts';
import { frameBody, frameOffsets, jobId } from '@malabar/core';
import { ENTRY_SEQ_AT, readU16, readU48, SURVIVOR_SEQ_AT } from '../core/keys.js';
import type { WriteBatch } from '../engine.js';

const LEASE_GRACE_MS = 15_000;
const DAY_MS = 24 * 3_600_000;

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
  /** The job was accepted before the topic came: all that was said with it is forgotten. */
  late: boolean;
  kept: Kept;
  durable: Kept | undefined;
  lease: ModelLease | undefined;
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
  keys: Map<string, { id: string; expiresAtMs: number }>;
}

/** A job that a producer has offered. */
interface Offer {
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
}

interface Sealed {
  batch: WriteBatch;
  kept: Array<[ModelDelivery, Kept]>;
  changes: number;
  attached: Map<ModelQueue, ModelTopic[]>;
}

/**
 * What a store must do, said in the simplest way: a map of jobs with a state per topic, and what of it
 * the disk holds. It hears of everything the moment it happens and keeps the first thing that is wrong.
 */
export class Model {
  failure: string | undefined;
  readonly queues = new Map<string, ModelQueue>();
  readonly jobs = new Map<string, ModelJob>();
  readonly offers = new Map<string, Offer>();
  /** Leases that are current. */
  live = new Map<number, ModelLease>();
  /** Every lease of this life of the store. */
  granted = new Map<number, ModelLease>();
  /** Leases whose end was ordered and must follow. */
  ending = new Set<number>();
  /** Timers are being run. */
  inTimers = false;
  /** How many changes of deliveries there were, and how many of them are on the disk. */
  changes = 0;
  durableChanges = 0;
  /** Configurations on their way, oldest first. */
  configs: keeper.BusConfig[] = [];
  /** How often what has happened. */
  readonly tally = new Map<string, number>();
  #changed = new Set<ModelDelivery>();
  #sealed: Sealed | undefined;

  constructor(readonly view: StoreView) {}

  fail(message: string): undefined {
    this.failure ??= message;
  }

  saw(what: string, count = 1): void {
    this.tally.set(what, (this.tally.get(what) ?? 0) + count);
  }

  // --- configuration ------------------------------------------------------------------------------

  /** Takes over the configurations that the store has taken over. */
  syncConfig(): void {
    const last = this.configs.findLastIndex((config) => this.view.inEffect(config));
    for (const config of this.configs.splice(0, last + 1)) this.#configure(config);
  }

  #configure(config: keeper.BusConfig): void {
    const names = new Set(config.queues.map(({ name }) => name));
    for (const queue of this.queues.values()) {
      if (names.has(queue.name)) continue;
      queue.config = undefined;
      for (const topic of queue.topics.values()) topic.attached = false;
    }
    for (const queueConfig of config.queues) this.#configureQueue(queueConfig);
  }

  #configureQueue(config: keeper.QueueConfig): void {
    const queue = this.#queue(config.name);
    queue.config = config;
    queue.retentionsMs.push(config.retentionMs);
    for (const topic of queue.topics.values()) topic.attached = false;
    for (const topicConfig of config.topics) {
      const topic = queue.topics.get(topicConfig.name) ?? this.#newTopic(queue, topicConfig);
      topic.config = topicConfig;
      topic.attached = true;
      topic.delaysMs.push(topicConfig.delayMs);
    }
  }

  #queue(name: string): ModelQueue {
    const known = this.queues.get(name);
    if (known) return known;
    const shard = this.view.shardOf(name)?.id ?? -1;
    const queue: ModelQueue = {
      name,
      shard,
      config: undefined,
      retentionsMs: [DAY_MS],
      durable: false,
      topics: new Map(),
      jobs: [],
      keys: new Map(),
    };
    this.queues.set(name, queue);
    return queue;
  }

  #newTopic(queue: ModelQueue, config: keeper.TopicConfig): ModelTopic {
    const topic = { name: config.name, config, attached: true, durable: undefined, delaysMs: [] };
    queue.topics.set(config.name, topic);
    if (config.start === keeper.TopicStart.BEGINNING) {
      const from = this.view.shardOf(queue.name)?.trimmedTo ?? 0;
      this.saw('jobs for a topic that came later', queue.jobs.length - from);
      for (const job of queue.jobs.slice(from)) this.#change(this.#newDelivery(job, topic, true));
    }
    return topic;
  }

  // --- commits ------------------------------------------------------------------------------------

  sealed(batch: WriteBatch): void {
    this.syncConfig();
    const kept = [...this.#changed].map((one): [ModelDelivery, Kept] => [one, one.kept]);
    const attached = new Map<ModelQueue, ModelTopic[]>();
    for (const queue of this.queues.values())
      attached.set(
        queue,
        [...queue.topics.values()].filter((topic) => topic.attached),
      );
    this.#changed.clear();
    this.#sealed = { batch, kept, changes: this.changes, attached };
    for (const drop of batch.drops) this.#checkDrop(drop.shard, drop.firstSeq);
  }

  refused(): void {
    this.saw('commits refused');
    for (const [delivery] of this.#sealed?.kept ?? []) this.#changed.add(delivery);
    this.#sealed = undefined;
  }

  applied(): void {
    const sealed = this.#sealed;
    if (sealed === undefined) return;
    this.#sealed = undefined;
    for (const [delivery, kept] of sealed.kept) delivery.durable = kept;
    this.durableChanges = sealed.changes;
    for (const [queue, attached] of sealed.attached) {
      queue.durable = true;
      for (const topic of queue.topics.values())
        if (topic.durable !== undefined || attached.includes(topic))
          topic.durable = attached.includes(topic);
    }
    for (const entry of sealed.batch.appends) {
      const queue = this.queueOf(entry.shard);
      if (queue)
        this.#accepted(queue, sealed.attached.get(queue) ?? [], entry.firstSeq, entry.bytes);
    }
    for (const { shard, firstSeq } of sealed.batch.drops) this.#dropped(shard, firstSeq);
    for (const [key, value] of sealed.batch.state)
      if (value === undefined && key[0] === 'J') this.#survivorGone(key);
  }

  queueOf(shard: number): ModelQueue | undefined {
    for (const queue of this.queues.values()) if (queue.shard === shard) return queue;
    this.fail(`nothing is known of shard ${shard}`);
    return undefined;
  }

  #accepted(queue: ModelQueue, topics: ModelTopic[], firstSeq: number, bytes: Uint8Array): void {
    const record = records.LogRecord.decode(bytes);
    const offsets = frameOffsets(record.jobs) ?? [];
    if (offsets.length - 1 !== record.count)
      this.fail(`a log record says ${record.count} jobs and holds ${offsets.length - 1}`);
    if (firstSeq !== queue.jobs.length)
      this.fail(`${queue.name}: the log goes on at ${firstSeq} instead of ${queue.jobs.length}`);
    for (let i = 0; i + 1 < offsets.length; i++) {
      const frame = frameBody(record.jobs, offsets[i] as number, offsets[i + 1] as number);
      const body = Buffer.from(common.Job.decode(frame).body).toString();
      this.#acceptJob(queue, topics, body, record.acceptedAtMs);
    }
    for (const job of queue.jobs.slice(firstSeq)) job.recordEnd = queue.jobs.length;
  }

  #acceptJob(
    queue: ModelQueue,
    topics: ModelTopic[],
    body: string,
    acceptedAtMs: number,
  ): undefined {
    const offer = this.offers.get(body);
    if (offer === undefined) return this.fail(`nobody has offered '${body}'`);
    if (offer.refused) this.fail(`'${body}' was refused and is on the disk`);
    if (this.jobs.has(body)) this.fail(`'${body}' is on the disk twice`);
    const { options } = offer;
    this.saw(options && isSpecial(options) ? 'special jobs accepted' : 'plain jobs accepted');
    const seq = queue.jobs.length;
    const id = jobId(acceptedAtMs, this.view.store(), queue.shard, seq);
    const job: ModelJob = {
      queue,
      seq,
      id,
      body,
      acceptedAtMs,
      options,
      deliveries: new Map(),
      recordEnd: seq + 1,
      dropped: false,
    };
    queue.jobs.push(job);
    this.jobs.set(body, job);
    for (const topic of topics) {
      const delivery = this.#newDelivery(job, topic, false);
      if (options && isSpecial(options))
        delivery.kept = {
          ...delivery.kept,
          entry: true,
          dueAtMs: Math.max(options.deliverAtMs, acceptedAtMs + topic.config.delayMs),
        };
      delivery.durable = delivery.kept;
    }
    if (options?.idempotencyKey) this.#remember(queue, job, options);
  }

  #remember(queue: ModelQueue, job: ModelJob, options: storage.JobOptions): void {
    const holder = queue.keys.get(options.idempotencyKey);
    if (holder !== undefined && holder.expiresAtMs > job.acceptedAtMs)
      this.fail(`'${job.body}' was accepted, but its idempotency key is that of ${holder.id}`);
    const expiresAtMs = job.acceptedAtMs + (options.idempotencyWindowMs || DAY_MS);
    queue.keys.set(options.idempotencyKey, { id: job.id, expiresAtMs });
  }

  #newDelivery(job: ModelJob, topic: ModelTopic, late: boolean): ModelDelivery {
    const kept: Kept = {
      state: 'waiting',
      entry: false,
      dueAtMs: 0,
      attempts: 0,
      crashes: 0,
      forgivenAttempts: 0,
      forgivenCrashes: 0,
    };
    const delivery = { job, topic, late, kept, durable: undefined, lease: undefined };
    job.deliveries.set(topic.name, delivery);
    return delivery;
  }

  // --- retention ----------------------------------------------------------------------------------

  #checkDrop(shard: number, firstSeq: number): undefined {
    const queue = this.queueOf(shard);
    const job = queue?.jobs[firstSeq];
    if (queue === undefined || job === undefined)
      return this.fail(`a log record is dropped before its jobs are accepted: ${firstSeq}`);
    // A pass may have begun under the retention before.
    if (job.acceptedAtMs + Math.min(...queue.retentionsMs) > this.view.now())
      this.fail(`${queue.name}: job ${firstSeq} is dropped before its retention is over`);
  }

  #dropped(shard: number, firstSeq: number): void {
    const queue = this.queueOf(shard);
    const end = queue?.jobs[firstSeq]?.recordEnd ?? 0;
    this.saw('log records dropped');
    for (const job of queue?.jobs.slice(firstSeq, end) ?? []) {
      if (this.view.survives(shard, job.seq)) this.saw('survivors');
      job.dropped = true;
      for (const { topic, kept, durable } of job.deliveries.values()) {
        const where = `job ${job.seq} of ${queue?.name}/${topic.name}`;
        if (lives(durable) && !this.view.survives(shard, job.seq))
          this.fail(`${where} was dropped, but it is ${durable?.state}`);
        if (kept.state === 'waiting' && !kept.entry)
          this.fail(`${where} was dropped, but it waits in the log's order`);
      }
    }
  }

  #survivorGone(key: string): void {
    const queue = this.queueOf(readU16(key, 1));
    const job = queue?.jobs[readU48(key, SURVIVOR_SEQ_AT)];
    for (const { topic, durable } of job?.deliveries.values() ?? [])
      if (lives(durable))
        this.fail(
          `the last copy of job ${job?.seq} went, but ${topic.name} has it ${durable?.state}`,
        );
  }

  // --- the life of a delivery ---------------------------------------------------------------------

  /** The store grants a lease. */
  grant(
    id: number,
    place: { shard: number; topic: string; seq: number },
    lease: LeaseTerms,
  ): undefined {
    this.syncConfig();
    const queue = this.queueOf(place.shard);
    const delivery = queue?.jobs[place.seq]?.deliveries.get(place.topic);
    const where = `job ${place.seq} of ${queue?.name}/${place.topic}`;
    if (delivery === undefined) return this.fail(`${where} is leased, but is not for that topic`);
    const { kept } = delivery;
    if (delivery.lease) this.fail(`${where} has two leases`);
    if (kept.state !== 'waiting') this.fail(`${where} is leased, but it is ${kept.state}`);
    if (lease.attempt !== kept.attempts + 1)
      this.fail(`${where}: attempt ${lease.attempt} comes after ${kept.attempts}`);
    if (!delivery.topic.attached) this.fail(`${where} is leased, but the topic is removed`);
    if (delivery.topic.config.paused) this.fail(`${where} is leased, but the topic is paused`);
    const dueAtMs = dueOf(delivery);
    const now = this.view.now();
    if (dueAtMs > now) this.fail(`${where} is leased ${dueAtMs - now} ms before its time`);
    const expiresAtMs = delivery.late ? 0 : (delivery.job.options?.expiresAtMs ?? 0);
    if (expiresAtMs > 0 && expiresAtMs <= now) this.fail(`${where} is leased after its end`);
    this.saw(kept.entry ? 'entries leased' : 'fresh jobs leased');
    if (lease.fetching) this.saw('leases fetched');
    const leaseMs = this.#leaseMs(delivery, lease);
    if (lease.deadlineMs !== now + leaseMs)
      this.fail(`${where} is leased for ${lease.deadlineMs - now} ms instead of ${leaseMs}`);
    const granted: ModelLease = {
      id,
      delivery,
      holder: lease.holder,
      leaseMs,
      deadlineMs: now + leaseMs,
      told: false,
      ageKnown: lease.ageKnown,
    };
    delivery.lease = granted;
    this.live.set(id, granted);
    this.granted.set(id, granted);
  }

  #leaseMs(delivery: ModelDelivery, { fetching, askedMs }: LeaseTerms): number {
    const ownMs = fetching && !delivery.late ? (delivery.job.options?.leaseMs ?? 0) : 0;
    return ownMs || askedMs || delivery.topic.config.timeoutMs + LEASE_GRACE_MS;
  }

  /** Someone says what became of a lease; answers whether that counts. */
  outcome(outcome: common.Outcome): boolean {
    this.syncConfig();
    const lease = this.live.get(outcome.leaseId);
    if (lease === undefined) {
      this.saw('stale outcomes');
      return false;
    }
    this.saw(`outcomes ${common.OutcomeKind[outcome.kind]}`);
    const { EXTEND, RELEASE, DONE } = common.OutcomeKind;
    if (outcome.kind === EXTEND) {
      lease.deadlineMs = this.view.now() + lease.leaseMs;
      return true;
    }
    this.ending.add(lease.id);
    this.#end(lease);
    if (outcome.kind === RELEASE) return true;
    const { delivery } = lease;
    if (outcome.kind === DONE) this.#change(delivery, { state: 'done' });
    else this.#failed(delivery, outcome, lease.ageKnown());
    return true;
  }

  /** The holder of leases is gone: they return. */
  released(holder: string): void {
    for (const lease of [...this.live.values()]) {
      if (lease.holder !== holder) continue;
      this.saw('leases released with their stream');
      this.ending.add(lease.id);
      this.#end(lease);
    }
  }

  /** The store has ended a lease, ordered or by itself. */
  ended(id: number, byItself: (lease: ModelLease) => common.OutcomeKind | undefined): undefined {
    if (this.ending.delete(id)) return;
    const lease = this.live.get(id);
    if (lease === undefined) return this.fail(`lease ${id} ended, but it was not current`);
    const kind = byItself(lease);
    if (kind === undefined) return this.fail(`lease ${id} ended without a reason`);
    this.outcome(common.Outcome.fromPartial({ leaseId: id, kind }));
    this.ending.delete(id);
  }

  replayed(key: string): undefined {
    const delivery = this.#at(key);
    if (delivery?.kept.state !== 'dead')
      return this.fail('a delivery is replayed that is not dead');
    this.saw('deliveries replayed');
    const { attempts, crashes } = delivery.kept;
    this.#change(delivery, {
      state: 'waiting',
      entry: true,
      dueAtMs: this.view.now(),
      forgivenAttempts: attempts,
      forgivenCrashes: crashes,
    });
  }

  discarded(key: string): undefined {
    const delivery = this.#at(key);
    const expiresAtMs = delivery?.job.options?.expiresAtMs || Number.POSITIVE_INFINITY;
    if (delivery?.kept.state !== 'waiting' || delivery.lease || expiresAtMs > this.view.now())
      return this.fail('a delivery is discarded that must not be');
    this.saw('deliveries discarded');
    this.#change(delivery, { state: 'discarded' });
  }

  /** The process died: only what the disk holds is left. */
  crash(): void {
    this.live = new Map();
    this.granted = new Map();
    this.ending.clear();
    this.configs = [];
    this.#sealed = undefined;
    for (const queue of this.queues.values()) {
      if (!queue.durable) this.queues.delete(queue.name);
      for (const topic of queue.topics.values()) {
        if (topic.durable === undefined) queue.topics.delete(topic.name);
        else topic.attached = topic.durable;
      }
      for (const job of queue.jobs) this.#crashJob(job);
    }
    this.#changed.clear();
    this.durableChanges = this.changes;
  }

  #crashJob(job: ModelJob): void {
    for (const delivery of job.deliveries.values()) {
      if (delivery.lease) this.saw('leases lost in a crash');
      if (delivery.durable !== delivery.kept) this.saw('changes lost in a crash');
      delivery.lease = undefined;
      if (delivery.durable === undefined) job.deliveries.delete(delivery.topic.name);
      else delivery.kept = delivery.durable;
    }
  }

  /** The delivery that a record of the states D and X is about. */
  #at(key: string): ModelDelivery | undefined {
    const queue = this.queueOf(readU16(key, 1));
    const job = queue?.jobs[readU48(key, ENTRY_SEQ_AT)];
    const name = queue && this.topicName(queue.name, readU16(key, 3));
    return name === undefined ? undefined : job?.deliveries.get(name);
  }

  /** Set by the world: the name that a topic's number stands for. */
  topicName: (queue: string, id: number) => string | undefined = () => undefined;

  #end(lease: ModelLease): void {
    this.live.delete(lease.id);
    lease.delivery.lease = undefined;
  }

  #failed(delivery: ModelDelivery, outcome: common.Outcome, ageKnown: boolean): void {
    const { CRASH, DEAD } = common.OutcomeKind;
    const now = this.view.now();
    const policy = delivery.topic.config.retry as keeper.RetryPolicy;
    const attempts = delivery.kept.attempts + 1;
    const crashes = delivery.kept.crashes + (outcome.kind === CRASH ? 1 : 0);
    const counted = attempts - delivery.kept.forgivenAttempts;
    const dead =
      outcome.kind === DEAD ||
      counted >= policy.attempts ||
      crashes - delivery.kept.forgivenCrashes >= policy.crashesMax ||
      (policy.ageMaxMs > 0 && ageKnown && now - delivery.job.acceptedAtMs > policy.ageMaxMs);
    if (dead) this.saw('deliveries dead');
    this.#change(delivery, {
      state: dead ? 'dead' : 'waiting',
      entry: true,
      attempts,
      crashes,
      dueAtMs: now + (outcome.retryAfterMs || pauseMs(policy, counted)),
    });
  }

  #change(delivery: ModelDelivery, change: Partial<Kept> = {}): void {
    delivery.kept = { ...delivery.kept, ...change };
    this.#changed.add(delivery);
    this.changes++;
  }
}

/** How a lease was asked for and what the store made of it. */
export interface LeaseTerms {
  holder: string;
  fetching: boolean;
  /** By the fetching consumer; 0 for none. */
  askedMs: number;
  attempt: number;
  deadlineMs: number;
  ageKnown: () => boolean;
}

/** The simulation's chance is always in the middle, so that a pause is one number. */
export const RANDOM = 0.5;

function pauseMs(policy: keeper.RetryPolicy, attempt: number): number {
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

const isSpecial = (options: storage.JobOptions): boolean =>
  [options.deliverAtMs, options.expiresAtMs, options.priority, options.leaseMs].some((n) => n > 0);

/** The first moment at which a delivery may be leased; the shortest delay counts that its topic ever had. */
export function dueOf({ job, topic, kept }: ModelDelivery): number {
  return kept.entry ? kept.dueAtMs : job.acceptedAtMs + Math.min(...topic.delaysMs);
}
