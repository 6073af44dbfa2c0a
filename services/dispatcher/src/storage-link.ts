import { common, type storage } from '@malabar/contracts';
import { Channel, type Clock, reconnectDelayMs, sleep, toBusError } from '@malabar/core';
import type { Client } from '@malabar/rpc';
import type { Logger } from '@malabar/telemetry';
import { type Delivery, deliveriesOf } from './delivery.js';

/** How long a stop waits for storage to take the last outcomes. */
const STOP_MS_MAX = 2_000;

/** Who receives the deliveries of one topic. */
export interface Subscriber {
  readonly queue: string;
  readonly topic: string;
  /** New leases of the current stream. */
  leased(deliveries: Delivery[]): void;
  /** How many this dispatcher may run at once; storage divides the topic's concurrency. */
  shared(concurrency: number): void;
  /** Storage cannot serve the subscription. */
  refused(reason: string): void;
  /** The stream is gone and with it every lease; running attempts may end, nobody listens. */
  lost(): void;
}

/** A topic's place on the stream; it outlives reconnects. */
export interface Subscription {
  /** The most leases to hold at once. */
  credits(credits: number): void;
  /** No more deliveries. Leases that are held stay until they are settled. */
  end(): void;
}

/** An outcome without what the delivery says itself. */
export type Ending = Partial<Omit<common.Outcome, 'leaseId'>> & { kind: common.OutcomeKind };

/** The one Deliver stream to storage, reconnected for ever. */
export interface StorageLink {
  readonly connected: boolean;
  subscribe(subscriber: Subscriber, credits: number): Subscription;
  done(delivery: Delivery): void;
  settle(delivery: Delivery, ending: Ending): void;
  /** Sends what has gathered and ends the stream; what is still leased returns to ready at storage. */
  stop(): Promise<void>;
}

export interface StorageLinkOptions {
  client: Pick<Client<typeof storage.StorageServiceDefinition>, 'deliver'>;
  /** Name of this dispatcher in attempt histories. */
  name: string;
  /** Where it stands: some jobs are for one node only. */
  node: string;
  clock: Clock;
  random: () => number;
  log: Logger;
  /** Runs its argument after the events that wait now: setImmediate. */
  turn: (run: () => void) => void;
}

interface Place {
  id: number;
  subscriber: Subscriber;
  credits: number;
}

class Link implements StorageLink {
  readonly #places = new Map<number, Place>();
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;
  #nextId = 1;
  #session = 0;
  #out: Channel<storage.DeliverRequest> | undefined;
  #scheduled = false;
  #attempt = 0;
  #stopped = false;
  // What has gathered in this turn of the event loop. One message carries it, never one per job.
  #done: number[] = [];
  #outcomes: common.Outcome[] = [];
  #subscribe = new Set<Place>();
  #unsubscribe: number[] = [];

  constructor(private readonly options: StorageLinkOptions) {
    this.#running = this.#run();
  }

  get connected(): boolean {
    // Storage answers every subscription with its share; without one there is nothing to wait for.
    return this.#out !== undefined && (this.#attempt === 0 || this.#places.size === 0);
  }

