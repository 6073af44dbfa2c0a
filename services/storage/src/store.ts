import { common, keeper, records, storage } from '@malabar/contracts';
import { BusError, type Clock, jobId } from '@malabar/core';
import type { Logger } from '@malabar/telemetry';
import { Committer } from './committer.js';
import { BatchTable } from './core/batch-table.js';
import { after, nodeIn, readU16, storeKey, topicKey, topicPrefix } from './core/keys.js';
import type { Lease, LeaseTable } from './core/lease.js';
import { decodeRecord } from './core/log-record.js';
import { isWanted } from './core/result.js';
import { type AppendCall, Shard, type ShardLayout, type StagedAppend } from './core/shard.js';
import type { Topic } from './core/topic.js';
import { type Page, WriteBuffer } from './core/write-buffer.js';
import { Delivery } from './delivery.js';
import type { Engine, KeyRange } from './engine.js';
import { Followers } from './followers.js';
import { holdWaiting } from './hold-waiting.js';
import { LogReader } from './log-reader.js';
import type { StoreMetrics } from './metrics.js';
import { Results } from './results.js';

/** The layout of keys and records that this build writes. */
const FORMAT = 1;
const SHARDS_MAX = 65_536;
/** Lease ids of one owner: its epoch above, a count of this many below. */
const LEASES_PER_EPOCH = 2 ** 32;

export interface StoreOptions {
  engine: Engine;
  clock: Clock;
  random: () => number;
  log: Logger;
  metrics: StoreMetrics;
  /** Runs its argument after the events that wait now: setImmediate. */
  turn: (run: () => void) => void;
  settleDelayMs: number;
  /** Jobs kept in memory for their first readers. */
  cacheBytes: number;
  /** Another owner has taken the engine. */
  onFenced?: (error: Error) => void;
  layout?: Partial<ShardLayout>;
}

/**
 * The shards of one engine: binds the pure core to a clock and a disk. Everything that changes state
 * happens synchronously here or in the core; only reads and commits wait.
 */
export class Store {
  readonly shards = new Map<string, Shard>();
  readonly writes = new WriteBuffer();
  readonly reader: LogReader;
  readonly delivery: Delivery;
  readonly committer: Committer;
  readonly leases: LeaseTable = { nextId: 0, leases: new Map() };
  readonly batches = new BatchTable(this.writes, (shard) => this.shardById(shard)?.queue ?? '');
  number = 0;
  /** What ids of batches end with. */
  #nextBatch = 0;
  configured = false;
  #nextShard = 0;
  #fenced: Error | undefined;

  constructor(readonly options: StoreOptions) {
    this.reader = new LogReader(options.engine, options.cacheBytes);
    this.delivery = new Delivery(this);
    this.committer = new Committer({
      ...options,
      writes: this.writes,
      results: new Results(this),
      followers: new Followers(this),
      shards: () => this.shards.values(),
      hold: (shard, holder) => holdWaiting(this, shard, holder),
      onAppended: (staged) => this.#appended(staged),
      onCommitted: (recovered) =>
        recovered ? this.delivery.pumpAll() : this.delivery.pumpTouched(),
      onFenced: (error) => this.#lost(error),
    });
  }

  /** Takes ownership of the engine and loads what it holds. Throws CORRUPT if that makes no sense. */
  async open(): Promise<void> {
    const epoch = await this.options.engine.open();
    this.leases.nextId = epoch * LEASES_PER_EPOCH;
    this.#nextBatch = (epoch % 2 ** 16) * 2 ** 32;
    await this.#identify();
    for (const [key, value] of await this.scanAll('Q', after('Q')))
      await this.#load(readU16(key, 1), records.ShardRecord.decode(value));
    for (const [, value] of await this.scanAll('B', after('B')))
      this.batches.load(records.BatchRecord.decode(value));
  }

  /** Makes durable what is not yet, then closes the engine. Leases end; their jobs are ready at the next start. */
  async close(): Promise<void> {
    this.delivery.close();
    await this.committer.close();
    await this.options.engine.close();
  }

