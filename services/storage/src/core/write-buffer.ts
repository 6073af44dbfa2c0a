import type { Key, KeyRange, LogEntry, WriteBatch } from '../engine.js';
import type { BatchEnd } from './batch.js';
import type { Result } from './result.js';

/** Writes that gather for one commit. Layers form a chain from the oldest not yet durable to the newest. */
class WriteLayer {
  readonly state = new Map<Key, Uint8Array | undefined>();
  readonly drops: Array<{ shard: number; firstSeq: number }> = [];
  /** What of the outcomes in this layer is told in its commit. */
  readonly results: Result[] = [];
  /** What appends add to the commit of this layer. */
  staged: ReadonlyMap<Key, Uint8Array | undefined> | undefined;
  next: WriteLayer | undefined;
}

/** What an append adds to a commit: gone without a trace if the commit fails. */
export interface StagedWrites {
  appends: LogEntry[];
  /** Undefined: the record goes. */
  state: Map<Key, Uint8Array | undefined>;
}

/** A part of a range scan with all writes laid over it. */
export interface Page {
  records: Array<[Key, Uint8Array]>;
  /** Where the next page begins (in reverse: ends); undefined if this was the last. */
  next: Key | undefined;
}

/**
 * State records on their way to the engine. The core writes here without waiting; a commit takes
 * what has gathered; readers see the engine with everything newer laid over it.
 */
export class WriteBuffer {
  #current = new WriteLayer();
  /** The oldest layer that the engine may not show yet. */
  #oldest = this.#current;
  /** The layer of the commit under way. */
  #sealed: WriteLayer | undefined;
  #ends: BatchEnd[] = [];

  get empty(): boolean {
    const { state, drops, results } = this.#current;
    return state.size + drops.length + results.length + this.#ends.length === 0;
  }

  /** What the next commit tells; its appends must hold all of it. */
  get results(): readonly Result[] {
    return this.#current.results;
  }

  put(key: Key, value: Uint8Array): void {
    this.#current.state.set(key, value);
  }

  delete(key: Key): void {
    this.#current.state.set(key, undefined);
  }

  drop(shard: number, firstSeq: number): void {
    this.#current.drops.push({ shard, firstSeq });
  }

  /** Tells what became of a delivery in the commit that makes it so. */
  tell(result: Result): void {
    this.#current.results.push(result);
  }

  /** A delivery of a batch has changed its state; that counts in the commit that makes it so. */
  count(end: BatchEnd): void {
    this.#ends.push(end);
  }

  /** What is to be counted with the coming commit, once. */
  takeEnds(): BatchEnd[] {
    const ends = this.#ends;
    this.#ends = [];
    return ends;
  }

  /** Closes the current layer and gives it to the engine with the staged appends; new writes go to a new one. */
  seal(staged: StagedWrites): WriteBatch {
    const { state, drops } = this.#current;
    this.#sealed = this.#current;
    this.#sealed.staged = staged.state;
    this.#current.next = new WriteLayer();
    this.#current = this.#current.next;
    const all = staged.state.size === 0 ? state : new Map(state);
    for (const [key, value] of staged.state) all.set(key, value);
    return { appends: staged.appends, state: all, drops };
  }

  /** The sealed layer is durable. */
  committed(): void {
    this.#sealed = undefined;
    this.#oldest = this.#current;
  }

  /** The sealed layer was refused: it goes back beneath what was written since, without what was staged. */
  failed(): void {
    const sealed = this.#sealed;
    if (sealed === undefined) return;
    this.#sealed = undefined;
    sealed.staged = undefined;
    for (const [key, value] of sealed.state)
      if (!this.#current.state.has(key)) this.#current.state.set(key, value);
    this.#current.drops.push(...sealed.drops);
    this.#current.results.unshift(...sealed.results);
    this.#oldest = this.#current;
  }

  /**
   * Remembers which writes an engine read that begins now may miss. Call the result when the read has
   * returned: it lays everything written since over the records that the engine gave.
   */
  overlay(range: KeyRange): (records: Array<[Key, Uint8Array]>) => Page {
    const oldest = this.#oldest;
    return (records) => {
      const last = records.length >= range.limit ? records[records.length - 1]?.[0] : undefined;
      const changes = changesIn(oldest, range, last);
      const next = last === undefined || range.reverse ? last : `${last}\0`;
      return { records: changes.size === 0 ? records : merge(records, changes, range), next };
    };
  }
}

// A full page says nothing about the keys behind its last one, so changes there wait for the next page.
function changesIn(
  oldest: WriteLayer,
  range: KeyRange,
  last: Key | undefined,
): Map<Key, Uint8Array | undefined> {
  const start = range.reverse && last !== undefined ? last : range.start;
  const end = !range.reverse && last !== undefined ? `${last}\0` : range.end;
  const changes = new Map<Key, Uint8Array | undefined>();
  const single = end === `${start}\0` ? start : undefined;
  for (let layer: WriteLayer | undefined = oldest; layer; layer = layer.next) {
    if (single !== undefined) {
      if (layer.state.has(single)) changes.set(single, layer.state.get(single));
      if (layer.staged?.has(single)) changes.set(single, layer.staged.get(single));
      continue;
    }
    for (const [key, value] of layer.state) if (key >= start && key < end) changes.set(key, value);
    for (const [key, value] of layer.staged ?? [])
      if (key >= start && key < end) changes.set(key, value);
  }
  return changes;
}

function merge(
  records: Array<[Key, Uint8Array]>,
  changes: Map<Key, Uint8Array | undefined>,
  range: KeyRange,
): Array<[Key, Uint8Array]> {
  const merged = new Map(records);
  for (const [key, value] of changes) {
    if (value === undefined) merged.delete(key);
    else merged.set(key, value);
  }
  const sorted = [...merged].sort(([a], [b]) => (a < b ? -1 : 1));
  return range.reverse ? sorted.reverse() : sorted;
}
