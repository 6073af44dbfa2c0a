import { records } from '@malabar/contracts';
import { every } from '@malabar/core';
import { ENDED_RETENTION_MS, expireBatches } from './batches.js';
import {
  after,
  ENTRY_SEQ_AT,
  EXPIRY_NAME_AT,
  endedBatchKey,
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
import type { Key } from './engine.js';
import type { Store } from './store.js';

const PERIOD_MS = 200;
/** Log records looked at in one pass over a shard. */
const RECORDS_PER_PASS = 2_000;
/** Jobs copied out in one pass: they are in memory until its commit. */
const COPIES_PER_PASS = 5_000;
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
  #sweepBatchesFrom = endedBatchKey('');
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
    await this.#sweepBatches();
    await expireBatches(this.store);
    if (!this.store.writes.empty) this.store.committer.dirty();
  }

  async #trim(shard: Shard): Promise<void> {
    let dropped = 0;
    let copied = 0;
    while (dropped < RECORDS_PER_PASS && copied < COPIES_PER_PASS && shard.trimmedTo < shard.tail) {
      const entry = await this.store.options.engine.nextLog(shard.id, shard.trimmedTo);
      if (entry === undefined) break;
      const batch = decodeRecord(entry);
      const copies = this.#isOver(shard, batch) ? await this.#drop(shard, batch) : undefined;
      if (copies === undefined) break;
      dropped++;
      copied += copies;
    }
    if (dropped > 0) this.store.options.metrics.trimmed(dropped);
  }

  /** Whether nobody waits for a batch in the log's order, and its time is over. */
  #isOver(shard: Shard, batch: JobBatch): boolean {
    // A read may see a record before its jobs count.
    if (batch.endSeq > shard.tail) return false;
    const retentionMs = shard.config?.retentionMs ?? DETACHED_RETENTION_MS;
    if (batch.acceptedAtMs + retentionMs > this.store.options.clock.now()) return false;
    for (const topic of shard.topics.values())
      if (!topic.allTaken(batch.firstSeq, batch.endSeq)) return false;
    return true;
  }

  /** Drops a log record; resolves to how many of its jobs live on, undefined if it may not go any more. */
  async #drop(shard: Shard, batch: JobBatch): Promise<number | undefined> {
    const topics = [...shard.topics.values()];
    let copies: number | undefined;
    await this.#placesOf(topics, batch, ({ alive, forgettable }) => {
      if (shard.topics.size !== topics.length || !this.#isOver(shard, batch)) return;
      for (const seq of alive) this.#copyOut(batch, seq);
      for (const key of forgettable)
        if (!alive.has(readU48(key, ENTRY_SEQ_AT))) this.store.writes.delete(key);
      this.store.writes.drop(shard.id, batch.firstSeq);
      shard.trimmedTo = batch.endSeq;
      // In the same commit: without its record the log's end is known from here only.
      shard.save();
      copies = alive.size;
    });
    return copies;
  }

  /** Where the jobs [firstSeq, endSeq) live still, and what is kept about those that do not, at one moment. */
  #placesOf(
    topics: readonly Topic[],
    { firstSeq, endSeq }: { firstSeq: number; endSeq: number },
    use: (places: { alive: ReadonlySet<number>; forgettable: readonly Key[] }) => void,
  ): Promise<void> {
    const stretches = topics.flatMap((topic) =>
      ['S', 'D', 'X', 'A'].map((letter) => {
        const prefix = topicPrefix(letter, topic.shard, topic.id);
        return { start: prefix + u48(firstSeq), end: prefix + u48(endSeq) };
      }),
    );
    return this.store.scanAtOnce(stretches, (found) => {
      const keys = found.map((page) => page.map(([key]) => key));
      const alive = keys.filter((_, i) => i % 4 < 2).flat();
      use({
        alive: new Set(alive.map((key) => readU48(key, ENTRY_SEQ_AT))),
        forgettable: keys.filter((_, i) => i % 4 >= 2).flat(),
      });
    });
  }

  #copyOut(batch: JobBatch, seq: number): void {
    const parts = [{ bytes: batch.frames(seq, seq + 1), count: 1 }];
    const { entry } = encodeRecord(batch.shard, seq, batch.acceptedAtMs, parts);
    this.store.writes.put(survivorKey(batch.shard, seq), entry.bytes);
  }

  /** Survivors that live in no topic any more go. */
  async #sweepSurvivors(shard: Shard): Promise<void> {
    const prefix = `J${u16(shard.id)}`;
    const start = this.#sweepFrom.get(shard) ?? prefix;
    const page = await this.store.scan({ start, end: after(prefix), limit: SWEEP });
    this.#sweepFrom.set(shard, page.next ?? prefix);
    for (const [key] of page.records) {
      const seq = readU48(key, SURVIVOR_SEQ_AT);
      const topics = [...shard.topics.values()];
      await this.#placesOf(topics, { firstSeq: seq, endSeq: seq + 1 }, ({ alive, forgettable }) => {
        if (alive.size > 0) return;
        this.store.writes.delete(key);
        for (const one of forgettable) this.store.writes.delete(one);
      });
    }
  }

  /** Batches that ended long ago. They never change again. */
  async #sweepBatches(): Promise<void> {
    const first = endedBatchKey('');
    const start = this.#sweepBatchesFrom;
    const page = await this.store.scan({ start, end: after(first), limit: SWEEP });
    this.#sweepBatchesFrom = page.next ?? first;
    const beforeMs = this.store.options.clock.now() - ENDED_RETENTION_MS;
    for (const [key, bytes] of page.records)
      if ((records.BatchRecord.decode(bytes).batch?.endedAtMs ?? 0) < beforeMs)
        this.store.writes.delete(key);
  }

  /** Idempotency keys whose window is over. */
  async #sweepKeys(shard: Shard): Promise<void> {
    const now = this.store.options.clock.now();
    const prefix = `E${u16(shard.id)}`;
    const page = await this.store.scan({ start: prefix, end: prefix + u48(now + 1), limit: SWEEP });
    for (const [key] of page.records) {
      const holderKey = `K${u16(shard.id)}${key.slice(EXPIRY_NAME_AT)}`;
      await this.store.getAtOnce([holderKey], ([holder]) => {
        this.store.writes.delete(key);
        // The key may have been taken again since, with a later end.
        if (holder && records.KeyRecord.decode(holder).expiresAtMs <= now)
          this.store.writes.delete(holderKey);
      });
    }
  }
}