  /** Why the store cannot serve; empty if it can. */
  notReady(): string[] {
    if (this.#fenced) return [this.#fenced.message];
    if (!this.configured) return ['no configuration from the keeper yet'];
    return this.committer.failing ? ['the last commit was refused; see the log'] : [];
  }

  /** Takes over a release of the configuration; queues that did not change are not disturbed. */
  async configure(config: keeper.BusConfig): Promise<void> {
    await this.committer.change(() => {
      const names = new Set(config.queues.map((queue) => queue.name));
      for (const shard of this.shards.values()) if (!names.has(shard.queue)) shard.detach();
      for (const queue of config.queues) this.#shardFor(queue.name).configure(queue);
      this.configured = true;
    });
    this.delivery.configured();
  }

  append(call: AppendCall): void {
    try {
      this.committer.append(this.shard(call.request.queue), call);
    } catch (error) {
      const { code, message } = error as BusError;
      const { requestId } = call.request;
      call.reply(storage.AppendResponse.fromPartial({ requestId, fault: { code, message } }));
    }
  }

  /** The shard of a queue. Throws UNKNOWN_QUEUE, or UNAVAILABLE before the first configuration. */
  shard(queue: string): Shard {
    if (this.#fenced) throw this.#fenced;
    if (!this.configured)
      throw new BusError('UNAVAILABLE', 'storage has no configuration from the keeper yet');
    const shard = this.shards.get(queue);
    if (shard === undefined) throw new BusError('UNKNOWN_QUEUE', `queue '${queue}' does not exist`);
    return shard;
  }

  /** A topic. Throws UNKNOWN_QUEUE or UNKNOWN_TOPIC. */
  topic(queue: string, name: string): Topic {
    const topic = this.shard(queue).topics.get(name);
    if (topic === undefined)
      throw new BusError('UNKNOWN_TOPIC', `topic '${queue}/${name}' does not exist`);
    return topic;
  }

  shardById(id: number): Shard | undefined {
    for (const shard of this.shards.values()) if (shard.id === id) return shard;
    return undefined;
  }

  /**
   * Ends or extends leases; returns the ids that were not current, whose outcomes changed nothing.
   * The changes are durable after the next commit.
   */
  settle(outcomes: readonly common.Outcome[]): number[] {
    const stale: number[] = [];
    const now = this.options.clock.now();
    for (const outcome of outcomes) {
      const lease = this.currentLease(outcome.leaseId);
      if (lease === undefined) stale.push(outcome.leaseId);
      else this.settleLease(lease, outcome, now);
    }
    if (stale.length > 0) this.options.metrics.staleLeases(stale.length);
    this.committer.dirty();
    return stale;
  }

  settleLease(lease: Lease, outcome: common.Outcome, now: number): void {
    const { topic } = lease.grant;
    topic.settle(lease, outcome, now, this.options.random);
    this.options.metrics.settled(common.OutcomeKind[outcome.kind] ?? 'UNKNOWN', 1);
    this.delivery.touch(topic);
  }

  /** Says done to consecutive leases; stale ones among them change nothing. */
  settleDone(range: storage.LeaseRange): void {
    const end = range.firstLeaseId + range.count;
    let stale = 0;
    for (let id = range.firstLeaseId; id < end; ) {
      const lease = this.currentLease(id);
      if (lease === undefined) {
        stale++;
        id++;
      } else id += this.#settleRun(lease, end);
    }
    if (stale > 0) this.options.metrics.staleLeases(stale);
    this.options.metrics.settled('DONE', range.count - stale);
    this.committer.dirty();
  }

  /** The fence: only a lease that is held right now can be ended. */
  currentLease(id: number): Lease | undefined {
    return this.leases.leases.get(id);
  }

  /** Reads state records with all writes that are still under way laid over them. */
  async scan(range: KeyRange): Promise<Page> {
    const overlay = this.writes.overlay(range);
    return overlay(await this.options.engine.scan(range));
  }

  /** The same for readers that must not be overtaken: nothing changes before `use` has the page. */
  async scanFor(range: KeyRange, use: (page: Page) => void): Promise<void> {
    const overlay = this.writes.overlay(range);
    use(overlay(await this.options.engine.scan(range)));
  }

  /**
   * Reads several short stretches whole, as they are in the moment in which `use` is called with them:
   * for decisions that must not be overtaken.
   */
  async scanAtOnce(
    stretches: ReadonlyArray<{ start: string; end: string }>,
    use: (found: Page['records'][]) => void,
  ): Promise<void> {
    const ranges = stretches.map((stretch) => ({ ...stretch, limit: Number.MAX_SAFE_INTEGER }));
    const overlays = ranges.map((range) => this.writes.overlay(range));
    const found = await Promise.all(ranges.map((range) => this.options.engine.scan(range)));
    use(found.map((page, i) => (overlays[i] as (typeof overlays)[number])(page).records));
  }

  /** The same for single records; undefined for one that is not there. */
  getAtOnce(
    keys: readonly string[],
    use: (found: Array<Uint8Array | undefined>) => void,
  ): Promise<void> {
    const stretches = keys.map((key) => ({ start: key, end: `${key}\0` }));
    return this.scanAtOnce(stretches, (found) => use(found.map(([record]) => record?.[1])));
  }

  /** The records of a stretch of any length, page by page. */
  async *pages(start: string, end: string, limit = 1000): AsyncGenerator<Page['records']> {
    let from: string | undefined = start;
    while (from !== undefined) {
      const page: Page = await this.scan({ start: from, end, limit });
      from = page.next;
      yield page.records;
    }
  }

  /** All records of a stretch that is known to be short. */
  async scanAll(start: string, end: string): Promise<Page['records']> {
    const all: Page['records'] = [];
    for await (const page of this.pages(start, end)) all.push(...page);
    return all;
  }

  /** A UUIDv7, unlike any before. */
  newBatchId(now: number): string {
    const { random } = this.options;
    return jobId(
      now,
      Math.floor(random() * 1024),
      Math.floor(random() * 65_536),
      this.#nextBatch++,
    );
  }

  /** One state record, newest version. */
  async get(key: string): Promise<Uint8Array | undefined> {
    const page = await this.scan({ start: key, end: `${key}\0`, limit: 2 });
    return page.records[0]?.[1];
  }

  /** Ends the leases of one run from `lease` on, up to lease id `end`; returns how many. */
  #settleRun(lease: Lease, end: number): number {
    const { grant } = lease;
    const { topic } = grant;
    this.delivery.touch(topic);
    if (grant.entry !== undefined || isWanted(topic, keeper.ResultStatus.DONE)) {
      const done = common.Outcome.fromPartial({ kind: common.OutcomeKind.DONE });
      topic.settle(lease, done, this.options.clock.now(), this.options.random);
      return 1;
    }
    return topic.doneRun(lease, end);
  }

  #appended(staged: StagedAppend): void {
    const { shard } = staged;
    shard.apply(staged, this.options.clock.now());
    for (const batch of staged.batches) this.reader.add(batch);
    for (const topic of shard.topics.values()) this.delivery.touch(topic);
    const ready = shard.ready;
    for (const [call, answer] of staged.answers) {
      answer.ready = ready;
      call.reply(answer);
    }
  }

