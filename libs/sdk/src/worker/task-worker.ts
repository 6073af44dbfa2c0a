import { hostname } from 'node:os';
import { type BusError, type Clock, KeepAlive, reconnectDelayMs, sleep } from '@malabar/core';
import { milliseconds } from '../duration.js';
import { MalabarError, RegistrationError, toMalabarError } from '../errors.js';
import { idempotent } from '../idempotent/idempotent.js';
import type { Log } from '../log.js';
import { checkOptions } from '../names.js';
import type { Services } from '../services.js';
import { byHand } from '../tasks/by-hand.js';
import type { Registry } from '../tasks/registry.js';
import { createTopics } from '../tasks/topics.js';
import { runHandler } from './run-handler.js';
import { TaskStream } from './task-stream.js';
import type { Worker, WorkerOptions } from './worker.js';

const KEEPER_MS_MIN = 500;
const KEEPER_MS_MAX = 10_000;
const CONCURRENCY_MAX = 65_536;

const OPTIONS: readonly (keyof WorkerOptions)[] = [
  'concurrency',
  'only',
  'topics',
  'replace',
  'timeout',
  'drain',
  'name',
  'store',
];

export interface WorkerContext {
  services: Services;
  registry: Registry;
  password(queue: string, topic: string): string | undefined;
  clock: Clock;
  random: () => number;
  log: Log;
}

/** A worker that has not started. Throws a TypeError that says what is wrong with its options. */
export function createWorker(context: WorkerContext, options: WorkerOptions = {}): Worker {
  checkOptions('a worker', options, OPTIONS);
  return new TaskWorker(context, options);
}

class TaskWorker implements Worker {
  readonly #context: WorkerContext;
  readonly #name: string;
  readonly #drainMs: number;
  readonly #expects: boolean;
  readonly #replace: boolean;
  readonly #streams: readonly TaskStream[];
  readonly #keepAlive = new KeepAlive();
  readonly #stopped = new AbortController();
  #creating: Promise<void> | undefined;
  #hasStarted = false;
  #fail: (error: unknown) => void = () => {};

  constructor(context: WorkerContext, options: WorkerOptions) {
    const { name = `${hostname()}-${process.pid}`, drain = '30s', topics = 'create' } = options;
    this.#context = context;
    this.#name = name;
    this.#drainMs = milliseconds('drain', drain);
    this.#expects = topics === 'expect';
    this.#replace = options.replace ?? false;
    const paths = options.only ?? context.registry.topics.map(({ path }) => path);
    if (paths.length === 0) throw new TypeError('a worker needs a task: none is registered');
    this.#streams = paths.map((path) => this.#stream(checkedPath(path), options));
  }

  get running(): number {
    return this.#streams.reduce((sum, stream) => sum + stream.running, 0);
  }

  async run(): Promise<void> {
    if (this.#hasStarted) throw new MalabarError('INVALID', 'the worker runs already');
    this.#hasStarted = true;
    this.#keepAlive.hold();
    try {
      const failed = new Promise<never>((_, reject) => {
        this.#fail = reject;
      });
      failed.catch(() => {});
      if (!this.#expects) await this.#createFirst();
      if (this.#stopped.signal.aborted) return;
      await Promise.race([failed, Promise.all(this.#streams.map((stream) => stream.run()))]);
    } catch (thrown) {
      await this.stop();
      throw toMalabarError(thrown);
    } finally {
      this.#keepAlive.release();
    }
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.all(this.#streams.map((stream) => stream.stop(this.#drainMs)));
    await this.#creating;
  }

  #stream(path: string, options: WorkerOptions): TaskStream {
    const { services, registry, password, clock, random, log } = this.#context;
    const [queue, topic] = path.split('/') as [string, string];
    const once = options.store && idempotent(options.store);
    return new TaskStream({
      path,
      password: password(queue, topic),
      name: this.#name,
      concurrency: checkedConcurrency(options.concurrency ?? 10),
      timeoutMs: milliseconds('timeout', options.timeout ?? '10m'),
      client: services.workers,
      run: (facts) => runHandler({ registry, once }, path, facts),
      onHung: (error) => this.#fail(error),
      onMissing: (error) => this.#missing(path, error),
      clock,
      random,
      log,
    });
  }

  /** The first time, somebody hears what is wrong; a keeper that is away is waited for meanwhile. */
  async #createFirst(): Promise<void> {
    try {
      await this.#create();
    } catch (thrown) {
      if (!toMalabarError(thrown).retryable) throw thrown;
      const { message: reason } = toMalabarError(thrown);
      this.#context.log.warn({ reason }, 'cannot look after the topics yet; serving what is there');
      this.#createLater();
    }
  }

  async #create(): Promise<void> {
    const { services, registry, random, log } = this.#context;
    const { topics } = registry;
    const name = this.#name;
    const replace = this.#replace;
    await createTopics({ service: services.config, topics, replace, name, random, log });
  }

  /** Until it is done, one try at a time. */
  #createLater(): void {
    this.#creating ??= this.#tryToCreate().finally(() => {
      this.#creating = undefined;
    });
  }

  async #tryToCreate(): Promise<void> {
    const { clock, random } = this.#context;
    const { signal } = this.#stopped;
    for (let tries = 0; !signal.aborted; tries++) {
      await sleep(clock, reconnectDelayMs(tries, random, KEEPER_MS_MIN, KEEPER_MS_MAX), signal);
      if (signal.aborted) return;
      try {
        return await this.#create();
      } catch (thrown) {
        if (!toMalabarError(thrown).retryable) return this.#fail(thrown);
      }
    }
  }

  /** A topic that somebody has taken away is made again, unless that is for others to do. */
  #missing(path: string, error: BusError): void {
    const { registry, log } = this.#context;
    const topics = registry.topics.filter((topic) => topic.path === path);
    if (this.#expects || topics.length === 0) {
      const todo = topics.length === 0 ? '' : `\n${byHand(topics, undefined)}`;
      throw new RegistrationError(error.code, `${error.message}${todo}`);
    }
    log.warn({ topic: path }, 'the topic is not there; making it');
    this.#createLater();
  }
}

function checkedPath(path: string): string {
  if (/^[^/]+\/[^/]+$/.test(path)) return path;
  throw new TypeError(`topic ${JSON.stringify(path)} is not queue/topic`);
}

function checkedConcurrency(concurrency: number): number {
  const isGood = Number.isInteger(concurrency) && concurrency >= 1;
  if (isGood && concurrency <= CONCURRENCY_MAX) return concurrency;
  throw new TypeError(`concurrency ${concurrency}: 1 to ${CONCURRENCY_MAX}`);
}
