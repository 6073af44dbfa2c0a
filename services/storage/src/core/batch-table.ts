import { batches, type records } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { Key } from '../engine.js';
import { type BatchEnd, type BatchGrowth, LiveBatch } from './batch.js';
import { batchKey, endedBatchKey } from './keys.js';
import type { WriteBuffer } from './write-buffer.js';

const { OPEN, CLOSED, ENDED, EXPIRED } = batches.BatchState;
/** Batches that may be open at once, and what the jobs that will follow them may take. */
const OPEN_MAX = 10_000;
const BYTES_MAX = 64 * 1024 * 1024;

/**
 * The batches that have not ended. A delivery counts in the commit that makes its end durable, and the
 * job that follows a batch is part of the commit in which the batch ends: so nothing counts twice or
 * not at all, whenever the process dies. Pure: time is an argument, writes go to the buffer.
 */
export class BatchTable {
  readonly #live = new Map<string, LiveBatch>();
  /** Ended, but not durably. */
  readonly #ended = new Map<string, LiveBatch>();
  /** To be written with the coming commit. */
  readonly #changed = new Set<LiveBatch>();
  #bytes = 0;

  constructor(
    private readonly writes: WriteBuffer,
    private readonly queueOf: (shard: number) => string = () => '',
  ) {}

  /** Those that have not ended, in no order. */
  get live(): Iterable<batches.Batch> {
    return Array.from(this.#live.values(), ({ batch }) => batch);
  }

  get size(): number {
    return this.#live.size;
  }

  /** Something of them is not written yet. */
  get pending(): boolean {
    return this.#changed.size + this.#ended.size > 0;
  }

  /** Those that end with the commit under way. */
  get ended(): Iterable<LiveBatch> {
    return this.#ended.values();
  }

  /** One that memory knows. */
  find(id: string): batches.Batch | undefined {
    return (this.#live.get(id) ?? this.#ended.get(id))?.batch;
  }

  /** Takes in what the disk holds. */
  load(record: records.BatchRecord): void {
    const loaded = new LiveBatch(record);
    this.#add(loaded);
    // It was to end with the commit behind its last one.
    if (loaded.isOver) this.#changed.add(loaded);
  }

  /** Throws BUSY if too many are open. */
  open(record: records.BatchRecord): void {
    const added = new LiveBatch(record);
    if (this.#live.size >= OPEN_MAX || this.#bytes + added.bytes > BYTES_MAX)
      throw new BusError('BUSY', `${this.#live.size} batches are open already; close some first`);
    this.#add(added);
    this.#changed.add(added);
  }

  /** Its producer has pushed all. */
  close(id: string, now: number): void {
    const found = this.#live.get(id);
    if (found?.batch.state !== OPEN) return;
    found.batch.state = CLOSED;
    found.batch.closedAtMs = now;
    this.#changed.add(found);
  }

  abandon(id: string, now: number): void {
    const found = this.#live.get(id);
    if (found !== undefined) this.#end(found, batches.BatchState.ABANDONED, now);
  }

  /** Those that should have been closed by now. */
  overdue(now: number): batches.Batch[] {
    return [...this.live].filter((batch) => batch.state === OPEN && batch.expiresAtMs <= now);
  }

  expire(id: string, now: number): void {
    const found = this.#live.get(id);
    if (found?.batch.state === OPEN) this.#end(found, EXPIRED, now);
  }

  /** Why a job must not join; undefined if it may. */
  refusal(id: string): BusError | undefined {
    if (this.#live.has(id)) return undefined;
    return new BusError('NOT_FOUND', `batch '${id.slice(0, 64)}' has ended or was never opened`);
  }

  // --- the commit ---------------------------------------------------------------------------------

  /**
   * Counts what has become of deliveries, and ends what is over. `joined`: the batches that appends of
   * the same commit name; they end with a later one.
   */
  settle(now: number, joined: () => ReadonlySet<string>): void {
    for (const end of this.writes.takeEnds()) this.#count(end);
    for (const each of this.#changed)
      if (each.isOver && !joined().has(each.id)) this.#end(each, ENDED, now);
  }

  /** What has ended and is followed by a job. */
  followers(): LiveBatch[] {
    return [...this.#ended.values()].filter(({ isFollowed }) => isFollowed);
  }

  /** Writes what has changed: with the commit, or for what its appends add and what it ends, only if it succeeds. */
  write(growths: ReadonlyMap<string, BatchGrowth>, staged: Map<Key, Uint8Array | undefined>): void {
    for (const each of this.#changed) {
      this.writes.put(batchKey(each.id), each.encode());
      // One that is over waits for the appends of this commit: it is looked at again.
      if (!each.isOver) this.#changed.delete(each);
    }
    for (const [id, growth] of growths) {
      const found = this.#live.get(id);
      if (found !== undefined) staged.set(batchKey(id), found.encode(growth));
    }
    for (const [id, each] of this.#ended) staged.set(endedBatchKey(id), each.encode());
  }

  /** The commit is durable. */
  committed(growths: ReadonlyMap<string, BatchGrowth>): void {
    this.#ended.clear();
    for (const [id, growth] of growths) {
      const found = this.#live.get(id);
      found?.grow(growth);
      // What was replaced may have been the last that was open.
      if (found?.isOver) this.#changed.add(found);
    }
  }

  #add(added: LiveBatch): void {
    this.#live.set(added.id, added);
    this.#bytes += added.bytes;
  }

  #count(end: BatchEnd): void {
    const live = this.#live.get(end.batch);
    live?.count(end, this.queueOf(end.shard));
    if (live !== undefined) this.#changed.add(live);
    // One that was cut short in this commit says what this commit makes true.
    const cut = this.#ended.get(end.batch);
    if (cut !== undefined && cut.batch.state !== ENDED) cut.count(end, this.queueOf(end.shard));
  }

  #end(ended: LiveBatch, state: batches.BatchState, now: number): void {
    ended.end(state, now);
    this.#live.delete(ended.id);
    this.#changed.delete(ended);
    this.#bytes -= ended.bytes;
    this.#ended.set(ended.id, ended);
    this.writes.delete(batchKey(ended.id));
  }
}