  async #identify(): Promise<void> {
    const bytes = await this.get(storeKey());
    if (bytes !== undefined) {
      const record = records.StoreRecord.decode(bytes);
      if (record.format !== FORMAT)
        throw new BusError(
          'CORRUPT',
          `the store has format ${record.format}; this build knows format ${FORMAT}`,
        );
      this.number = record.store;
      return;
    }
    this.number = Math.floor(this.options.random() * 1024);
    const record = { store: this.number, format: FORMAT };
    this.writes.put(storeKey(), records.StoreRecord.encode(record).finish());
    await this.committer.flush();
  }

  async #load(id: number, record: records.ShardRecord): Promise<void> {
    const shard = this.#newShard(id, record);
    const last = await this.options.engine.readLog(id, Number.MAX_SAFE_INTEGER);
    if (last !== undefined) {
      const batch = decodeRecord(last);
      shard.tail = Math.max(shard.tail, batch.endSeq);
      shard.acceptedAtMs = Math.max(shard.acceptedAtMs, batch.acceptedAtMs);
    }
    for (const { id: topicId, name } of record.topics) {
      const bytes = await this.get(topicKey(id, topicId));
      if (bytes === undefined)
        throw new BusError('CORRUPT', `the state of topic '${record.queue}/${name}' is missing`);
      // Until the configuration arrives the topic rests with what it has.
      const config = DORMANT(name);
      const topic = records.TopicRecord.decode(bytes);
      const nodes = topic.entries === 0 ? undefined : await this.#nodesOf(id, topicId);
      shard.addTopic(topicId, config, topic, nodes);
    }
  }

  /** How many entries of a topic are for one node only, by node. */
  async #nodesOf(shard: number, topic: number): Promise<Map<string, number>> {
    const counts = new Map<string, number>();
    const prefix = topicPrefix('N', shard, topic);
    for await (const page of this.pages(prefix, after(prefix)))
      for (const [key] of page) counts.set(nodeIn(key), (counts.get(nodeIn(key)) ?? 0) + 1);
    return counts;
  }

  #shardFor(queue: string): Shard {
    const known = this.shards.get(queue);
    if (known !== undefined) return known;
    if (this.#nextShard >= SHARDS_MAX)
      throw new BusError('INVALID', `a store holds at most ${SHARDS_MAX} queues`);
    return this.#newShard(this.#nextShard, records.ShardRecord.fromPartial({ queue }));
  }

  #newShard(id: number, record: records.ShardRecord): Shard {
    const { number, leases, writes, batches } = this;
    const { layout } = this.options;
    const shard = new Shard(id, record.queue, record, number, leases, writes, layout, batches);
    this.shards.set(record.queue, shard);
    this.#nextShard = Math.max(this.#nextShard, id + 1);
    return shard;
  }

  #lost(error: Error): void {
    this.#fenced = error;
    this.delivery.close();
    this.options.onFenced?.(error);
  }
}

/** Settings of a topic that is known from the engine but not, or not yet, from the configuration. */
const DORMANT = (name: string): keeper.TopicConfig =>
  ({
    name,
    paused: true,
    timeoutMs: 0,
    delayMs: 0,
    concurrency: 0,
    chunk: 1,
  }) as keeper.TopicConfig;
