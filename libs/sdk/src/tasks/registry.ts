import { UnknownTaskException } from '../exceptions.js';
import { checkedName } from '../names.js';
import type { Job } from '../worker/job.js';
import { differences } from './differences.js';
import { type TaskOptions, type TopicDocument, topicDocument } from './options.js';
import { writeYaml } from './yaml.js';

/** Does a task: called with the event's parameters and what the bus knows of the job. */
export type Handler<P = unknown> = (params: P, job: Job) => unknown;

/** A topic that is registered, by all of its events. */
export interface Topic {
  readonly queue: string;
  readonly task: string;
  /** `queue/topic`, as the bus names it. */
  readonly path: string;
  readonly document: TopicDocument;
}

/**
 * Which tasks a program does, and about which events. `E` says which parameters each event has:
 * `interface ShopEvents { order_create: { order: number } }`.
 */
// biome-ignore lint/suspicious/noExplicitAny: events whose parameters nobody declared may have any.
export interface Registry<E extends object = Record<string, any>> {
  /**
   * Has a task done whenever the event happens. Throws a TypeError that says what is wrong, also if
   * the task is registered for the event already.
   */
  register<N extends keyof E & string>(
    event: N,
    task: string,
    options: TaskOptions,
    handler: Handler<E[N]>,
  ): this;
  register<N extends keyof E & string>(event: N, task: string, handler: Handler<E[N]>): this;
  /** Every topic that is served. */
  readonly topics: readonly Topic[];
  /** What does this task about this event; throws an UnknownTaskException if nobody here does. */
  handler(path: string, event: string): Handler;
  /** The registered tasks as documents of malabar.yaml. */
  toYaml(): string;
}

interface Registered extends Topic {
  handlers: Map<string, Handler>;
}

/** An empty registry. */
// biome-ignore lint/suspicious/noExplicitAny: as above.
export function createRegistry<E extends object = Record<string, any>>(): Registry<E> {
  const byPath = new Map<string, Registered>();
  return {
    register(event: string, task: string, ...rest: unknown[]) {
      const [options, handler] = rest.length === 1 ? [{}, rest[0]] : rest;
      add(byPath, { event, task, options: options as TaskOptions, handler });
      return this;
    },
    get topics() {
      return [...byPath.values()].map(({ handlers: _, ...topic }) => topic);
    },
    handler: (path, event) => find(byPath, path, event),
    toYaml: () => writeYaml([...byPath.values()]),
  };
}

interface Registration {
  event: string;
  task: string;
  options: TaskOptions;
  handler: unknown;
}

function add(byPath: Map<string, Registered>, registration: Registration): void {
  const { event, task, options, handler } = registration;
  checkedName('event', event);
  const queue = checkedName('queue', options.queue ?? event);
  const path = `${queue}/${checkedName('task', task)}`;
  if (typeof handler !== 'function') {
    throw new TypeError(`task ${path}: its handler is ${typeof handler}, not a function`);
  }
  const document = topicDocument(path, options);
  const before = byPath.get(path);
  if (before === undefined) {
    const handlers = new Map([[event, handler as Handler]]);
    byPath.set(path, { queue, task, path, document, handlers });
    return;
  }
  if (before.handlers.has(event)) {
    throw new TypeError(`task ${path} is registered for ${event} already`);
  }
  const [difference] = differences(document, before.document);
  if (difference !== undefined) {
    throw new TypeError(`task ${path} is registered for another event, there ${difference}`);
  }
  before.handlers.set(event, handler as Handler);
}

function find(byPath: Map<string, Registered>, path: string, event: string): Handler {
  const handlers = byPath.get(path)?.handlers;
  const handler = handlers?.get(event);
  if (handler !== undefined) return handler;
  const known =
    handlers === undefined
      ? `this program has: ${[...byPath.keys()].join(', ') || 'none'}`
      : `only for ${[...handlers.keys()].join(', ')}`;
  throw new UnknownTaskException(`no handler for event ${event} at ${path}; ${known}`);
}
