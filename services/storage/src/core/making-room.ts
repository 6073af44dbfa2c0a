import { Encoder, records, type storage } from '@malabar/contracts';
import type { Key } from '../engine.js';
import { type BatchGrowth, grow } from './batch.js';
import { entryKey, TIME_MAX_MS } from './keys.js';
import type { Entry } from './lane.js';
import { scheduleKeys } from './placement.js';
import type { Special, Topic } from './topic.js';

/** A job that nobody has begun, held in all its topics so that the coming commit may replace it. */
export interface Held {
  seq: number;
  entries: ReadonlyArray<readonly [Topic, Entry]>;
  /** A job of the coming commit takes its place. */
  used: boolean;
}

/** Deliveries of one topic whose place a newer job of the same key takes. */
export interface Replaced {
  /** They are held, and their records go with the commit. */
  held: Entry[];
  /** Jobs of the same commit: they were never delivered. */
  unborn: number[];
}

/** Makes the deliveries of a held job takable again. */
export function release({ entries }: Held): void {
  for (const [topic, entry] of entries) topic.letGo(entry);
}

/** The deliveries that the jobs of one shard's part of a commit replace. */
export class MakingRoom {
  readonly replaced = new Map<Topic, Replaced>();
  readonly #encoder = new Encoder();
  /** Jobs that were replaced. */
  count = 0;

  constructor(
    private readonly state: Map<Key, Uint8Array | undefined>,
    /** What the commit changes in batches. */
    private readonly growths: Map<string, BatchGrowth>,
  ) {}

  /** A job that was durable before: its deliveries are discarded, as they stand. */
  ofHeld(held: Held, why: string, now: number): void {
    held.used = true;
    this.count++;
    for (const [topic, entry] of held.entries) {
      for (const key of scheduleKeys(topic.shard, topic.id, entry)) this.state.set(key, undefined);
      this.#discard(topic, entry, why, now);
      this.#of(topic).held.push(entry);
    }
  }

  /** A job of the same commit: it becomes durable and is discarded at once. */
  ofStaged(
    seq: number,
    topics: Iterable<Topic>,
    specials: ReadonlyMap<Topic, Special[]>,
    { why, now }: { why: string; now: number },
  ): void {
    this.count++;
    for (const topic of topics) {
      const list = specials.get(topic) ?? [];
      const at = list.findIndex((special) => special.seq === seq);
      const [special] = at < 0 ? [] : list.splice(at, 1);
      if (special !== undefined)
        for (const key of scheduleKeys(topic.shard, topic.id, special)) this.state.delete(key);
      const record = special?.record ?? records.EntryRecord.fromPartial({ acceptedAtMs: now });
      this.#discard(topic, { seq, record }, why, now);
      this.#of(topic).unborn.push(seq);
    }
  }

  #discard(topic: Topic, { seq, record }: Entry, error: string, now: number): void {
    const discarded = { ...record, errorCode: 'REPLACED', error, sinceMs: now };
    const bytes = this.#encoder.encode(records.EntryRecord, discarded);
    this.state.set(entryKey('X', topic.shard, topic.id, seq), bytes);
    grow(this.growths, record.batch, { replaced: 1 });
  }

  #of(topic: Topic): Replaced {
    const known = this.replaced.get(topic) ?? { held: [], unborn: [] };
    this.replaced.set(topic, known);
    return known;
  }
}

/**
 * When a job is due that was accepted now: with a debounce it waits anew, but, counted from the first job
 * of the row that it replaces, no longer than its longest wait or the topic's own delay.
 */
export function dueAtMs(
  { deliverAtMs = 0, debounceMs = 0, debounceMaxMs = 0 }: Partial<storage.JobOptions>,
  { acceptedAtMs, sinceMs, delayMs }: { acceptedAtMs: number; sinceMs: number; delayMs: number },
): number {
  const anew = acceptedAtMs + Math.max(debounceMs, delayMs);
  const latest = debounceMaxMs > 0 ? sinceMs + Math.max(debounceMaxMs, delayMs) : anew;
  return Math.min(Math.max(deliverAtMs, Math.min(anew, latest)), TIME_MAX_MS);
}
