import type { Duration } from '../duration.js';

/** How an event is published. */
export interface PublishOptions {
  /** The queue that carries it; its own name unless said. */
  queue?: string;
  /** Idempotency key: published again under the same key, it stays one event, and its id is answered. */
  unique?: string;
  /** How long `unique` is remembered from its publication on; default a day. */
  uniqueFor?: Duration;
  /**
   * With `unique`: put off so long, and in the place of the event with the same key as long as no task has
   * begun that one; else an event of its own.
   */
  debounce?: Duration;
  /** With `debounce`: due at the latest so long after the first event that was replaced; default never. */
  maxWait?: Duration;
  /** No task gets it before. Counted by this machine's clock. */
  delay?: Duration;
  /** Dropped if no task got it within. */
  ttl?: Duration;
  /** Order and fairness key, e.g. a user's id. */
  key?: string;
  /** 0 (usual) to 9 (first). */
  priority?: number;
  /** Carried to the tasks. */
  headers?: Readonly<Record<string, string>>;
  /** W3C trace context. */
  traceparent?: string;
  /** The batch that it joins, by id: a task does so with `job.headers['malabar-batch']`. */
  batch?: string;
}

/** One of several events that are published together. */
export interface EventToPublish<N extends string = string, P = unknown> extends PublishOptions {
  event: N;
  params?: P;
}

/** A durable event. */
export interface Published {
  /** The job's id. */
  id: string;
  /** It had been published before under the same `unique`: `id` is that of the first. */
  duplicate: boolean;
}
