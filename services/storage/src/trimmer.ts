import { records } from '@malabar/contracts';
import { every } from '@malabar/core';
import {
  after,
  ENTRY_SEQ_AT,
  EXPIRY_NAME_AT,
  readU48,
  SURVIVOR_SEQ_AT,
  survivorKey,
  topicPrefix,
  u16,
  u48,
} from './core/keys.js';
import { decodeRecord, encodeRecord, type JobBatch } from './core/log-record.js';
import type { Shard } from './core/shard.js';
import type { Topic } from './core/topic.js';
import type { Store } from './store.js';

const PERIOD_MS = 200;
/** Log records looked at in one pass over a shard. */
const RECORDS_PER_PASS = 2_000;
const SWEEP = 200;
/** Retention of a queue that is not configured any more. */
const DETACHED_RETENTION_MS = 24 * 3_600_000;

/**
 * Retention: drops log records whose jobs are all settled and old enough. A job that still lives in a
 * lane or among the dead is copied out first, so that it never pins its neighbours.
 */
export class Trimmer {
  /** Where the next sweep over the survivors of a shard begins. */
  readonly #sweepFrom = new Map<Shard, string>();
  #stop: (() => void) | undefined;

  constructor(private readonly store: Store) {}

  start(): void {
    const { clock, log } = this.store.options;
    const pass = (): Promise<void> =>
      this.pass().catch((err) => log.error({ err }, 'trimming failed; it goes on later'));
    this.#stop = every(clock, PERIOD_MS, pass);
  }

  stop(): void {
    this.#stop?.();
  }

  /** One bounded pass over every shard. */
  async pass(): Promise<void> {
    if (this.store.committer.failing) return;
    for (const shard of this.store.shards.values()) {
      await this.#trim(shard);
      await this.#sweepSurvivors(shard);
      await this.#sweepKeys(shard);
    }
    if (!this.store.writes.empty) this.store.committer.dirty();
  }

  async #trim(shard: Shard): Promise<void> {
    const { clock, engine } = this.store.options;
    const retentionMs = shard.config?.retentionMs ?? DETACHED_RETENTION_MS;
    let dropped = 0;
    while (dropped < RECORDS_PER_PASS && shard.trimmedTo < shard.tail) {
      const entry = await engine.nextLog(shard.id, shard.trimmedTo);
      if (entry === undefined) break;
      const batch = decodeRecord(entry);
      if (batch.acceptedAtMs + retentionMs > clock.now()) break;
      const topics = [...shard.topics.values()];
      if (!topics.every((topic) => topic.allTaken(batch.firstSeq, batch.endSeq))) break;
      await this.#drop(shard, topics, batch);
      dropped++;
    }
    if (dropped === 0) return;
    shard.save();
    this.store.options.metrics.trimmed(dropped);
  }

  async #drop(shard: Shard, topics: Topic[], batch: JobBatch): Promise<void> {
    const alive = new Set<number>();
    for (const topic of topics)
      for (const letter of ['S', 'D'])
        for (const seq of await this.#seqs(letter, topic, batch)) alive.add(seq);
    for (const seq of alive) this.#copyOut(batch, seq);
    for (const topic of topics) {
      await this.#forget('X', topic, batch.firstSeq, batch.endSeq, alive);
      await this.#forget('A', topic, batch.firstSeq, batch.endSeq, alive);
    }
    this.store.writes.drop(shard.id, batch.firstSeq);
    shard.trimmedTo = batch.endSeq;
  }

  async #seqs(letter: string, topic: Topic, batch: JobBatch): Promise<number[]> {
    if (topic.entries === 0 && topic.dead === 0) return [];
    const prefix = topicPrefix(letter, topic.shard, topic.id);
    const found = await this.store.scanAll(
      prefix + u48(batch.firstSeq),
      prefix + u48(batch.endSeq),
    );
    return found.map(([key]) => readU48(key, ENTRY_SEQ_AT));
  }

  #copyOut(batch: JobBatch, seq: number): void {
    const parts = [{ bytes: batch.frames(seq, seq + 1), count: 1 }];
    const { entry } = encodeRecord(batch.shard, seq, batch.acceptedAtMs, parts);
    this.store.writes.put(survivorKey(batch.shard, seq), entry.bytes);
  }

  async #forget(
    letter: string,
    topic: Topic,
    start: number,
    end: number,
    except: ReadonlySet<number>,
  ): Promise<void> {
    const prefix = topicPrefix(letter, topic.shard, topic.id);
    for (const [key] of await this.store.scanAll(prefix + u48(start), prefix + u48(end)))
      if (!except.has(readU48(key, ENTRY_SEQ_AT))) this.store.writes.delete(key);
  }

  /** Survivors that live in no topic any more go. */
  async #sweepSurvivors(shard: Shard): Promise<void> {
    const prefix = `J${u16(shard.id)}`;
    const start = this.#sweepFrom.get(shard) ?? prefix;
    const page = await this.store.scan({ start, end: after(prefix), limit: SWEEP });
    this.#sweepFrom.set(shard, page.next ?? prefix);
    for (const [key] of page.records) {
      const seq = readU48(key, SURVIVOR_SEQ_AT);
      if (await this.#lives(shard, seq)) continue;
      this.store.writes.delete(key);
      for (const topic of shard.topics.values())
        for (const letter of ['X', 'A']) await this.#forget(letter, topic, seq, seq + 1, new Set());
    }
  }

  async #lives(shard: Shard, seq: number): Promise<boolean> {
    for (const topic of shard.topics.values())
      for (const letter of ['S', 'D'])
        if (
          (await this.store.get(topicPrefix(letter, shard.id, topic.id) + u48(seq))) !== undefined
        )
          return true;
    return false;
  }

  /** Idempotency keys whose window is over. */
  async #sweepKeys(shard: Shard): Promise<void> {
    const now = this.store.options.clock.now();
    const prefix = `E${u16(shard.id)}`;
    const page = await this.store.scan({ start: prefix, end: prefix + u48(now + 1), limit: SWEEP });
    for (const [key] of page.records) {
      this.store.writes.delete(key);
      const holderKey = `K${u16(shard.id)}${key.slice(EXPIRY_NAME_AT)}`;
      const holder = await this.store.get(holderKey);
      // The key may have been taken again since, with a later end.
      if (holder && records.KeyRecord.decode(holder).expiresAtMs <= now)
        this.store.writes.delete(holderKey);
    }
  }
}
