import { common, type keeper, type storage } from '@malabar/contracts';
import { frameBody, frameOffsets } from '@malabar/core';
import type { Logger } from '@malabar/telemetry';
import { Browser } from '../browse.js';
import { acceptedAt, type Lease } from '../core/lease.js';
import { rollRecords } from '../core/log-record.js';
import type { ShardLayout } from '../core/shard.js';
import type { Engine, WriteBatch } from '../engine.js';
import type { Session } from '../sessions.js';
import { Store } from '../store.js';
import { Trimmer } from '../trimmer.js';
import type { Dice } from './dice.suite.js';
import { type Disk, SimEngine } from './disk.suite.js';
import type { Model } from './model.suite.js';
import { Schedule, SimClock, type Time } from './schedule.suite.js';
import { type ModelLease, RANDOM } from './words.suite.js';

/** A wrong store: what a mutant changes in a life of it. */
export interface Sabotage {
  /** Between the store and the disk. */
  engine?: (engine: Engine, schedule: Schedule) => Engine;
  store?: (store: Store) => void;
  roll?: ShardLayout['roll'];
}

/** A consumer that fetches. */
export interface FetchCall {
  name: string;
  request: storage.FetchRequest;
  abort: AbortController;
  answered: boolean;
  /** Lease ids that it has heard of and may still settle. */
  held: number[];
}

/** A dispatcher's stream. */
export interface Stream {
  session: Session;
  name: string;
  node: string;
  open: boolean;
  held: number[];
  credits: Map<number, number>;
  /** Queue and topic of each subscription. */
  names: Map<number, [queue: string, topic: string]>;
}

const quietMetrics = {
  committed: () => undefined,
  commitRefused: () => undefined,
  settled: () => undefined,
  staleLeases: () => undefined,
  leasesExpired: () => undefined,
  trimmed: () => undefined,
  batchEnded: () => undefined,
};

/** Leases as the store keeps them, with the model listening. */
class WatchedLeases extends Map<number, Lease> {
  constructor(private readonly life: Life) {
    super();
  }

  override set(id: number, lease: Lease): this {
    this.life?.granted(lease);
    return super.set(id, lease);
  }

  override delete(id: number): boolean {
    const known = super.delete(id);
    if (known) this.life.ended(id);
    return known;
  }
}

/** One life of a store over a disk: from its opening to its crash. */
export class Life {
  readonly schedule = new Schedule();
  readonly clock: SimClock;
  readonly store: Store;
  readonly browser: Browser;
  readonly trimmer: Trimmer;
  readonly streams: Stream[] = [];
  readonly fetches = new Map<string, FetchCall>();
  readonly #engine: SimEngine;
  /** The owner's place was taken; nothing that this store says counts any more. */
  zombie = false;
  trimming = false;
  readonly #openedAtMs: number;
  /** When somebody of a node last left a topic. */
  readonly #leftAtMs = new Map<string, number>();

