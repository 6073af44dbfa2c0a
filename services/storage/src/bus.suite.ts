import { common, keeper, storage } from '@malabar/contracts';
import { joinFrames } from '@malabar/core';
import type { Logger } from '@malabar/telemetry';
import { FakeClock, logToMemory, type MemoryEntry } from '@malabar/testkit';
import { Browser } from './browse.js';
import type { Engine } from './engine.js';
import { replay } from './replay.js';
import { Dice } from './sim/dice.suite.js';
import { Disk, SimEngine } from './sim/disk.suite.js';
import { Schedule, settle } from './sim/schedule.suite.js';
import { Store, type StoreOptions } from './store.js';
import { Trimmer } from './trimmer.js';
import { verify } from './verify.js';

type Operation = 'commit' | 'get' | 'scan' | 'readLog' | 'nextLog';

/** A topic's document with the defaults that tests like. */
export const topic = (
  name: string,
  settings: Partial<keeper.TopicConfig> = {},
): keeper.TopicConfig =>
  keeper.TopicConfig.fromPartial({
    name,
    timeoutMs: 1_000,
    concurrency: 10,
    chunk: 1,
    start: keeper.TopicStart.NOW,
    retry: { attempts: 3, backoff: keeper.Backoff.FIXED, minMs: 100, maxMs: 100, crashesMax: 2 },
    ...settings,
  });

/** A queue's document. */
export const queue = (
  name: string,
  topics: keeper.TopicConfig[],
  settings: Partial<keeper.QueueConfig> = {},
): keeper.QueueConfig =>
  keeper.QueueConfig.fromPartial({ name, topics, retentionMs: 60_000, ...settings });

export interface BusOptions {
  queues?: keeper.QueueConfig[];
  disk?: Disk;
  clock?: FakeClock;
  store?: Partial<StoreOptions>;
}

/** A job as a test writes it: a body, or a body with options and whatever else a job has. */
export type TestJob =
  | string
  | [body: string, options: Partial<storage.JobOptions>, more?: Partial<common.Job>];

/** A dispatcher's stream that keeps what it gets. */
export interface Consumer {
  runs: common.JobRun[];
  bodies(): string[];
  /** Every lease that it got, in the order of the bodies. */
  leases(): number[];
  credits(credits: number): Promise<void>;
  unsubscribe(): Promise<void>;
  /** Says what became of a lease. */
  say(leaseId: number, kind: common.OutcomeKind, more?: Partial<common.Outcome>): Promise<void>;
  /** Says done to everything it got and forgets it. */
  done(): Promise<void>;
  close(): Promise<void>;
}

/** A store on a disk in memory, with a clock that stands still and reads that a test can hold back. */
export class TestBus {
  readonly disk: Disk;
  readonly clock: FakeClock;
  readonly store: Store;
  readonly browser: Browser;
  readonly trimmer: Trimmer;
  readonly log: MemoryEntry[];
  readonly #held = new Map<Operation, { skip: number; waiting: Array<() => void> }>();
  #requests = 0;

  constructor(private readonly options: BusOptions = {}) {
    this.disk = options.disk ?? new Disk();
    this.clock = options.clock ?? new FakeClock();
    const { log, entries } = logToMemory<Logger>();
    this.log = entries;
    this.store = new Store({
      engine: this.#engine(),
      clock: this.clock,
      random: () => 0.5,
      log,
      metrics: {
        committed: () => undefined,
        commitRefused: () => undefined,
        settled: () => undefined,
        staleLeases: () => undefined,
        leasesExpired: () => undefined,
        trimmed: () => undefined,
        batchEnded: () => undefined,
      },
      turn: setImmediate,
      settleDelayMs: 5,
      cacheBytes: 1024 * 1024,
      ...options.store,
    });
    this.browser = new Browser(this.store);
    this.trimmer = new Trimmer(this.store);
  }

