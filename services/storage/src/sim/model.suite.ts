import { common, keeper, records } from '@malabar/contracts';
import { jobId } from '@malabar/core';
import { readU16, readU48, SURVIVOR_SEQ_AT } from '../core/keys.js';
import type { WriteBatch } from '../engine.js';
import { BatchModel } from './batch-model.suite.js';
import { FlowRules } from './flow.suite.js';
import { firstDueOf, Rows } from './rows.suite.js';
import {
  bodiesOf,
  dueOf,
  isSpecial,
  type Kept,
  type LeaseTerms,
  lives,
  type ModelDelivery,
  type ModelJob,
  type ModelLease,
  type ModelQueue,
  type ModelResult,
  type ModelTopic,
  nodeOf,
  type Offer,
  pauseMs,
  resultOf,
} from './words.suite.js';

const LEASE_GRACE_MS = 15_000;

interface Sealed {
  batch: WriteBatch;
  kept: Array<[ModelDelivery, Kept]>;
  /** What its appends must tell. */
  results: ModelResult[];
  changes: number;
  /** The topics of each queue, and whether they were attached. */
  topics: Map<ModelQueue, Map<ModelTopic, boolean>>;
}

/**
 * What a store must do, said in the simplest way: a map of jobs with a state per topic, and what of it
 * the disk holds. It hears of everything the moment it happens and keeps the first thing that is wrong.
 */
export class Model extends Rows {
  readonly jobs = new Map<string, ModelJob>();
  readonly offers = new Map<string, Offer>();
  readonly batches = new BatchModel({
    fail: (message) => this.fail(message),
    saw: (what, count) => this.saw(what, count),
    now: () => this.view.now(),
  });
  /** Leases that are current. */
  live = new Map<number, ModelLease>();
  /** Every lease of this life of the store. */
  granted = new Map<number, ModelLease>();
  /** Leases whose end was ordered and must follow. */
  ending = new Set<number>();
  /** Timers are being run. */
  inTimers = false;
  /** Ids of jobs that somebody wants back. */
  readonly takenBack = new Set<string>();
  /** Topics whose dead deliveries somebody discards. */
  readonly purged = new Set<ModelTopic>();
  /** Topics in which somebody insists on replays. */
  readonly forced = new Set<ModelTopic>();
  #sealed: Sealed | undefined;
  readonly #flow = new FlowRules(this.view, this);

  // --- commits ------------------------------------------------------------------------------------

  sealed(batch: WriteBatch): void {
    this.syncConfig();
    const kept = [...this.changed].map((one): [ModelDelivery, Kept] => [one, one.kept]);
    const topics = new Map<ModelQueue, Map<ModelTopic, boolean>>();
    for (const queue of this.queues.values())
      topics.set(
        queue,
        new Map([...queue.topics.values()].map((topic) => [topic, topic.attached])),
      );
    this.changed.clear();
    const results = this.untold.splice(0);
    this.#sealed = { batch, kept, results, changes: this.changes, topics };
    this.#checkResults(this.#sealed);
    for (const drop of batch.drops) this.#checkDrop(drop.shard, drop.firstSeq);
  }

