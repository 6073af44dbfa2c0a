import type { dispatcher, keeper } from '@malabar/contracts';
import { BusError, type Clock, every } from '@malabar/core';
import type { Logger } from '@malabar/telemetry';
import type { DispatcherMetrics } from './metrics.js';
import { leftToOthers, type Placement } from './placement.js';
import type { Runner, RunnerContext, TopicSettings } from './runner.js';
import type { CommandRuns } from './runs/runs.js';
import type { StorageLink } from './storage-link.js';
import type { Target } from './target.js';
import { createCommandTarget } from './targets/command.js';
import { agreedSettings, createFastcgiTarget, type FastcgiPools } from './targets/fastcgi.js';
import { WorkerRunner } from './targets/grpc.js';
import { createHttpTarget } from './targets/http.js';
import { createRabbitmqTarget } from './targets/rabbitmq.js';
import { TopicRunner } from './topic-runner.js';

/** How often leases and deadlines are looked at. */
const TICK_MS = 250;

export interface DispatcherOptions {
  link: StorageLink;
  clock: Clock;
  random: () => number;
  log: Logger;
  metrics: DispatcherMetrics;
  pools: FastcgiPools;
  runs: CommandRuns;
  placement: Placement;
  /** PATH and HOME of this process, for commands. */
  environment: Readonly<Record<string, string>>;
  /** Leases to hold waiting for each one that may run. */
  prefetch: number;
  /** How long a drain waits for running attempts. */
  drainMs: number;
  /** Runs its argument after the events that wait now: setImmediate. */
  turn: (run: () => void) => void;
}

/** A topic that is served, and from what its target was made. */
interface Served {
  runner: TopicRunner | WorkerRunner;
  targetKey: string;
}

/** One topic of a release. */
interface Wanted {
  path: string;
  settings: TopicSettings;
}

/** The way out: one runner for each topic that is not fetched, changed one by one by the configuration. */
export class Dispatcher {
  readonly #served = new Map<string, Served>();
  /** No longer served, but with attempts that still run. */
  readonly #retired = new Set<Runner>();
  readonly #closing = new Set<Promise<void>>();
  #config: keeper.BusConfig | undefined;
  /** Commands of other dispatchers. */
  #elsewhere: dispatcher.TargetStatus[] = [];
  /** Why it takes nothing now, if it was drained by a person. */
  #drained = '';
  #onIdle: (() => void) | undefined;
  readonly #stopTicking: () => void;
  #draining = false;

  constructor(private readonly options: DispatcherOptions) {
    this.#stopTicking = every(options.clock, TICK_MS, () => this.#tick());
  }