  constructor(
    readonly model: Model,
    readonly disk: Disk,
    time: Time,
    readonly dice: Dice,
    sabotage: Sabotage = {},
  ) {
    this.clock = new SimClock(time);
    this.#openedAtMs = time.now;
    this.#engine = new SimEngine(disk, this.schedule, dice, {
      applied: () => this.#hear(() => model.applied()),
      refused: () => this.#hear(() => model.refused()),
    });
    const engine = sabotage.engine?.(this.#engine, this.schedule) ?? this.#engine;
    const recordBytes = dice.pick([30, 100, 1_000_000]);
    this.store = new Store({
      engine: this.#watched(engine),
      clock: this.clock,
      random: () => RANDOM,
      log: this.#log() as Logger,
      metrics: quietMetrics,
      turn: (run) => this.schedule.add(run),
      settleDelayMs: 5,
      cacheBytes: dice.pick([0, 60, 1_000_000]),
      layout: {
        keyWindow: dice.pick([undefined, { keys: 4, entries: 2 }]),
        roll: sabotage.roll ?? ((parts) => rollRecords(parts, recordBytes)),
        stretchesMax: dice.pick([0, 2, 1_000]),
      },
    });
    this.browser = new Browser(this.store);
    this.trimmer = new Trimmer(this.store);
    (this.store.leases as { leases: Map<number, Lease> }).leases = new WatchedLeases(this);
    this.#watchWrites();
    sabotage.store?.(this.store);
  }

  /** The process dies. */
  die(): void {
    this.#engine.die();
    this.zombie = true;
    this.schedule.clear();
  }

  /** Runs what fell due. */
  fireTimers(): void {
    this.model.inTimers = !this.zombie;
    this.clock.fire();
    this.model.inTimers = false;
  }

  #hear(tell: () => void): void {
    if (!this.zombie) tell();
  }

  #log(): Partial<Logger> {
    const error = (_fields: unknown, message = ''): void => {
      if (!message.startsWith('commit refused'))
        this.#hear(() => this.model.fail(`the store logged: ${message}`));
    };
    return { error, warn: () => undefined, info: () => undefined } as unknown as Partial<Logger>;
  }

  #watched(engine: Engine): Engine {
    return {
      open: () => engine.open(),
      get: (key) => engine.get(key),
      scan: (range) => engine.scan(range),
      readLog: (shard, seq) => engine.readLog(shard, seq),
      nextLog: (shard, seq) => engine.nextLog(shard, seq),
      close: () => engine.close(),
      commit: (batch: WriteBatch) => {
        this.#hear(() => this.model.sealed(batch));
        return engine.commit(batch);
      },
    };
  }

  /** Deliveries are replayed and discarded in the moment in which their records are written. */
  #watchWrites(): void {
    const { writes } = this.store;
    const put = writes.put.bind(writes);
    const remove = writes.delete.bind(writes);
    // Only the discarding of a delivery writes an X, and only that and its replay take a D away.
    writes.put = (key, value) => {
      if (key[0] === 'X') this.#hear(() => this.model.discarded(key, value));
      if (key[0] === 'S') this.#hear(() => this.model.scheduled(key, value));
      put(key, value);
    };
    writes.delete = (key) => {
      if (key[0] === 'D') this.#hear(() => this.model.replayed(key));
      remove(key);
    };
    this.model.topicName = (queue, id) => {
      for (const topic of this.store.shards.get(queue)?.topics.values() ?? [])
        if (topic.id === id) return topic.name;
      return undefined;
    };
  }

  granted(lease: Lease): void {
    this.#hear(() => {
      const { topic, holder, attempt } = lease.grant;
      const { deadlineMs } = lease;
      const place = { shard: topic.shard, topic: topic.name, seq: lease.seq };
      const call = this.fetches.get(holder.name);
      const name = holderName(holder);
      const askedMs = call?.request.leaseMs ?? 0;
      const { grant, seq } = lease;
      const ageKnown = (): boolean =>
        (grant.entry?.record.acceptedAtMs || acceptedAt(grant, seq)) > 0;
      const { fetching, node } = holder;
      const terms = { holder: name, node, fetching, askedMs, attempt, deadlineMs, ageKnown };
      this.model.grant(lease.id, place, terms);
      if (!holder.fetching) this.#checkCredits(name, holder as { id?: number });
    });
  }

  #checkCredits(holder: string, { id = 0 }: { id?: number }): undefined {
    const stream = this.streams.find(({ name }) => holder.startsWith(`${name}/`));
    if (stream === undefined || !stream.open)
      return this.model.fail(`${holder} is gone, but leases`);
    let leased = 0;
    for (const lease of this.model.live.values()) if (lease.holder === holder) leased++;
    const credits = stream.credits.get(id) ?? 0;
    if (leased > credits) this.model.fail(`${holder} has ${leased} leases and ${credits} credits`);
  }

  ended(id: number): void {
    this.#hear(() =>
      this.model.ended(id, (lease) => {
        if (this.model.inTimers) return this.#expired(lease);
        this.model.saw('fetched leases ended by the store');
        const call = this.fetches.get(lease.holder);
        if (call?.request.settle) return common.OutcomeKind.DONE;
        // A fetching consumer that stopped waiting gives back what comes too late.
        return call?.answered || call?.abort.signal.aborted
          ? common.OutcomeKind.RELEASE
          : undefined;
      }),
    );
  }

  #expired(lease: ModelLease): common.OutcomeKind | undefined {
    this.model.saw('leases expired');
    return lease.deadlineMs <= this.clock.now() ? common.OutcomeKind.RETRY : undefined;
  }

  // --- consumers ----------------------------------------------------------------------------------

  openStream(name: string, node = ''): Stream {
    const maps = { credits: new Map(), names: new Map() };
    const stream = { name, node, open: true, held: [], ...maps } as unknown as Stream;
    stream.session = this.store.delivery.openSession(name, node, (response) => {
      if (stream.open)
        for (const run of response.runs)
          this.#told(stream.held, `${name}/${run.subscriptionId}`, run);
    });
    this.streams.push(stream);
    return stream;
  }

  /** No more of this subscription's topic. */
  unsubscribed(stream: Stream, id: number): void {
    const [queue, topic] = stream.names.get(id) ?? [];
    stream.credits.set(id, 0);
    this.#leftAtMs.set(`${stream.node} ${queue}/${topic}`, this.clock.now());
  }

  /** Since when nobody of a node is subscribed to a topic, at the earliest; undefined if somebody is. */
  awaySinceMs(node: string, queue: string, topic: string): number | undefined {
    const path = `${queue}/${topic}`;
    const isThere = ({ open, node: at, names, credits }: Stream): boolean =>
      open &&
      at === node &&
      [...names].some(([id, name]) => name.join('/') === path && credits.get(id) !== 0);
    if (this.streams.some(isThere)) return undefined;
    return Math.max(this.#openedAtMs, this.#leftAtMs.get(`${node} ${path}`) ?? 0);
  }

  closeStream(stream: Stream): void {
    for (const id of stream.credits.keys())
      if (stream.credits.get(id) !== 0) this.unsubscribed(stream, id);
    stream.open = false;
    for (const id of stream.credits.keys()) this.model.released(`${stream.name}/${id}`);
    this.store.delivery.closeSession(stream.session);
  }

  fetch(request: storage.FetchRequest): FetchCall {
    const abort = new AbortController();
    const call: FetchCall = { name: request.consumer, request, abort, answered: false, held: [] };
    this.fetches.set(call.name, call);
    void this.store.delivery.fetch(request, abort.signal).then(
      (runs) => {
        call.answered = true;
        for (const run of runs) this.#told(call.held, call.name, run);
      },
      () => {
        call.answered = true;
      },
    );
    return call;
  }

  /** A consumer gets a run: it must be what was granted to it and hold what was appended. */
  #told(held: number[], holder: string, run: common.JobRun): undefined {
    if (this.zombie) return;
    const { model } = this;
    const offsets = frameOffsets(run.jobs) ?? [];
    if (offsets.length !== run.count + 1) model.fail(`a run of ${run.count} holds other jobs`);
    for (let i = 0; i < run.count; i++) {
      const lease = model.granted.get(run.firstLeaseId + i);
      if (lease === undefined) return model.fail(`${holder} is told of a lease that is none`);
      const { job } = lease.delivery;
      const frame = frameBody(run.jobs, offsets[i] as number, offsets[i + 1] as number);
      const body = Buffer.from(common.Job.decode(frame).body).toString();
      if (lease.holder !== holder) model.fail(`${holder} is told of a lease of ${lease.holder}`);
      if (lease.told) model.fail(`${holder} is told twice of lease ${lease.id}`);
      if (job.seq !== run.firstSeq + i || job.queue.shard !== run.shard)
        model.fail(`${holder} is told another job than it has leased`);
      if (body !== job.body) model.fail(`${holder} gets '${body}' instead of '${job.body}'`);
      if (run.acceptedAtMs !== job.acceptedAtMs) model.fail(`${holder} gets a wrong time`);
      lease.told = true;
      held.push(lease.id);
    }
  }

  // --- configuration ------------------------------------------------------------------------------

  configure(config: keeper.BusConfig): void {
    this.model.configs.push(config);
    void this.store.configure(config);
  }
}

function holderName(holder: { name: string; fetching: boolean; id?: number }): string {
  return holder.fetching ? holder.name : `${holder.name}/${holder.id}`;
}
