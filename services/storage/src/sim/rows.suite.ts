import { records, type storage } from '@malabar/contracts';
import { ENTRY_SEQ_AT, readU16, readU48 } from '../core/keys.js';
import type { WriteBatch } from '../engine.js';
import { Bus } from './bus.suite.js';
import {
  DAY_MS,
  dueOf,
  type KeyHolder,
  type ModelDelivery,
  type ModelJob,
  type ModelQueue,
} from './words.suite.js';

/** Idempotency keys, and rows of jobs of which each takes the place of the one before. */
export class Rows extends Bus {
  /** Commits that have ended. */
  protected commits = 0;
  /** How many of the changes are on the disk. */
  durableChanges = 0;
  /** What the last commit replaces and no job has accounted for. */
  #replaced = new Set<ModelDelivery>();
  /** Shard, topic and job of what the last commit says to replace. */
  readonly #named = new Set<string>();
  /** Keys of the jobs that came with the last commit, by their ids. */
  readonly #new = new Map<string, string>();
  /** The same for those that had one until then. */
  readonly #before = new Map<string, string>();

  /** A commit is on the disk; its jobs are yet to be heard of. */
  protected keysApplied(batch: WriteBatch): void {
    this.commits++;
    this.#new.clear();
    this.#before.clear();
    this.#named.clear();
    for (const [key, value] of batch.state)
      if (isReplaced(key, value)) this.#named.add(this.#place(key));
  }

  #place(key: string): string {
    const shard = readU16(key, 1);
    const topic = this.topicName(this.queueOf(shard)?.name ?? '', readU16(key, 3));
    return `${shard}/${topic}/${readU48(key, ENTRY_SEQ_AT)}`;
  }

  /** All that a commit has replaced must have made room for a job of it. */
  protected checkReplaced(batch: WriteBatch): void {
    for (const [key, value] of batch.state) {
      if (!isReplaced(key, value)) continue;
      const delivery = this.at(key);
      if (delivery === undefined || !this.#replaced.delete(delivery))
        this.fail('a delivery is replaced by nobody');
    }
    for (const { job } of this.#replaced) this.fail(`job ${job.seq} is not replaced in all topics`);
    this.#replaced.clear();
  }

  /** Whether a job has a key now, or had it until a job of the last commit took it. */
  holds(queue: string, key: string, id: string): boolean {
    return (
      this.queues.get(queue)?.keys.get(key)?.id === id ||
      this.#new.get(id) === key ||
      this.#before.get(id) === key
    );
  }

  /** Answers since when a job of its row waits: it may take the place of the key's holder. */
  protected remember(queue: ModelQueue, job: ModelJob, options: storage.JobOptions): number {
    const holder = queue.keys.get(options.idempotencyKey);
    const isHeld = holder !== undefined && holder.expiresAtMs > job.acceptedAtMs;
    if (isHeld && options.debounceMs === 0)
      this.fail(`'${job.body}' was accepted, but its idempotency key is that of ${holder.id}`);
    const sinceMs = isHeld && this.#replace(queue, holder) ? holder.sinceMs : job.acceptedAtMs;
    const windowMs = Math.max(options.idempotencyWindowMs || DAY_MS, options.debounceMs);
    const expiresAtMs = job.acceptedAtMs + windowMs;
    if (holder !== undefined) this.#before.set(holder.id, options.idempotencyKey);
    this.#new.set(job.id, options.idempotencyKey);
    queue.keys.set(options.idempotencyKey, { id: job.id, seq: job.seq, expiresAtMs, sinceMs });
    return sinceMs;
  }

  /** A job comes whose key another one has: that goes if nobody has begun it, and stays whole if somebody has. */
  #replace(queue: ModelQueue, holder: KeyHolder): boolean {
    const there = [...(queue.jobs[holder.seq]?.deliveries.values() ?? [])].filter(
      ({ topic }) => topic.attached,
    );
    const waiting = there.filter(({ kept }) => kept.state === 'waiting');
    const begun = there.some(
      ({ kept, lease }) =>
        lease !== undefined || kept.attempts > 0 || kept.state === 'done' || kept.state === 'dead',
    );
    const gone = there.filter((one) => this.#isReplaced(one));
    if (gone.length === 0) {
      // Somebody had it while the commit came together.
      const unknown = there.some(({ releasedIn }) => releasedIn === this.commits - 1);
      if (waiting.length > 0 && !begun && !unknown)
        this.fail(`job ${holder.seq} of ${queue.name} waits, but is not replaced`);
      if (begun) this.saw('jobs of a key that somebody has begun');
      return false;
    }
    if (begun) this.fail(`job ${holder.seq} of ${queue.name} is replaced, but it was begun`);
    if (gone.length !== waiting.length)
      this.fail(`job ${holder.seq} of ${queue.name} is replaced in some topics only`);
    for (const delivery of gone) {
      if (delivery.kept.state !== 'waiting') this.fail('a delivery is replaced that does not wait');
      this.change(delivery, { state: 'discarded' });
      this.changed.delete(delivery);
      delivery.durable = delivery.kept;
      this.#replaced.add(delivery);
    }
    this.durableChanges += gone.length;
    this.saw('jobs replaced');
    if (this.#new.has(holder.id)) this.saw('jobs replaced at once');
    return true;
  }

  #isReplaced({ job, topic }: ModelDelivery): boolean {
    return this.#named.has(`${job.queue.shard}/${topic.name}/${job.seq}`);
  }

  /** An entry is written: one of the log's order becomes one only to make room for another. */
  scheduled(key: string, where: Uint8Array): undefined {
    this.syncConfig();
    const delivery = this.at(key);
    if (delivery === undefined || delivery.kept.entry || delivery.kept.state !== 'waiting') return;
    const dueAtMs = readU48(Buffer.from(where).toString('latin1', 1, 7), 0);
    if (delivery.lease) return this.fail('a delivery is moved that is leased');
    if (dueAtMs < dueOf(delivery)) return this.fail('a delivery is moved before its time');
    this.saw('jobs that leave the order of the log to make room');
    this.change(delivery, { entry: true, dueAtMs });
  }
}

const isReplaced = (key: string, value: Uint8Array | undefined): boolean =>
  key[0] === 'X' &&
  value !== undefined &&
  records.EntryRecord.decode(value).errorCode === 'REPLACED';

/** When a job is due in a topic; `sinceMs`: when the first job of its row came. */
export function firstDueOf(
  { acceptedAtMs }: ModelJob,
  { deliverAtMs, debounceMs, debounceMaxMs }: storage.JobOptions,
  delayMs: number,
  sinceMs: number,
): number {
  if (debounceMs === 0) return Math.max(deliverAtMs, acceptedAtMs + delayMs);
  let dueAtMs = acceptedAtMs + Math.max(debounceMs, delayMs);
  if (debounceMaxMs > 0) dueAtMs = Math.min(dueAtMs, sinceMs + Math.max(debounceMaxMs, delayMs));
  return Math.max(deliverAtMs, dueAtMs);
}
