import { common, type storage } from '@malabar/contracts';
import { toBusError } from '@malabar/core';
import { countedCrashes } from './core/failure.js';
import type { Grant, Holder, Lease } from './core/lease.js';
import type { Topic } from './core/topic.js';
import { Fetching } from './fetching.js';
import { type Session, Sessions, type Subscriber } from './sessions.js';
import type { Store } from './store.js';
import { Timekeeper } from './timekeeper.js';

/** The most deliveries that one subscription gets before its neighbours have their turn. */
const TURN = 128;

/** Gives ready deliveries to whoever has credit or asks. */
export class Delivery {
  readonly #sessions: Sessions;
  readonly #fetching: Fetching;
  readonly #timekeeper: Timekeeper;
  /** Topics that may have something to give since the last pump. */
  #touched = new Set<Topic>();
  #closed = false;

  constructor(private readonly store: Store) {
    this.#sessions = new Sessions({
      findTopic: (queue, topic) => store.topic(queue, topic),
      touch: (topic) => this.touch(topic),
      now: () => store.options.clock.now(),
    });
    this.#fetching = new Fetching({
      clock: store.options.clock,
      lease: (topic, request) => this.#fetchNow(topic, request),
      settle: (outcomes) => store.settle(outcomes),
    });
    this.#timekeeper = new Timekeeper({
      store,
      onReady: (topic) => {
        this.touch(topic);
        this.pumpTouched();
      },
      onWake: () => {
        this.#touchWaiting();
        this.pumpAll();
      },
      onTick: () => {
        this.expireLeases();
        this.pumpAll();
      },
    });
  }

  /** `node`: where the dispatcher stands; empty if it does not say. */
  openSession(
    name: string,
    node: string,
    send: (response: storage.DeliverResponse) => void,
  ): Session {
    this.#timekeeper.start();
    return this.#sessions.open(name, node, send);
  }

  /** What a dispatcher says: outcomes first, because they free credits for its new subscriptions. */
  handle(session: Session, request: storage.DeliverRequest): void {
    for (const range of request.done) this.store.settleDone(range);
    if (request.outcomes.length > 0) this.store.settle(request.outcomes);
    for (const subscription of request.subscribe) this.#sessions.subscribe(session, subscription);
    for (const id of request.unsubscribe) this.#sessions.unsubscribe(session, id);
    this.pumpTouched();
  }

  closeSession(session: Session): void {
    this.#sessions.close(session);
    this.pumpTouched();
  }

  /** The configuration has changed. */
  configured(): void {
    this.#sessions.configured();
    const now = this.store.options.clock.now();
    for (const shard of this.store.shards.values())
      for (const topic of shard.topics.values()) topic.nodes.known(now);
    this.#touchWaiting();
    this.pumpAll();
  }

  subscriberCount(topic: Topic): number {
    return this.#sessions.of(topic).length;
  }

  /** Leases for a consumer that asks. Throws UNKNOWN_QUEUE or UNKNOWN_TOPIC. */
  async fetch(request: storage.FetchRequest, signal: AbortSignal): Promise<common.JobRun[]> {
    const topic = this.store.topic(request.queue, request.topic);
    this.#timekeeper.start();
    return this.#fetching.fetch(topic, request, signal);
  }

  /** Remembers that a topic may have something to give. */
  touch(topic: Topic): void {
    this.#touched.add(topic);
  }

  pumpTouched(): void {
    if (this.#touched.size > 0 && !this.#closed) {
      const topics = this.#touched;
      this.#touched = new Set();
      for (const topic of topics) this.#pump(topic);
    }
    this.#sessions.flush();
  }

  pumpAll(): void {
    for (const topic of this.#sessions.topics) this.touch(topic);
    for (const topic of this.#fetching.topics) this.touch(topic);
    this.pumpTouched();
  }

  /** A lease whose holder was silent too long counts as a failed attempt. */
  expireLeases(): void {
    const now = this.store.options.clock.now();
    for (const shard of this.store.shards.values())
      for (const topic of shard.topics.values())
        for (const lease of topic.leases.expired(now)) this.#expire(lease, now);
  }

  close(): void {
    this.#closed = true;
    this.#timekeeper.close();
    this.#fetching.close();
  }

  /** Time passes for every topic, with or without a consumer: its counters tell what is due. */
  #touchWaiting(): void {
    for (const shard of this.store.shards.values())
      for (const topic of shard.topics.values())
        if (topic.entries > 0 || topic.unmaturedFrom !== undefined) this.touch(topic);
  }

  #pump(topic: Topic): void {
    this.#timekeeper.advance(topic);
    if (!this.store.committer.failing) {
      this.#lease(topic);
      void this.#fetching.serve(topic);
    }
    this.#timekeeper.watch(topic);
  }

  #lease(topic: Topic): void {
    const subscribers = this.#sessions.of(topic);
    if (subscribers.length === 0) return;
    const now = this.store.options.clock.now();
    let given = true;
    while (given && topic.leasable) {
      given = false;
      for (const subscriber of subscribers) {
        const free = Math.min(TURN, subscriber.credits - subscriber.leased);
        if (free <= 0) continue;
        const grants = topic.lease(subscriber, free, now);
        for (const grant of grants) this.#send(subscriber, grant);
        given ||= grants.length > 0;
      }
    }
  }

  async #fetchNow(topic: Topic, request: storage.FetchRequest): Promise<common.JobRun[]> {
    if (this.store.committer.failing) return [];
    const name = request.consumer || 'fetch';
    const holder: Holder = { name, node: '', fetching: true, leased: 0 };
    this.#timekeeper.advance(topic);
    const now = this.store.options.clock.now();
    const max = Math.max(1, request.maxJobs);
    const grants = topic.lease(holder, max, now, request.leaseMs || topic.leaseMs);
    this.#timekeeper.watch(topic);
    const runs = (await Promise.all(grants.map((grant) => this.#readRuns(grant)))).flat();
    if (request.settle && runs.length > 0) await this.#settleFetched(runs);
    return runs;
  }

  async #settleFetched(runs: common.JobRun[]): Promise<void> {
    for (const { firstLeaseId, count } of runs) this.store.settleDone({ firstLeaseId, count });
    await this.store.committer.flush();
  }

  #send(subscriber: Subscriber, grant: Grant): void {
    const { session, id: subscriptionId } = subscriber;
    const ready = this.#cachedRuns(grant);
    if (ready !== undefined) {
      for (const run of ready) session.run({ ...run, subscriptionId });
      return;
    }
    void this.#readRuns(grant).then((runs) => {
      for (const run of runs) session.run({ ...run, subscriptionId });
      session.flush();
    });
  }

  #cachedRuns(grant: Grant): common.JobRun[] | undefined {
    const end = grant.seq + grant.count;
    const runs: common.JobRun[] = [];
    for (let at = grant.seq; at < end; ) {
      const batch = this.store.reader.cached(grant.topic.shard, at);
      if (batch === undefined) return undefined;
      const to = Math.min(batch.endSeq, end);
      runs.push(this.#run(grant, at, to, batch));
      at = to;
    }
    return runs;
  }

  async #readRuns(grant: Grant): Promise<common.JobRun[]> {
    const end = grant.seq + grant.count;
    const runs: common.JobRun[] = [];
    for (let at = grant.seq; at < end; ) {
      try {
        const batch = await this.store.reader.read(grant.topic.shard, at);
        const to = Math.min(batch.endSeq, end);
        runs.push(this.#run(grant, at, to, batch));
        at = to;
      } catch (error) {
        this.#unreadable(grant, at++, error);
      }
    }
    return runs;
  }

  #run(grant: Grant, from: number, to: number, batch: JobFrames): common.JobRun {
    grant.accepted.push({ endSeq: to, acceptedAtMs: batch.acceptedAtMs });
    return {
      store: this.store.number,
      shard: grant.topic.shard,
      firstSeq: from,
      firstLeaseId: grant.firstLeaseId + (from - grant.seq),
      count: to - from,
      acceptedAtMs: batch.acceptedAtMs,
      jobs: batch.frames(from, to),
      attempt: grant.attempt,
      crashes: countedCrashes(grant.entry?.record),
      leaseUntilMs: grant.grantedAtMs + grant.leaseMs,
      subscriptionId: 0,
    };
  }

  /** A job that cannot be read must neither stop its neighbours nor vanish: it is dead and says why. */
  #unreadable(grant: Grant, seq: number, thrown: unknown): void {
    const { code, message } = toBusError(thrown);
    this.store.options.log.error({ code }, `a delivery was moved to dead: ${message}`);
    const leaseId = grant.firstLeaseId + (seq - grant.seq);
    const kind = common.OutcomeKind.DEAD;
    const outcome = { leaseId, kind, errorCode: code, error: message };
    this.store.settle([common.Outcome.fromPartial(outcome)]);
  }

  #expire(lease: Lease, now: number): void {
    const { holder, leaseMs, grantedAtMs } = lease.grant;
    this.store.options.metrics.leasesExpired(1);
    const outcome = common.Outcome.fromPartial({
      leaseId: lease.id,
      kind: common.OutcomeKind.RETRY,
      errorCode: 'LEASE_EXPIRED',
      error: `no answer from ${holder.name} within ${leaseMs} ms`,
      startedAtMs: grantedAtMs,
      durationMs: now - grantedAtMs,
    });
    this.store.settleLease(lease, outcome, now);
    this.store.committer.dirty();
  }
}

/** What a run takes from a batch. */
interface JobFrames {
  readonly acceptedAtMs: number;
  readonly endSeq: number;
  frames(from: number, to: number): Uint8Array;
}
