import { common, records, storage } from '@malabar/contracts';
import { toBusError, toFault } from '@malabar/core';
import type { Grant, Holder, Lease } from './core/lease.js';
import type { Topic } from './core/topic.js';
import type { LogEntry } from './engine.js';
import type { Store } from './store.js';

/** How often leases are looked at for their end. */
const EXPIRY_TICK_MS = 250;
/** The most deliveries that one subscription gets before its neighbours have their turn. */
const TURN = 128;

/** One topic as one dispatcher's stream subscribes to it. */
interface Subscriber extends Holder {
  readonly id: number;
  readonly queue: string;
  readonly topicName: string;
  readonly session: Session;
  credits: number;
  /** Undefined while the topic does not exist. */
  topic: Topic | undefined;
  share: number;
}

/** A fetching consumer that waits for the first job. */
interface Waiter {
  readonly topic: Topic;
  readonly request: storage.FetchRequest;
  readonly signal: AbortSignal;
  resolve: (runs: common.JobRun[]) => void;
  ended: boolean;
}

/** The Deliver stream of one dispatcher. */
export class Session {
  readonly subscribers = new Map<number, Subscriber>();
  #out = storage.DeliverResponse.fromPartial({});

  constructor(
    readonly name: string,
    private readonly send: (response: storage.DeliverResponse) => void,
  ) {}

  run(run: common.JobRun): void {
    this.#out.runs.push(run);
  }

  share(subscriptionId: number, concurrency: number): void {
    this.#out.shares.push({ subscriptionId, concurrency });
  }

  fault(subscriptionId: number, error: unknown): void {
    this.#out.faults.push({ subscriptionId, fault: toFault(error) });
  }

  /** Sends what has gathered as one message. */
  flush(): void {
    const out = this.#out;
    if (out.runs.length + out.shares.length + out.faults.length === 0) return;
    this.#out = storage.DeliverResponse.fromPartial({});
    this.send(out);
  }
}

/** What a topic's delay must know of a batch. */
interface BatchAge {
  acceptedAtMs: number;
  endSeq: number;
}

function ageOf(entry: LogEntry): BatchAge {
  const { acceptedAtMs, count } = records.LogRecord.decode(entry.bytes);
  return { acceptedAtMs, endSeq: entry.firstSeq + count };
}

/** Gives ready deliveries to whoever has credit, keeps time for delays and leases. */
export class Delivery {
  readonly #sessions = new Set<Session>();
  readonly #subscribers = new Map<Topic, Subscriber[]>();
  readonly #waiters = new Map<Topic, Waiter[]>();
  /** Topics whose state changed since the last pump. */
  #touched = new Set<Topic>();
  #wakeAtMs = Number.POSITIVE_INFINITY;
  #cancelWake: (() => void) | undefined;
  #cancelTick: (() => void) | undefined;
  readonly #maturing = new Set<Topic>();
  #closed = false;

  constructor(private readonly store: Store) {}

  // --- sessions -----------------------------------------------------------------------------------

  openSession(name: string, send: (response: storage.DeliverResponse) => void): Session {
    const session = new Session(name, send);
    this.#sessions.add(session);
    this.#startTicking();
    return session;
  }

  /** What a dispatcher says: outcomes first, because they free credits for its new subscriptions. */
  handle(session: Session, request: storage.DeliverRequest): void {
    for (const range of request.done) this.store.settleDone(range);
    if (request.outcomes.length > 0) this.store.settle(request.outcomes);
    for (const subscription of request.subscribe) this.#subscribe(session, subscription);
    for (const id of request.unsubscribe) this.#unsubscribe(session, id);
    this.pumpTouched();
  }

