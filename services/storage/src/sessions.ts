import { type common, storage } from '@malabar/contracts';
import { toFault } from '@malabar/core';
import type { Holder } from './core/lease.js';
import type { Topic } from './core/topic.js';

/** One topic as one dispatcher's stream subscribes to it. */
export interface Subscriber extends Holder {
  readonly id: number;
  readonly queue: string;
  readonly topicName: string;
  readonly session: Session;
  credits: number;
  /** Unsubscribed, but some of its leases are not settled yet. */
  ended: boolean;
  /** Undefined while the topic does not exist. */
  topic: Topic | undefined;
  share: number;
}

/** The Deliver stream of one dispatcher. */
export class Session {
  readonly subscribers = new Map<number, Subscriber>();
  #out = storage.DeliverResponse.fromPartial({});

  constructor(
    readonly name: string,
    readonly node: string,
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

export interface SessionsOptions {
  /** Throws UNKNOWN_QUEUE or UNKNOWN_TOPIC. */
  findTopic(queue: string, topic: string): Topic;
  /** The topic may have something to give to somebody now. */
  touch(topic: Topic): void;
  /** Unix milliseconds. */
  now(): number;
}

/** Who is connected and subscribed to what, and how a topic's concurrency is divided among them. */
export class Sessions {
  readonly #sessions = new Set<Session>();
  readonly #byTopic = new Map<Topic, Subscriber[]>();

  constructor(private readonly options: SessionsOptions) {}

  /** `node`: where the dispatcher stands; empty if it does not say. */
  open(name: string, node: string, send: (response: storage.DeliverResponse) => void): Session {
    const session = new Session(name, node, send);
    this.#sessions.add(session);
    return session;
  }

  /** The stream is gone: its leases return to ready at once. */
  close(session: Session): void {
    if (!this.#sessions.delete(session)) return;
    for (const subscriber of session.subscribers.values()) {
      subscriber.topic?.releaseAll(subscriber);
      this.#detach(subscriber);
    }
  }

  /** A new subscription, or new credits for an old one. */
  subscribe(session: Session, wish: storage.Subscription): void {
    const known = session.subscribers.get(wish.id);
    if (known !== undefined) {
      known.credits = wish.credits;
      if (known.ended) this.#attach(known);
      else if (known.topic) this.options.touch(known.topic);
      return;
    }
    const subscriber: Subscriber = {
      id: wish.id,
      queue: wish.queue,
      topicName: wish.topic,
      session,
      name: session.name,
      node: session.node,
      fetching: false,
      credits: wish.credits,
      leased: 0,
      ended: false,
      topic: undefined,
      share: 0,
    };
    session.subscribers.set(wish.id, subscriber);
    this.#attach(subscriber);
  }

  /** The subscriber keeps its leases until they are settled, but has no credit and no share any more. */
  unsubscribe(session: Session, id: number): void {
    const subscriber = session.subscribers.get(id);
    if (subscriber === undefined) return;
    subscriber.credits = 0;
    subscriber.ended = true;
    subscriber.share = 0;
    this.#detach(subscriber);
    if (subscriber.leased === 0) session.subscribers.delete(id);
  }

  /** The configuration has changed: subscriptions find the topics that exist now. */
  configured(): void {
    for (const session of this.#sessions)
      for (const subscriber of session.subscribers.values())
        if (subscriber.topic === undefined) this.#attach(subscriber);
    for (const topic of this.#byTopic.keys()) this.#divide(topic);
  }

  of(topic: Topic): readonly Subscriber[] {
    return this.#byTopic.get(topic) ?? [];
  }

  /** Topics that somebody is subscribed to. */
  get topics(): Iterable<Topic> {
    return this.#byTopic.keys();
  }

  flush(): void {
    for (const session of this.#sessions) session.flush();
  }

  #attach(subscriber: Subscriber): void {
    subscriber.ended = false;
    try {
      const topic = this.options.findTopic(subscriber.queue, subscriber.topicName);
      subscriber.topic = topic;
      this.#byTopic.set(topic, [...this.of(topic), subscriber]);
      if (subscriber.node !== '') topic.nodes.came(subscriber.node);
      this.#divide(topic);
      this.options.touch(topic);
    } catch (error) {
      subscriber.session.fault(subscriber.id, error);
    }
  }

  #detach(subscriber: Subscriber): void {
    const { topic } = subscriber;
    if (topic === undefined) return;
    const before = this.of(topic);
    const rest = before.filter((one) => one !== subscriber);
    if (rest.length < before.length && subscriber.node !== '')
      topic.nodes.left(subscriber.node, this.options.now());
    if (rest.length > 0) this.#byTopic.set(topic, rest);
    else this.#byTopic.delete(topic);
    this.#divide(topic);
    this.options.touch(topic);
  }

  /** The older dispatchers get what does not divide. */
  #divide(topic: Topic): void {
    const subscribers = this.of(topic);
    const { length } = subscribers;
    const { concurrency, concurrencyEach } = topic.config;
    subscribers.forEach((subscriber, i) => {
      const part = Math.floor(concurrency / length) + (i < concurrency % length ? 1 : 0);
      const share = concurrencyEach ? concurrency : part;
      if (share === subscriber.share) return;
      subscriber.share = share;
      subscriber.session.share(subscriber.id, share);
    });
  }
}
