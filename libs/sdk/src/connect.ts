import { systemClock } from '@malabar/core';
import { type Duration, milliseconds } from './duration.js';
import { MalabarError, toMalabarError } from './errors.js';
import { type Log, STDERR } from './log.js';
import { checkOptions } from './names.js';
import { batchRequest, openBatch } from './publish/batch.js';
import type { Batch, BatchOptions } from './publish/batch-options.js';
import type { EventToPublish, Published, PublishOptions } from './publish/options.js';
import { publishAll } from './publish/publish-all.js';
import { Publisher } from './publish/publisher.js';
import { openServices } from './services.js';
import type { Registry } from './tasks/registry.js';
import { createTopics } from './tasks/topics.js';
import { createWorker } from './worker/task-worker.js';
import type { Worker, WorkerOptions } from './worker/worker.js';

/** TLS of the connections. Each field is a PEM text or the path of a PEM file. */
export interface TlsOptions {
  /** Who may sign the bus's certificate; default the system's authorities. */
  ca?: string;
  /** What this program shows, if the bus asks for it (mTLS). */
  cert?: string;
  key?: string;
}

/** Where the bus is and how to prove oneself there. */
export interface ConnectOptions {
  /** `host:port` (gRPC) of a bus that runs in one process; default 127.0.0.1:7400. */
  address?: string;
  /** Instead: `host:port` of one or more keepers, which know where everything else runs. */
  keeper?: string | readonly string[];
  /** A user's token (`mlb_...`) or the token of the bus. */
  token?: string;
  /** Passwords of queues that have one, by `queue` or `queue/topic`. */
  passwords?: Readonly<Record<string, string>>;
  tls?: TlsOptions;
  /** How long a published event may wait for the bus's yes; default 30 s. */
  timeout?: Duration;
  /** Events that may wait at once before publishing is refused with BUSY; default 10,000. */
  waitingMax?: number;
  /** Who hears what goes wrong meanwhile; default: warnings and errors on stderr. */
  log?: Log;
}

/** How topics are made. */
export interface CreateTopicsOptions {
  /** Changes topics that are there with other settings, instead of refusing. */
  replace?: boolean;
  /** Who registers, for the history; default `sdk`. */
  name?: string;
}

/**
 * A way to the bus. `E` says which parameters each event has:
 * `interface ShopEvents { order_create: { order: number } }`.
 */
// biome-ignore lint/suspicious/noExplicitAny: events whose parameters nobody declared may have any.
export interface Malabar<E extends object = Record<string, any>> {
  /**
   * Publishes an event; resolves when the bus has it on disk. What is published without waiting
   * travels together. Survives a bus that restarts: an event is sent again under the same key, so it
   * is neither lost nor doubled. Rejects with a PublishError: refused, or not confirmed in time.
   */
  publish<N extends keyof E & string>(
    event: N,
    params?: E[N],
    options?: PublishOptions,
  ): Promise<Published>;
  /**
   * Publishes many, taking no more from the source than the bus can follow. Resolves with one answer
   * for each, in order; rejects with a PublishAllError once all have ended if some were refused.
   */
  publishAll(
    events: Iterable<EventOf<E>> | AsyncIterable<EventOf<E>>,
  ): Promise<readonly Published[]>;
  /**
   * Opens a batch: what is published through it has a common end, and then one event follows. Close it
   * when all is published.
   */
  batch(options: BatchOptions): Promise<Batch<E>>;
  /** Resolves when there is room to publish without waiting for answers. */
  ready(): Promise<void>;
  /**
   * Makes the topics of the registered tasks that are not there, through the keeper, and waits until
   * the bus goes by them; a worker does so by itself. Returns those that it made or changed.
   */
  createTopics(registry: Registry<E>, options?: CreateTopicsOptions): Promise<readonly string[]>;
  /** A worker for the registered tasks; `run` starts it. */
  worker(registry: Registry<E>, options?: WorkerOptions): Worker;
  /** Stops the workers, waits for what is being published, and disconnects. */
  close(): Promise<void>;
}

/** An event with the parameters that are declared for it. */
export type EventOf<E extends object> = {
  [N in keyof E & string]: EventToPublish<N, E[N]>;
}[keyof E & string];

const OPTIONS: readonly (keyof ConnectOptions)[] = [
  'address',
  'keeper',
  'token',
  'passwords',
  'tls',
  'timeout',
  'waitingMax',
  'log',
];

/** Opens nothing yet: a bus that is away is no error. Throws a TypeError about its options. */
// biome-ignore lint/suspicious/noExplicitAny: as above.
export function connect<E extends object = Record<string, any>>(
  options: ConnectOptions = {},
): Malabar<E> {
  checkOptions('a connection', options, OPTIONS);
  const { address, keeper = [], token, passwords = {}, tls, log = STDERR } = options;
  if (address !== undefined && options.keeper !== undefined) {
    throw new TypeError('a connection has an address or a keeper, not both');
  }
  const keepers = typeof keeper === 'string' ? [keeper] : keeper;
  if (options.keeper !== undefined && keepers.length === 0) {
    throw new TypeError('keeper: no address is given');
  }
  const common = { clock: systemClock, random: Math.random, log };
  const services = openServices({
    address: address ?? '127.0.0.1:7400',
    keepers,
    token,
    tls,
    ...common,
  });
  const timeoutMs = milliseconds('timeout', options.timeout ?? '30s');
  const publisher = new Publisher({
    client: services.ingest,
    password: (queue) => passwords[queue],
    timeoutMs,
    waitingMax: checkedCount('waitingMax', options.waitingMax ?? 10_000),
    ...common,
  });
  const workers: Worker[] = [];
  return {
    publish: async (event, params, more = {}) => publisher.publish(event, params ?? {}, more),
    publishAll: (events) => publishAll(publisher, events),
    async batch(more) {
      const request = batchRequest(more);
      const metadata = publisher.metadata(request.thenJob?.queue ?? '');
      const client = services.ingest;
      return openBatch({ client, publisher, metadata, timeoutMs, ...common }, request);
    },
    ready: () => publisher.ready(),
    async createTopics(registry, { replace = false, name = 'sdk' } = {}) {
      const { topics } = registry;
      const { random } = common;
      try {
        return await createTopics({
          service: services.config,
          topics,
          replace,
          name,
          random,
          log,
        });
      } catch (thrown) {
        throw toMalabarError(thrown);
      }
    },
    worker(registry, more) {
      const password = (queue: string, topic: string): string | undefined =>
        passwords[`${queue}/${topic}`] ?? passwords[queue];
      const worker = createWorker({ services, registry, password, ...common }, more);
      workers.push(worker);
      return worker;
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.stop()));
      await publisher.close();
      await services.close();
    },
  };
}

function checkedCount(name: string, count: number): number {
  if (Number.isSafeInteger(count) && count > 0) return count;
  throw new MalabarError('INVALID', `${name} ${count} is not a count above 0`);
}