  /** The stream is gone: its leases return to ready at once. */
  closeSession(session: Session): void {
    if (!this.#sessions.delete(session)) return;
    for (const subscriber of session.subscribers.values()) {
      subscriber.topic?.releaseAll(subscriber);
      this.#detachSubscriber(subscriber);
    }
    this.pumpTouched();
  }

  /** The configuration has changed: subscriptions find the topics that exist now. */
  configured(): void {
    for (const session of this.#sessions)
      for (const subscriber of session.subscribers.values())
        if (subscriber.topic === undefined) this.#attach(subscriber);
    for (const topic of this.#subscribers.keys()) this.#reshare(topic);
    this.pumpAll();
  }

  subscriberCount(topic: Topic): number {
    return this.#subscribers.get(topic)?.length ?? 0;
  }

  #subscribe(session: Session, wish: storage.Subscription): void {
    const known = session.subscribers.get(wish.id);
    if (known !== undefined) {
      known.credits = wish.credits;
      if (known.topic) this.touch(known.topic);
      return;
    }
    const subscriber: Subscriber = {
      id: wish.id,
      queue: wish.queue,
      topicName: wish.topic,
      session,
      name: session.name,
      fetching: false,
      credits: wish.credits,
      leased: 0,
      topic: undefined,
      share: 0,
    };
    session.subscribers.set(wish.id, subscriber);
    this.#attach(subscriber);
  }

  #attach(subscriber: Subscriber): void {
    try {
      const topic = this.store.topic(subscriber.queue, subscriber.topicName);
      subscriber.topic = topic;
      const list = this.#subscribers.get(topic);
      if (list) list.push(subscriber);
      else this.#subscribers.set(topic, [subscriber]);
      this.#reshare(topic);
      this.touch(topic);
    } catch (error) {
      subscriber.session.fault(subscriber.id, error);
    }
  }

  #unsubscribe(session: Session, id: number): void {
    const subscriber = session.subscribers.get(id);
    if (subscriber === undefined) return;
    // It keeps its leases until they are settled, but has no credit and no share any more.
    subscriber.credits = 0;
    this.#detachSubscriber(subscriber);
    if (subscriber.leased === 0) session.subscribers.delete(id);
  }

