import type { Duration } from '../duration.js';
import type { EventToPublish, Published, PublishOptions } from './options.js';

/** The event that follows a batch. */
export interface BatchNext {
  event: string;
  /** Without them the totals are its parameters. */
  params?: object;
  /** The queue that carries it; its own name unless said. */
  queue?: string;
  /** Beside these it has `malabar-batch-totals`. */
  headers?: Readonly<Record<string, string>>;
}

/** How a batch is opened. */
export interface BatchOptions {
  next: BatchNext;
  /** `success`: only if all is done. Default `always`: however it ended, also if it expires with jobs in it. */
  on?: 'always' | 'success';
  /** Within this time it has to be closed; default a day, up to 30. */
  expires?: Duration;
}

/** A batch now. */
export interface BatchStatus {
  readonly id: string;
  readonly state: 'open' | 'closed' | 'ended' | 'expired' | 'abandoned';
  readonly jobs: number;
  /** One for each job and each task that its event had. */
  readonly deliveries: number;
  /** Deliveries that have not ended. */
  readonly open: number;
  readonly done: number;
  readonly dead: number;
  readonly discarded: number;
  /** Why deliveries are dead or discarded. */
  readonly errors: readonly { readonly code: string; readonly count: number }[];
  /** The job that followed; empty if none has. */
  readonly thenJobId: string;
}

/** Many events with a common end. */
export interface Batch<E extends object> {
  readonly id: string;
  /** As `Malabar.publish`, into the batch. */
  publish<N extends keyof E & string>(
    event: N,
    params?: E[N],
    options?: Omit<PublishOptions, 'batch'>,
  ): Promise<Published>;
  /** As `Malabar.publishAll`, into the batch. */
  publishAll(
    events: Iterable<EventToPublish> | AsyncIterable<EventToPublish>,
  ): Promise<readonly Published[]>;
  /** All is published: the batch ends when its last job has. Call it when everything published is confirmed. */
  close(): Promise<BatchStatus>;
  status(): Promise<BatchStatus>;
}