  /** Takes over a release. Topics that did not change are not disturbed. */
  configure(config: keeper.BusConfig): void {
    if (this.#draining) return;
    this.#config = config;
    const { wanted, elsewhere } = this.#sort(config);
    this.#elsewhere = elsewhere;
    const paths = new Set(wanted.map(({ path }) => path));
    for (const path of [...this.#served.keys()]) if (!paths.has(path)) this.#remove(path);
    for (const one of wanted) this.#apply(one);
  }

  /** The runner that a worker of `queue/topic` joins. Throws UNKNOWN_TOPIC, INVALID or UNAVAILABLE. */
  workers(path: string): WorkerRunner {
    if (this.#config === undefined || this.#draining)
      throw new BusError('UNAVAILABLE', 'the dispatcher takes no workers now');
    const runner = this.#served.get(path)?.runner;
    if (runner === undefined)
      throw new BusError('UNKNOWN_TOPIC', `topic '${path}' is not delivered here`);
    if (runner instanceof WorkerRunner) return runner;
    throw new BusError(
      'INVALID',
      `topic '${path}' goes to ${runner.status().kind}, not to workers`,
    );
  }

  status(): dispatcher.TargetStatus[] {
    return [...[...this.#served.values()].map(({ runner }) => runner.status()), ...this.#elsewhere];
  }

  /** Why it takes nothing, if a person wants it so or its process ends. */
  get drained(): string {
    return this.#draining ? 'its process ends' : this.#drained;
  }

  /** Takes no more of any topic until `resume`; what runs goes on. Returns how many deliveries do. */
  drainFor(reason: string): number {
    this.#hold(reason);
    const runners = [...[...this.#served.values()].map(({ runner }) => runner), ...this.#retired];
    return runners.reduce((sum, { running }) => sum + running, 0);
  }

  resume(): void {
    this.#hold('');
  }

  notReady(): string[] {
    if (this.#config === undefined) return ['no configuration from the keeper yet'];
    return this.options.link.connected ? [] : ['not connected to storage'];
  }

  /** For the end of the process: takes no more, waits up to `drainMs` for what runs, gives the rest back. */
  async drain(): Promise<void> {
    this.#draining = true;
    for (const path of [...this.#served.keys()]) this.#remove(path);
    await this.#idle(this.options.drainMs);
    await Promise.all([...this.#retired].map((runner) => runner.abandon()));
  }

  /** Ends everything at once; what still runs is given back. */
  async stop(): Promise<void> {
    this.#draining = true;
    this.#stopTicking();
    for (const path of [...this.#served.keys()]) this.#remove(path);
    await Promise.all([...this.#retired].map((runner) => runner.abandon()));
    for (const runner of [...this.#retired]) this.#end(runner);
    await Promise.all(this.#closing);
    this.options.runs.close();
  }

  #hold(reason: string): void {
    this.#drained = reason;
    if (this.#config !== undefined) this.configure(this.#config);
  }

  /** The topics that are served here, and those whose commands are for other dispatchers. */
  #sort(config: keeper.BusConfig) {
    const elsewhere: dispatcher.TargetStatus[] = [];
    const wanted = wantedTopics(config, this.#drained).filter(({ settings: { queue, config } }) => {
      if (config.target?.$case !== 'command') return true;
      const { value } = config.target;
      const lacks = this.options.placement.lacks(value);
      if (lacks !== '') elsewhere.push(leftToOthers(queue, config, value, lacks));
      return lacks === '';
    });
    return { wanted, elsewhere };
  }

  #apply({ path, settings }: Wanted): void {
    try {
      const known = this.#served.get(path);
      if (known !== undefined && this.#change(known, settings)) return;
      if (known !== undefined) this.#remove(path);
      this.#add(path, settings);
    } catch (error) {
      this.options.log.error({ err: error, topic: path }, 'cannot serve the topic');
    }
  }

  /** False if the topic needs another kind of runner. */
  #change(served: Served, settings: TopicSettings): boolean {
    const { runner } = served;
    const isGrpc = settings.config.target?.$case === 'grpc';
    if (runner instanceof WorkerRunner !== isGrpc) return false;
    const targetKey = keyOf(settings.config);
    if (runner instanceof TopicRunner && targetKey !== served.targetKey) {
      runner.retarget(this.#target(settings.config));
      served.targetKey = targetKey;
    }
    runner.reconfigure(settings);
    return true;
  }

  #add(path: string, settings: TopicSettings): void {
    const { metrics, turn } = this.options;
    const context: RunnerContext = {
      ...this.options,
      metrics: metrics.topic(settings.queue, settings.config.name),
    };
    const onIdle = (): void => this.#idled(runner);
    const runner =
      settings.config.target?.$case === 'grpc'
        ? new WorkerRunner({ settings, context, onIdle, turn })
        : new TopicRunner({ settings, context, onIdle, target: this.#target(settings.config) });
    this.#served.set(path, { runner, targetKey: keyOf(settings.config) });
  }

  #target(config: keeper.TopicConfig): Target {
    const { clock, pools } = this.options;
    const { target } = config;
    if (target?.$case === 'command')
      return createCommandTarget({ ...this.options, target: target.value });
    if (target?.$case === 'fastcgi')
      return createFastcgiTarget({ target: target.value, pools, clock });
    if (target?.$case === 'http') return createHttpTarget({ target: target.value, clock });
    if (target?.$case === 'rabbitmq') {
      const { node } = this.options.placement;
      return createRabbitmqTarget({ ...this.options, target: target.value, node });
    }
    throw new BusError('UNSUPPORTED', `topic '${config.name}' has a target unknown to this build`);
  }

  #remove(path: string): void {
    const served = this.#served.get(path);
    if (served === undefined) return;
    this.#served.delete(path);
    const { runner } = served;
    this.#retired.add(runner);
    runner.retire();
    if (runner.running === 0) this.#idled(runner);
  }

  #idled(runner: Runner): void {
    if (this.#retired.has(runner)) this.#end(runner);
  }

  #end(runner: Runner): void {
    this.#retired.delete(runner);
    const closing = runner
      .close()
      .catch((error) => this.options.log.warn({ err: error }, 'closing a target failed'))
      .finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
    if (this.#retired.size === 0) this.#onIdle?.();
  }

  /** Resolves when no attempt of a retired runner runs any more, at the latest after `waitMs`. */
  #idle(waitMs: number): Promise<void> {
    if (this.#retired.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.options.clock.after(waitMs, resolve);
      this.#onIdle = () => {
        cancel();
        resolve();
      };
    });
  }

  #tick(): void {
    const now = this.options.clock.now();
    for (const { runner } of this.#served.values()) runner.tick(now);
    for (const runner of this.#retired) runner.tick(now);
  }
}

function keyOf(config: keeper.TopicConfig): string {
  return JSON.stringify(config.target);
}

function wantedTopics(config: keeper.BusConfig, drained: string): Wanted[] {
  const wanted: Wanted[] = [];
  const targets: keeper.FastcgiTarget[] = [];
  for (const queue of config.queues)
    for (const topic of queue.topics)
      if (topic.target?.$case === 'fastcgi') targets.push(topic.target.value);
  const agreed = agreedSettings(targets);
  for (const queue of config.queues)
    for (const topic of queue.topics) {
      if (topic.target === undefined || topic.target.$case === 'pull') continue;
      const settings = {
        queue: queue.name,
        config: agreeing(topic, agreed),
        hold: topic.paused ? 'paused' : drained,
        passwordHash: topic.passwordHash || queue.passwordHash,
      };
      wanted.push({ path: `${queue.name}/${topic.name}`, settings });
    }
  return wanted;
}

function agreeing(
  topic: keeper.TopicConfig,
  agreed: ReturnType<typeof agreedSettings>,
): keeper.TopicConfig {
  const { target } = topic;
  if (target?.$case !== 'fastcgi') return topic;
  const value = { ...target.value, ...agreed.get(target.value.address) };
  return { ...topic, target: { $case: 'fastcgi', value } };
}