  #detachSubscriber(subscriber: Subscriber): void {
    const { topic } = subscriber;
    const list = topic && this.#subscribers.get(topic);
    if (!topic || !list) return;
    const rest = list.filter((one) => one !== subscriber);
    if (rest.length > 0) this.#subscribers.set(topic, rest);
    else this.#subscribers.delete(topic);
    this.#reshare(topic);
    this.touch(topic);
  }

  /** Divides the topic's concurrency among its dispatchers; the older ones get what does not divide. */
  #reshare(topic: Topic): void {
    const list = this.#subscribers.get(topic) ?? [];
    const { concurrency } = topic.config;
    list.forEach((subscriber, i) => {
      const share = Math.floor(concurrency / list.length) + (i < concurrency % list.length ? 1 : 0);
      if (share === subscriber.share) return;
      subscriber.share = share;
      subscriber.session.share(subscriber.id, share);
    });
  }

  // --- fetching consumers -------------------------------------------------------------------------

  /** Leases up to `maxJobs`, waiting for the first one if asked to. Never longer than `waitMs`. */
  async fetch(request: storage.FetchRequest, signal: AbortSignal): Promise<common.JobRun[]> {
    const topic = this.store.topic(request.queue, request.topic);
    this.#startTicking();
    const runs = await this.#fetchNow(topic, request);
    if (runs.length > 0 || request.waitMs === 0 || signal.aborted || this.#closed) return runs;
    return new Promise((resolve) => this.#wait({ topic, request, signal, resolve, ended: false }));
  }

  #wait(waiter: Waiter): void {
    const { topic, request, signal } = waiter;
    const { resolve } = waiter;
    const giveUp = (): void => waiter.resolve([]);
    const cancelTimer = this.store.options.clock.after(request.waitMs, giveUp);
    signal.addEventListener('abort', giveUp);
    waiter.resolve = (runs) => {
      if (waiter.ended) return;
      waiter.ended = true;
      cancelTimer();
      signal.removeEventListener('abort', giveUp);
      this.#removeWaiter(waiter);
      resolve(runs);
    };
    this.#waiters.set(topic, [...(this.#waiters.get(topic) ?? []), waiter]);
  }

  async #fetchNow(topic: Topic, request: storage.FetchRequest): Promise<common.JobRun[]> {
    const { now } = this.store.options.clock;
    const holder: Holder = { name: request.consumer || 'fetch', fetching: true, leased: 0 };
    if (this.store.committer.failing) return [];
    this.#advance(topic);
    const max = Math.max(1, request.maxJobs);
    const grants = topic.lease(holder, max, now(), request.leaseMs || topic.leaseMs);
    const runs = (await Promise.all(grants.map((grant) => this.#runs(grant)))).flat();
    if (request.settle && runs.length > 0) await this.#settleFetched(runs);
    return runs;
  }

  async #settleFetched(runs: common.JobRun[]): Promise<void> {
    for (const { firstLeaseId, count } of runs) this.store.settleDone({ firstLeaseId, count });
    await this.store.committer.flush();
  }

  #removeWaiter(waiter: Waiter): void {
    const rest = (this.#waiters.get(waiter.topic) ?? []).filter((one) => one !== waiter);
    if (rest.length > 0) this.#waiters.set(waiter.topic, rest);
    else this.#waiters.delete(waiter.topic);
  }

  async #serveWaiters(topic: Topic): Promise<void> {
    for (const waiter of this.#waiters.get(topic) ?? []) {
      if (!topic.leasable) return;
      // Nobody else may serve it meanwhile.
      this.#removeWaiter(waiter);
      const runs = await this.#fetchNow(topic, waiter.request);
      if (waiter.ended) this.#giveBack(runs);
      else if (runs.length > 0) waiter.resolve(runs);
      else this.#waiters.set(topic, [waiter, ...(this.#waiters.get(topic) ?? [])]);
    }
  }

  /** The consumer stopped waiting just before its jobs came. */
  #giveBack(runs: common.JobRun[]): void {
    const kind = common.OutcomeKind.RELEASE;
    for (const { firstLeaseId, count } of runs)
      for (let i = 0; i < count; i++)
        this.store.settle([common.Outcome.fromPartial({ leaseId: firstLeaseId + i, kind })]);
  }

  // --- the pump -----------------------------------------------------------------------------------

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
    this.#flush();
  }

  pumpAll(): void {
    for (const topic of this.#subscribers.keys()) this.touch(topic);
    this.pumpTouched();
  }

  #flush(): void {
    for (const session of this.#sessions) session.flush();
  }

  #pump(topic: Topic): void {
    this.#advance(topic);
    if (!this.store.committer.failing) {
      this.#lease(topic);
      if (this.#waiters.has(topic)) void this.#serveWaiters(topic);
    }
    this.#wakeFor(topic);
  }

  #lease(topic: Topic): void {
    const subscribers = this.#subscribers.get(topic);
    if (subscribers === undefined) return;
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

  #send(subscriber: Subscriber, grant: Grant): void {
    const { session } = subscriber;
    const ready = this.#cachedRuns(grant);
    if (ready !== undefined) {
      for (const run of ready) session.run({ ...run, subscriptionId: subscriber.id });
      return;
    }
    void this.#runs(grant).then((runs) => {
      for (const run of runs) session.run({ ...run, subscriptionId: subscriber.id });
      session.flush();
    });
  }

  #cachedRuns(grant: Grant): common.JobRun[] | undefined {
    const { seq, count, topic } = grant;
    const runs: common.JobRun[] = [];
    for (let at = seq; at < seq + count; ) {
      const batch = this.store.reader.cached(topic.shard, at);
      if (batch === undefined) return undefined;
      const end = Math.min(batch.endSeq, seq + count);
      runs.push(this.#run(grant, at, end, batch.acceptedAtMs, batch.frames(at, end)));
      at = end;
    }
    return runs;
  }

  async #runs(grant: Grant): Promise<common.JobRun[]> {
    const { seq, count, topic } = grant;
    const runs: common.JobRun[] = [];
    for (let at = seq; at < seq + count; ) {
      try {
        const batch = await this.store.reader.read(topic.shard, at);
        const end = Math.min(batch.endSeq, seq + count);
        runs.push(this.#run(grant, at, end, batch.acceptedAtMs, batch.frames(at, end)));
        at = end;
      } catch (error) {
        this.#unreadable(grant, at++, error);
      }
    }
    return runs;
  }

  #run(
    grant: Grant,
    from: number,
    to: number,
    acceptedAtMs: number,
    jobs: Uint8Array,
  ): common.JobRun {
    grant.acceptedAtMs = acceptedAtMs;
    return {
      store: this.store.number,
      shard: grant.topic.shard,
      firstSeq: from,
      firstLeaseId: grant.firstLeaseId + (from - grant.seq),
      count: to - from,
      acceptedAtMs,
      jobs,
      attempt: grant.attempt,
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

  // --- time ---------------------------------------------------------------------------------------

  #advance(topic: Topic): void {
    const now = this.store.options.clock.now();
    for (const scan of topic.advance(now)) {
      void this.store.scan(scan.range).then(
        (page) => {
          scan.loaded(page, this.store.options.clock.now());
          this.touch(topic);
          this.pumpTouched();
        },
        (error) => this.store.options.log.error({ err: error }, 'cannot read due deliveries'),
      );
    }
    if (topic.unmaturedFrom !== undefined && topic.config.delayMs > 0) void this.#mature(topic);
  }

  /** Lets jobs of a topic with a delay become old enough, batch by batch. */
  async #mature(topic: Topic): Promise<void> {
    if (this.#maturing.has(topic)) return;
    this.#maturing.add(topic);
    let moved = false;
    try {
      for (let seq = topic.unmaturedFrom; seq !== undefined; seq = topic.unmaturedFrom) {
        const batch = await this.#batchFrom(topic.shard, seq);
        const readyAtMs = (batch?.acceptedAtMs ?? 0) + topic.config.delayMs;
        if (readyAtMs > this.store.options.clock.now()) {
          this.#wakeAt(readyAtMs);
          break;
        }
        topic.matured(batch?.endSeq ?? Number.MAX_SAFE_INTEGER);
        moved = true;
      }
    } finally {
      this.#maturing.delete(topic);
    }
    if (!moved) return;
    this.touch(topic);
    this.pumpTouched();
  }

  /** The batch that holds a job or, if that was trimmed, the next one. */
  async #batchFrom(shard: number, seq: number): Promise<BatchAge | undefined> {
    const cached = this.store.reader.cached(shard, seq);
    if (cached !== undefined) return cached;
    const { engine } = this.store.options;
    const entry = await engine.readLog(shard, seq);
    const age = entry && ageOf(entry);
    if (age !== undefined && seq < age.endSeq) return age;
    const next = await engine.nextLog(shard, seq);
    return next && ageOf(next);
  }

  #wakeFor(topic: Topic): void {
    const dueAtMs = topic.active ? topic.nextDueAtMs() : undefined;
    if (dueAtMs !== undefined) this.#wakeAt(dueAtMs);
  }

  #wakeAt(dueAtMs: number): void {
    if (this.#closed || dueAtMs >= this.#wakeAtMs) return;
    this.#cancelWake?.();
    this.#wakeAtMs = dueAtMs;
    const { clock } = this.store.options;
    this.#cancelWake = clock.after(Math.max(1, dueAtMs - clock.now()), () => {
      this.#wakeAtMs = Number.POSITIVE_INFINITY;
      for (const topic of this.#waiters.keys()) this.touch(topic);
      this.pumpAll();
    });
  }

  #startTicking(): void {
    if (this.#cancelTick !== undefined || this.#closed) return;
    const tick = (): void => {
      this.expireLeases();
      for (const topic of this.#waiters.keys()) this.touch(topic);
      this.pumpAll();
      this.#cancelTick = this.store.options.clock.after(EXPIRY_TICK_MS, tick);
    };
    this.#cancelTick = this.store.options.clock.after(EXPIRY_TICK_MS, tick);
  }

  /** A lease whose holder was silent too long counts as a failed attempt. */
  expireLeases(): void {
    const now = this.store.options.clock.now();
    for (const shard of this.store.shards.values())
      for (const topic of shard.topics.values())
        for (const lease of topic.expired(now)) this.#expire(lease, now);
  }

  #expire(lease: Lease, now: number): void {
    this.store.options.metrics.leasesExpired(1);
    const outcome = common.Outcome.fromPartial({
      leaseId: lease.id,
      kind: common.OutcomeKind.RETRY,
      errorCode: 'LEASE_EXPIRED',
      error: `no answer from ${lease.grant.holder.name} within ${lease.grant.leaseMs} ms`,
      startedAtMs: lease.grant.grantedAtMs,
      durationMs: now - lease.grant.grantedAtMs,
    });
    this.store.settleLease(lease, outcome, now);
    this.store.committer.dirty();
  }

  close(): void {
    this.#closed = true;
    this.#cancelWake?.();
    this.#cancelTick?.();
    for (const waiters of [...this.#waiters.values()])
      for (const waiter of [...waiters]) waiter.resolve([]);
  }
}