  /** The store's engine: all but what is held answers at once. */
  #engine(): Engine {
    const schedule = new Schedule();
    schedule.hurried = true;
    const watcher = { applied: () => undefined, refused: () => undefined };
    const engine = new SimEngine(this.disk, schedule, new Dice(1), watcher);
    const gate = (operation: Operation): Promise<void> | undefined => {
      const held = this.#held.get(operation);
      if (held === undefined || held.skip-- > 0) return undefined;
      return new Promise((resolve) => held.waiting.push(resolve));
    };
    return {
      open: () => engine.open(),
      close: () => engine.close(),
      commit: async (batch) => {
        await gate('commit');
        return engine.commit(batch);
      },
      // A read that is held answers with what it saw when it began.
      get: async (key) => held(engine.get(key), gate('get')),
      scan: async (range) => held(engine.scan(range), gate('scan')),
      readLog: async (shard, seq) => held(engine.readLog(shard, seq), gate('readLog')),
      nextLog: async (shard, seq) => held(engine.nextLog(shard, seq), gate('nextLog')),
    };
  }

  /** Holds an operation of the engine back, after `skip` more of it; the result lets go of what waits. */
  hold(operation: Operation, skip = 0): () => Promise<void> {
    const held = { skip, waiting: [] as Array<() => void> };
    this.#held.set(operation, held);
    return async () => {
      this.#held.delete(operation);
      for (const go of held.waiting) go();
      await this.rest();
    };
  }

  async open(): Promise<this> {
    await this.store.open();
    if (this.options.queues) await this.configure(...this.options.queues);
    return this;
  }

  async configure(...queues: keeper.QueueConfig[]): Promise<void> {
    await this.store.configure({ release: 0, queues, schedules: [], sources: [] });
    await this.rest();
  }

  /** The process dies; another opens the same disk. */
  async reopen(queues = this.options.queues): Promise<TestBus> {
    return new TestBus({ ...this.options, queues, disk: this.disk, clock: this.clock }).open();
  }

  /** Lets everything run that waits for no time to pass. */
  async rest(): Promise<void> {
    for (let i = 0; i < 12; i++) await settle();
  }

  async pass(ms: number): Promise<void> {
    await this.clock.advance(ms);
    await this.rest();
  }

  append(queueName: string, ...jobs: TestJob[]): Promise<storage.AppendResponse> {
    const list = jobs.map((job) =>
      typeof job === 'string' ? ([job, undefined, {}] as const) : job,
    );
    const bytes = list.map(([body, , more]) =>
      common.Job.encode(common.Job.fromPartial({ body: Buffer.from(body), ...more })).finish(),
    );
    const request = storage.AppendRequest.fromPartial({
      requestId: ++this.#requests,
      queue: queueName,
      count: jobs.length,
      options: list.flatMap(([, options], index) => (options ? [{ index, ...options }] : [])),
    });
    request.jobs = joinFrames(bytes);
    return new Promise((reply) => this.store.append({ request, reply }));
  }

  async consumer(
    queueName: string,
    topicName: string,
    credits = 100,
    node = '',
  ): Promise<Consumer> {
    const { delivery } = this.store;
    const runs: common.JobRun[] = [];
    const session = delivery.openSession('test', node, (response) => runs.push(...response.runs));
    const request = (more: Partial<storage.DeliverRequest>): Promise<void> => {
      delivery.handle(session, storage.DeliverRequest.fromPartial(more));
      return this.rest();
    };
    const wish = { id: 1, queue: queueName, topic: topicName };
    await request({ subscribe: [{ ...wish, credits }] });
    const leases = (): number[] =>
      runs.flatMap(({ firstLeaseId, count }) =>
        Array.from({ length: count }, (_, i) => firstLeaseId + i),
      );
    return {
      runs,
      bodies: () => runs.flatMap(bodiesOf),
      leases,
      unsubscribe: () => request({ unsubscribe: [1] }),
      credits: (more) => request({ subscribe: [{ ...wish, credits: more }] }),
      say: (leaseId, kind, more) =>
        request({ outcomes: [common.Outcome.fromPartial({ leaseId, kind, ...more })] }),
      done: () => {
        const done = runs.splice(0).map(({ firstLeaseId, count }) => ({ firstLeaseId, count }));
        return request({ done });
      },
      close: () => {
        delivery.closeSession(session);
        return this.rest();
      },
    };
  }

  fetch(request: Partial<storage.FetchRequest>, signal = new AbortController().signal) {
    return this.store.delivery.fetch(storage.FetchRequest.fromPartial(request), signal);
  }

  /** Replays dead deliveries; resolves to how many. */
  async replay(queueName: string, topicName: string, ...jobIds: string[]): Promise<number> {
    let last = 0;
    const request = { queue: queueName, topic: topicName, jobIds, force: false };
    for await (const { replayed } of replay(this.store, this.browser, request)) last = replayed;
    await this.rest();
    return last;
  }

  counts(queueName: string, topicName: string) {
    return this.store.topic(queueName, topicName).counts();
  }

  async problems(): Promise<string[]> {
    let problems: string[] = [];
    for await (const findings of verify(this.store)) problems = findings.problems;
    return problems;
  }

  async trim(): Promise<void> {
    await this.trimmer.pass();
    await this.store.committer.flush();
  }

  async list(
    queueName: string,
    topicName: string,
    state: common.DeliveryState,
    limit = 3,
  ): Promise<storage.Delivery[]> {
    const found: storage.Delivery[] = [];
    let cursor = '';
    do {
      const page = await this.browser.list(
        storage.ListJobsRequest.fromPartial({
          queue: queueName,
          topic: topicName,
          state,
          limit,
          cursor,
          withBody: true,
        }),
      );
      found.push(...page.deliveries);
      cursor = page.nextCursor;
    } while (cursor !== '');
    return found;
  }
}

async function held<T>(answer: Promise<T>, gate: Promise<void> | undefined): Promise<T> {
  const value = await answer;
  await gate;
  return value;
}

/** The bodies of a run's jobs. */
export function bodiesOf(run: common.JobRun): string[] {
  const reader = run.jobs;
  const bodies: string[] = [];
  for (let at = 0; at < reader.length; ) {
    let length = 0;
    let shift = 0;
    let byte: number;
    do {
      byte = reader[at++] as number;
      length |= (byte & 0x7f) << shift;
      shift += 7;
    } while (byte >= 0x80);
    bodies.push(Buffer.from(common.Job.decode(reader.subarray(at, at + length)).body).toString());
    at += length;
  }
  return bodies;
}

/** An open store with these queues. */
export const openBus = (...queues: keeper.QueueConfig[]): Promise<TestBus> =>
  new TestBus({ queues }).open();
