import { common, type storage } from '@malabar/contracts';
import { Channel, joinFrames } from '@malabar/core';

interface Waiting {
  seq: number;
  attempt: number;
  crashes?: number;
}

interface Subscribed {
  wish: storage.Subscription;
  leased: number;
  share: number | undefined;
}

interface Leased extends Waiting {
  path: string;
  subscriptionId: number;
  session: number;
}

/**
 * Storage as the dispatcher sees it: leases by credits, fences by lease id, takes leases back when the
 * stream ends. Keeps nothing on disk, and a failed job stays failed until a test makes it ready.
 */
export class StorageDouble {
  leaseMs = 60_000;
  readonly requests: storage.DeliverRequest[] = [];
  readonly done: number[] = [];
  readonly outcomes: common.Outcome[] = [];
  /** Outcomes of leases that were not current. */
  readonly stale: number[] = [];
  /** How many streams were opened. */
  streams = 0;
  /** The most leases that any subscription held at once. */
  leasedMax = 0;
  readonly #jobs = new Map<number, { path: string; job: common.Job }>();
  readonly #ready = new Map<string, Waiting[]>();
  readonly #leases = new Map<number, Leased>();
  #subscriptions = new Map<number, Subscribed>();
  #out: Channel<storage.DeliverResponse> | undefined;
  #nextSeq = 1;
  #nextLease = 1000;

  constructor(private readonly now: () => number) {}

  /** Makes jobs ready; returns their sequence numbers. */
  push(path: string, ...bodies: Array<string | Partial<common.Job>>): number[] {
    const seqs = bodies.map((body) => {
      const seq = this.#nextSeq++;
      const job = typeof body === 'string' ? { body: Buffer.from(body) } : body;
      this.#jobs.set(seq, { path, job: common.Job.fromPartial(job) });
      this.#readyOf(path).push({ seq, attempt: 1 });
      return seq;
    });
    this.#pump();
    return seqs;
  }

  /** Makes a job ready that has been tried before; returns its sequence number. */
  pushTried(path: string, body: string, attempt: number, crashes = 0): number {
    const seq = this.#nextSeq++;
    this.#jobs.set(seq, { path, job: common.Job.fromPartial({ body: Buffer.from(body) }) });
    this.#readyOf(path).push({ seq, attempt, crashes });
    this.#pump();
    return seq;
  }

  ready(path: string): number {
    return this.#readyOf(path).length;
  }

  get leased(): number {
    return this.#leases.size;
  }

  credits(path: string): number | undefined {
    for (const { wish } of this.#subscriptions.values())
      if (`${wish.queue}/${wish.topic}` === path) return wish.credits;
    return undefined;
  }

  share(path: string, concurrency: number): void {
    for (const [subscriptionId, { wish }] of this.#subscriptions)
      if (`${wish.queue}/${wish.topic}` === path)
        this.#send({ shares: [{ subscriptionId, concurrency }] });
  }

  fault(path: string, message: string): void {
    for (const [subscriptionId, { wish }] of this.#subscriptions)
      if (`${wish.queue}/${wish.topic}` === path)
        this.#send({ faults: [{ subscriptionId, fault: { code: 'UNKNOWN_TOPIC', message } }] });
  }

  /** Sends any message, also a wrong one. */
  #send(response: Partial<storage.DeliverResponse>): void {
    this.#out?.push({ runs: [], shares: [], faults: [], ...response });
  }

  send(response: Partial<storage.DeliverResponse>): void {
    this.#send(response);
  }

  /** The stream breaks: every lease is ready again. */
  cut(): void {
    const out = this.#out;
    this.#close();
    out?.fail(new Error('the connection was cut'));
  }

  deliver = (requests: AsyncIterable<storage.DeliverRequest>) => {
    const out = new Channel<storage.DeliverResponse>();
    this.#out = out;
    this.streams++;
    void this.#read(requests, out);
    return out;
  };

  async #read(
    requests: AsyncIterable<storage.DeliverRequest>,
    out: Channel<storage.DeliverResponse>,
  ): Promise<void> {
    for await (const request of requests) {
      if (out !== this.#out) return;
      this.requests.push(request);
      this.#handle(request);
    }
    if (out !== this.#out) return;
    this.#close();
    out.end();
  }

  #handle(request: storage.DeliverRequest): void {
    for (const { firstLeaseId, count } of request.done)
      for (let i = 0; i < count; i++) {
        const lease = this.#end(firstLeaseId + i);
        if (lease) this.done.push(lease.seq);
      }
    for (const outcome of request.outcomes) this.#settle(outcome);
    for (const wish of request.subscribe) {
      const known = this.#subscriptions.get(wish.id);
      if (known) known.wish = wish;
      else this.#subscriptions.set(wish.id, { wish, leased: 0, share: undefined });
    }
    for (const id of request.unsubscribe) this.#subscriptions.delete(id);
    this.#pump();
  }

  #settle(outcome: common.Outcome): void {
    this.outcomes.push(outcome);
    const { EXTEND, RELEASE } = common.OutcomeKind;
    if (outcome.kind === EXTEND) {
      if (!this.#leases.has(outcome.leaseId)) this.stale.push(outcome.leaseId);
      return;
    }
    const lease = this.#end(outcome.leaseId);
    if (lease && outcome.kind === RELEASE) this.#readyOf(lease.path).unshift(lease);
  }

  #end(leaseId: number): Leased | undefined {
    const lease = this.#leases.get(leaseId);
    if (lease === undefined) {
      this.stale.push(leaseId);
      return undefined;
    }
    this.#leases.delete(leaseId);
    const subscribed = this.#subscriptions.get(lease.subscriptionId);
    if (subscribed) subscribed.leased--;
    return lease;
  }

  #close(): void {
    this.#out = undefined;
    this.#subscriptions = new Map();
    for (const lease of this.#leases.values()) this.#readyOf(lease.path).push(lease);
    this.#leases.clear();
  }

  #pump(): void {
    const runs: common.JobRun[] = [];
    for (const [id, subscribed] of this.#subscriptions) {
      const { wish } = subscribed;
      const path = `${wish.queue}/${wish.topic}`;
      const ready = this.#readyOf(path);
      const taken = ready.splice(0, Math.max(0, wish.credits - subscribed.leased));
      for (const waiting of taken) runs.push(this.#lease(path, id, waiting));
      subscribed.leased += taken.length;
      this.leasedMax = Math.max(this.leasedMax, subscribed.leased);
    }
    if (runs.length > 0) this.#send({ runs });
  }

  #lease(
    path: string,
    subscriptionId: number,
    { seq, attempt, crashes = 0 }: Waiting,
  ): common.JobRun {
    const leaseId = this.#nextLease++;
    this.#leases.set(leaseId, {
      path,
      subscriptionId,
      seq,
      attempt,
      crashes,
      session: this.streams,
    });
    const job = this.#jobs.get(seq)?.job ?? common.Job.fromPartial({});
    return {
      store: 1,
      shard: 2,
      firstSeq: seq,
      firstLeaseId: leaseId,
      count: 1,
      acceptedAtMs: this.now(),
      jobs: joinFrames([common.Job.encode(job).finish()]),
      attempt,
      crashes,
      leaseUntilMs: this.now() + this.leaseMs,
      subscriptionId,
    };
  }

  #readyOf(path: string): Waiting[] {
    const known = this.#ready.get(path);
    if (known) return known;
    const ready: Waiting[] = [];
    this.#ready.set(path, ready);
    return ready;
  }
}