  refused(): void {
    this.saw('commits refused');
    this.commits++;
    for (const [delivery] of this.#sealed?.kept ?? []) this.changed.add(delivery);
    this.untold.unshift(...(this.#sealed?.results ?? []));
    this.#sealed = undefined;
  }

  applied(): void {
    const sealed = this.#sealed;
    if (sealed === undefined) return;
    this.#sealed = undefined;
    for (const [delivery, kept] of sealed.kept) delivery.durable = kept;
    this.durableChanges = sealed.changes;
    this.keysApplied(sealed.batch);
    for (const [queue, topics] of sealed.topics) {
      queue.durable = true;
      for (const [topic, attached] of topics) topic.durable = attached;
    }
    for (const entry of sealed.batch.appends) {
      const queue = this.queueOf(entry.shard);
      const topics = (queue && sealed.topics.get(queue)) ?? new Map<ModelTopic, boolean>();
      const attached = [...topics].filter(([, attached]) => attached).map(([topic]) => topic);
      if (queue) this.#accepted(queue, attached, entry.firstSeq, entry.bytes);
    }
    this.checkReplaced(sealed.batch);
    for (const [key, value] of sealed.batch.state)
      if (value !== undefined && key[0] === 'S') this.#leftLog(key);
    this.batches.applied(sealed.batch);
    for (const { shard, firstSeq } of sealed.batch.drops) this.#dropped(shard, firstSeq);
    for (const [key, value] of sealed.batch.state)
      if (value === undefined && key[0] === 'J') this.#survivorGone(key);
  }

  /** Every commit tells what becomes durable with it, no less and no more, where there is a queue to be told. */
  #checkResults({ batch, results }: Sealed): void {
    const told = batch.appends.flatMap(({ shard, bytes }) =>
      bodiesOf(bytes).flatMap((body) => resultOf(this.queueOf(shard)?.name ?? '', body)),
    );
    const there = results.filter(({ to }) => this.queues.get(to)?.config !== undefined);
    this.saw('results told', there.length);
    this.saw('results for a queue that is gone', results.length - there.length);
    const [mine, real] = [there, told].map((list) => list.map(({ to, says }) => `${to}: ${says}`));
    if (mine?.join() !== real?.join()) this.fail(`a commit tells ${real} instead of ${mine}`);
  }

  #accepted(queue: ModelQueue, topics: ModelTopic[], firstSeq: number, bytes: Uint8Array): void {
    const record = records.LogRecord.decode(bytes);
    const bodies = bodiesOf(bytes);
    if (bodies.length !== record.count)
      this.fail(`a log record says ${record.count} jobs and holds ${bodies.length}`);
    if (firstSeq !== queue.jobs.length)
      this.fail(`${queue.name}: the log goes on at ${firstSeq} instead of ${queue.jobs.length}`);
    for (const body of bodies) this.#acceptJob(queue, topics, body, record.acceptedAtMs);
    for (const job of queue.jobs.slice(firstSeq)) job.recordEnd = queue.jobs.length;
  }

  #acceptJob(
    queue: ModelQueue,
    topics: ModelTopic[],
    body: string,
    acceptedAtMs: number,
  ): undefined {
    const isResult = resultOf(queue.name, body).length > 0;
    const offer = isResult ? { options: undefined, refused: false } : this.offers.get(body);
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
    const sinceMs = options?.idempotencyKey ? this.remember(queue, job, options) : acceptedAtMs;
    for (const topic of topics) {
      const key = options?.node === '' && topic.config.key ? (options.keys[0]?.key ?? '') : '';
      const delivery = this.newDelivery(job, topic, false, key);
      if (options && (isSpecial(options) || key !== ''))
        delivery.kept = {
          ...delivery.kept,
          entry: true,
          dueAtMs: firstDueOf(job, options, topic.config.delayMs, sinceMs),
        };
      delivery.durable = delivery.kept;
    }
    if (options?.batch) this.batches.joined(job);
    this.batches.accepted(body);
  }