  subscribe(subscriber: Subscriber, credits: number): Subscription {
    const place = { id: this.#nextId++, subscriber, credits };
    this.#places.set(place.id, place);
    this.#subscribe.add(place);
    this.#schedule();
    return {
      credits: (wanted) => this.#setCredits(place, wanted),
      end: () => this.#end(place),
    };
  }

  done(delivery: Delivery): void {
    if (delivery.session !== this.#session) return;
    this.#done.push(delivery.leaseId);
    this.#schedule();
  }

  settle(delivery: Delivery, ending: Ending): void {
    if (delivery.session !== this.#session) return;
    this.#outcomes.push(outcomeOf(delivery, ending));
    this.#schedule();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#flush();
    if (this.#out === undefined) this.#stopping.abort();
    // Storage reads the last outcomes and then ends the stream from its side.
    else this.#out.end();
    const cancel = this.options.clock.after(STOP_MS_MAX, () => this.#stopping.abort());
    await this.#running;
    cancel();
  }

  #setCredits(place: Place, credits: number): void {
    if (place.credits === credits || !this.#places.has(place.id)) return;
    place.credits = credits;
    this.#subscribe.add(place);
    this.#schedule();
  }

  #end(place: Place): void {
    if (!this.#places.delete(place.id)) return;
    this.#subscribe.delete(place);
    this.#unsubscribe.push(place.id);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#out === undefined) return;
    this.#scheduled = true;
    this.options.turn(() => this.#flush());
  }

  #flush(): void {
    this.#scheduled = false;
    const out = this.#out;
    if (out === undefined) return;
    const request = this.#gathered();
    if (request !== undefined) out.push(request);
  }

  #gathered(): storage.DeliverRequest | undefined {
    const subscribe = [...this.#subscribe].map(wish);
    const pending = this.#done.length + this.#outcomes.length + this.#unsubscribe.length;
    if (pending + subscribe.length === 0) return undefined;
    const request: storage.DeliverRequest = {
      dispatcher: '',
      node: '',
      subscribe,
      unsubscribe: this.#unsubscribe,
      done: rangesOf(this.#done),
      outcomes: this.#outcomes,
    };
    this.#forget();
    return request;
  }

  #forget(): void {
    this.#done = [];
    this.#outcomes = [];
    this.#subscribe.clear();
    this.#unsubscribe = [];
  }

  async #run(): Promise<void> {
    const { clock, random, log } = this.options;
    while (!this.#stopped && !this.#stopping.signal.aborted) {
      try {
        await this.#stream();
        if (!this.#stopped) log.warn('storage ended the Deliver stream');
      } catch (error) {
        if (!this.#stopped) log.warn(`the Deliver stream broke: ${toBusError(error).message}`);
      }
      this.#lose();
      if (this.#stopped) return;
      await sleep(clock, reconnectDelayMs(this.#attempt++, random), this.#stopping.signal);
    }
  }

  async #stream(): Promise<void> {
    const out = new Channel<storage.DeliverRequest>();
    this.#session++;
    this.#forget();
    this.#out = out;
    out.push(this.#introduction());
    const responses = this.options.client.deliver(out, { signal: this.#stopping.signal });
    for await (const response of responses) {
      this.#attempt = 0;
      this.#receive(response);
    }
  }

  #introduction(): storage.DeliverRequest {
    return {
      dispatcher: this.options.name,
      node: this.options.node,
      subscribe: [...this.#places.values()].map(wish),
      unsubscribe: [],
      done: [],
      outcomes: [],
    };
  }

  #lose(): void {
    this.#out?.end();
    this.#out = undefined;
    // Outcomes of attempts that outlive the stream are stale from here on.
    this.#session++;
    this.#forget();
    for (const { subscriber } of [...this.#places.values()]) subscriber.lost();
  }

  #receive(response: storage.DeliverResponse): void {
    for (const { subscriptionId, concurrency } of response.shares)
      this.#places.get(subscriptionId)?.subscriber.shared(concurrency);
    for (const { subscriptionId, fault } of response.faults)
      this.#places.get(subscriptionId)?.subscriber.refused(fault?.message ?? 'refused by storage');
    const leased = new Map<Place, Delivery[]>();
    for (const run of response.runs) this.#sort(run, leased);
    for (const [place, deliveries] of leased) place.subscriber.leased(deliveries);
  }

  /** One message may bring several runs of a topic; the topic hears of all of them at once. */
  #sort(run: common.JobRun, leased: Map<Place, Delivery[]>): void {
    const deliveries = deliveriesOf(run, this.#session);
    const place = this.#places.get(run.subscriptionId);
    const earlier = place && leased.get(place);
    if (deliveries === undefined) this.#refuse(run, common.OutcomeKind.RETRY);
    else if (place === undefined) this.#refuse(run, common.OutcomeKind.RELEASE);
    else if (earlier === undefined) leased.set(place, deliveries);
    else for (const delivery of deliveries) earlier.push(delivery);
  }

  /** Nobody here can take the run: its topic has just gone, or its bytes are not what it announces. */
  #refuse(run: common.JobRun, kind: common.OutcomeKind): void {
    const damaged = kind === common.OutcomeKind.RETRY;
    if (damaged) this.options.log.error({ run: run.firstLeaseId }, 'a run of jobs is damaged');
    for (let i = 0; i < run.count; i++) {
      const outcome = common.Outcome.fromPartial({ leaseId: run.firstLeaseId + i, kind });
      if (damaged) outcome.errorCode = 'CORRUPT';
      if (damaged) outcome.error = 'the dispatcher could not read the run that holds the job';
      this.#outcomes.push(outcome);
    }
    this.#schedule();
  }
}

function wish({ id, subscriber, credits }: Place): storage.Subscription {
  return { id, queue: subscriber.queue, topic: subscriber.topic, credits };
}

function outcomeOf(delivery: Delivery, ending: Ending): common.Outcome {
  return {
    leaseId: delivery.leaseId,
    kind: ending.kind,
    retryAfterMs: Math.round(ending.retryAfterMs ?? 0),
    consumer: ending.consumer ?? '',
    errorCode: ending.errorCode ?? '',
    error: ending.error ?? '',
    startedAtMs: Math.round(ending.startedAtMs ?? delivery.startedAtMs),
    durationMs: Math.max(0, Math.round(ending.durationMs ?? 0)),
    output: ending.output ?? '',
    exitCode: ending.exitCode,
  };
}

/** Lease ids as runs of consecutive ones. */
export function rangesOf(leaseIds: readonly number[]): storage.LeaseRange[] {
  const ranges: storage.LeaseRange[] = [];
  let last: storage.LeaseRange | undefined;
  for (const leaseId of ascending(leaseIds)) {
    if (last !== undefined && leaseId === last.firstLeaseId + last.count) last.count++;
    else {
      last = { firstLeaseId: leaseId, count: 1 };
      ranges.push(last);
    }
  }
  return ranges;
}

/** Consumers mostly answer in order, so looking first is cheaper than sorting. */
function ascending(leaseIds: readonly number[]): ArrayLike<number> & Iterable<number> {
  for (let i = 1; i < leaseIds.length; i++)
    if ((leaseIds[i] as number) < (leaseIds[i - 1] as number))
      return Float64Array.from(leaseIds).sort();
  return leaseIds;
}

export function createStorageLink(options: StorageLinkOptions): StorageLink {
  return new Link(options);
}