  /** A topic whose log is full of holes may let any job leave it when it comes. */
  #leftLog(key: string): void {
    const delivery = this.at(key);
    if (delivery === undefined || delivery.kept.entry || delivery.kept.attempts > 0) return;
    this.saw('plain jobs that leave the log');
    const { job, topic } = delivery;
    const dueAtMs = job.acceptedAtMs + topic.config.delayMs;
    delivery.kept = { ...delivery.kept, entry: true, dueAtMs };
    delivery.durable = delivery.kept;
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
    const node = nodeOf(delivery);
    if (node !== '' && lease.node !== node)
      this.fail(`${where} is for ${node}, but somebody of '${lease.node}' leases it`);
    if (node !== '') this.saw('jobs of one node leased');
    this.#flow.granting(delivery);
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
    if (outcome.kind === DONE) this.#done(delivery);
    else this.#failed(delivery, outcome, lease.ageKnown());
    return true;
  }

  #done(delivery: ModelDelivery): void {
    this.tell(delivery, keeper.ResultStatus.DONE, delivery.kept.attempts + 1);
    this.change(delivery, { state: 'done' });
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
    const delivery = this.at(key);
    // It was dead and is taken back.
    if (delivery?.kept.state === 'discarded') return;
    if (delivery?.kept.state !== 'dead')
      return this.fail('a delivery is replayed that is not dead');
    this.saw('deliveries replayed');
    const { attempts, crashes, replays } = delivery.kept;
    const { replaysMax = 0 } = delivery.topic.config.retry ?? {};
    if (replays >= replaysMax && !this.forced.has(delivery.topic))
      this.fail(`a delivery is replayed that was replayed ${replays} times before`);
    this.change(delivery, {
      state: 'waiting',
      entry: true,
      dueAtMs: this.view.now(),
      forgivenAttempts: attempts,
      forgivenCrashes: crashes,
      holds: false,
      replays: replays + 1,
    });
  }

  discarded(key: string, value: Uint8Array): undefined {
    this.syncConfig();
    const delivery = this.at(key);
    const { errorCode } = records.EntryRecord.decode(value);
    if (delivery === undefined || delivery.lease || !this.#mayEnd(delivery, errorCode))
      return this.fail(`a delivery is discarded that must not be: ${errorCode}`);
    this.saw(`deliveries discarded: ${errorCode}`);
    if (delivery.kept.state === 'waiting' && delivery.topic.attached)
      this.tell(delivery, keeper.ResultStatus.DISCARDED, delivery.kept.attempts);
    this.change(delivery, { state: 'discarded' });
  }

  #mayEnd(delivery: ModelDelivery, errorCode: string): boolean {
    const { job, topic, kept } = delivery;
    const { expiresAtMs = 0, nodeWaitMs = 0 } = job.options ?? {};
    const now = this.view.now();
    if (errorCode === 'DISCARDED')
      return (
        (this.takenBack.has(job.id) && (kept.state === 'waiting' || kept.state === 'dead')) ||
        (this.purged.has(topic) && kept.state === 'dead')
      );
    if (kept.state !== 'waiting') return false;
    if (errorCode === 'EXPIRED') return expiresAtMs > 0 && expiresAtMs <= now;
    const node = nodeOf(delivery);
    const awaySinceMs = this.view.awaySinceMs(node, job.queue.name, topic.name);
    if (node === '' || nodeWaitMs === 0 || awaySinceMs === undefined) return false;
    return Math.max(awaySinceMs, dueOf(delivery)) + nodeWaitMs <= now;
  }

  /** The process died: only what the disk holds is left. */
  crash(): void {
    this.live = new Map();
    this.granted = new Map();
    this.#flow.crash();
    this.ending.clear();
    this.configs = [];
    this.untold = [];
    this.#sealed = undefined;
    for (const queue of this.queues.values()) {
      if (!queue.durable) this.queues.delete(queue.name);
      for (const topic of queue.topics.values()) {
        if (topic.durable === undefined) queue.topics.delete(topic.name);
        else topic.attached = topic.durable;
      }
      for (const job of queue.jobs) this.#crashJob(job);
    }
    this.changed.clear();
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

  #end(lease: ModelLease): void {
    lease.delivery.releasedIn = this.commits;
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
    const { ResultStatus } = keeper;
    const buried = outcome.kind === DEAD ? ResultStatus.FAILED : ResultStatus.DEAD;
    this.tell(delivery, dead ? buried : ResultStatus.RETRYING, attempts);
    this.change(delivery, {
      state: dead ? 'dead' : 'waiting',
      entry: true,
      attempts,
      crashes,
      holds: !dead && this.#flow.holds(delivery),
      dueAtMs: now + (outcome.retryAfterMs || pauseMs(policy, counted)),
    });
  }
}
