import { BusError } from '@malabar/core';
import { survivorKey } from '../core/keys.js';
import type { Engine, Key, KeyRange, LogEntry, WriteBatch } from '../engine.js';
import type { Dice } from './dice.suite.js';
import type { Schedule } from './schedule.suite.js';

/** An ordered map, small enough for insertion by shifting. */
class Ordered<V> {
  readonly #keys: string[] = [];
  readonly #values = new Map<string, V>();

  get(key: string): V | undefined {
    return this.#values.get(key);
  }

  set(key: string, value: V | undefined): void {
    if (value === undefined) {
      if (this.#values.delete(key)) this.#keys.splice(this.position(key), 1);
      return;
    }
    if (!this.#values.has(key)) this.#keys.splice(this.position(key), 0, key);
    this.#values.set(key, value);
  }

  at(index: number): [string, V] | undefined {
    const key = this.#keys[index];
    return key === undefined ? undefined : [key, this.#values.get(key) as V];
  }

  /** Index of the first key at or behind `key`. */
  position(key: string): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#keys[middle] as string) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

const logKey = (shard: number, seq: number): string =>
  `${String(shard).padStart(6, '0')}${String(Math.min(seq, 2 ** 48)).padStart(16, '0')}`;

/** What survives a crash. */
export class Disk {
  readonly state = new Ordered<Uint8Array>();
  readonly log = new Ordered<LogEntry>();
  epoch = 0;
  /** What it refuses to take. */
  full: 'nothing' | 'appends' | 'everything' = 'nothing';
  /** Reads of ranges. */
  scans = 0;

  apply(batch: WriteBatch): void {
    for (const entry of batch.appends) this.log.set(logKey(entry.shard, entry.firstSeq), entry);
    for (const [key, value] of batch.state) this.state.set(key, value);
    for (const { shard, firstSeq } of batch.drops) this.log.set(logKey(shard, firstSeq), undefined);
  }

  /** Whether a job has a copy of its own. */
  survives(shard: number, seq: number): boolean {
    return this.state.get(survivorKey(shard, seq)) !== undefined;
  }

  /** The machine goes down; what was applied stays. */
  crash(_dice: Dice): void {}

  /** What takes a batch back that is about to be applied. */
  undo(batch: WriteBatch): () => void {
    const log = new Map<string, LogEntry | undefined>();
    const state = new Map<Key, Uint8Array | undefined>();
    for (const { shard, firstSeq } of [...batch.appends, ...batch.drops]) {
      const key = logKey(shard, firstSeq);
      log.set(key, this.log.get(key));
    }
    for (const key of batch.state.keys()) state.set(key, this.state.get(key));
    return () => {
      for (const [key, value] of log) this.log.set(key, value);
      for (const [key, value] of state) this.state.set(key, value);
    };
  }

  scan({ start, end, limit, reverse }: KeyRange): Array<[Key, Uint8Array]> {
    this.scans++;
    const found: Array<[Key, Uint8Array]> = [];
    const step = reverse ? -1 : 1;
    for (let i = reverse ? this.state.position(end) - 1 : this.state.position(start); ; i += step) {
      const record = this.state.at(i);
      if (record === undefined || found.length === limit) return found;
      if (reverse ? record[0] < start : record[0] >= end) return found;
      found.push(record);
    }
  }

  logBefore(shard: number, seq: number): LogEntry | undefined {
    const entry = this.log.at(this.log.position(`${logKey(shard, seq)}~`) - 1)?.[1];
    return entry?.shard === shard ? entry : undefined;
  }

  logFrom(shard: number, seq: number): LogEntry | undefined {
    const entry = this.log.at(this.log.position(logKey(shard, seq)))?.[1];
    return entry?.shard === shard ? entry : undefined;
  }

  refusal(batch: WriteBatch, epoch: number): BusError | undefined {
    if (epoch !== this.epoch) return new BusError('STALE_LEASE', 'another owner has the disk');
    const refused =
      this.full === 'everything' || (this.full === 'appends' && batch.appends.length > 0);
    return refused ? new BusError('DISK_FULL', 'the simulated disk is full') : undefined;
  }
}

/** Hears what the disk does with the commit under way. */
export interface DiskWatcher {
  applied(): void;
  refused(): void;
}

/** One owner's hold on a disk. Reads see the state of some moment between their call and their answer. */
export class SimEngine implements Engine {
  /** Applies the commit under way; undefined if there is none that is not applied. */
  #apply: (() => void) | undefined;
  #busy = false;
  #epoch = 0;

  constructor(
    private readonly disk: Disk,
    private readonly schedule: Schedule,
    private readonly dice: Dice,
    private readonly watcher: DiskWatcher,
  ) {}

  open(): Promise<number> {
    this.#epoch = ++this.disk.epoch;
    return this.#answer(() => this.#epoch);
  }

  commit(batch: WriteBatch): Promise<void> {
    if (this.#busy) throw new Error('a second commit at the same time');
    this.#busy = true;
    return new Promise((resolve, reject) => {
      this.#apply = () => {
        this.#apply = undefined;
        const refusal = this.disk.refusal(batch, this.#epoch);
        if (refusal) this.watcher.refused();
        else {
          this.disk.apply(batch);
          this.watcher.applied();
        }
        this.#later(() => {
          this.#busy = false;
          if (refusal) reject(refusal);
          else resolve();
        });
      };
      this.#later(() => this.#apply?.());
    });
  }

  /** The process dies; its last commit may have reached the disk or not. */
  die(): void {
    if (this.dice.chance(0.5)) this.#apply?.();
  }

  get(key: Key): Promise<Uint8Array | undefined> {
    return this.#answer(() => this.disk.state.get(key));
  }

  scan(range: KeyRange): Promise<Array<[Key, Uint8Array]>> {
    return this.#answer(() => this.disk.scan(range));
  }

  readLog(shard: number, seq: number): Promise<LogEntry | undefined> {
    return this.#answer(() => this.disk.logBefore(shard, seq));
  }

  nextLog(shard: number, seq: number): Promise<LogEntry | undefined> {
    return this.#answer(() => this.disk.logFrom(shard, seq));
  }

  async close(): Promise<void> {}

  #later(run: () => void): void {
    if (this.schedule.hurried || this.dice.chance(0.3)) run();
    else this.schedule.add(run);
  }

  #answer<T>(read: () => T): Promise<T> {
    if (this.schedule.hurried || this.dice.chance(0.4)) return Promise.resolve(read());
    const early = this.dice.chance(0.5) ? { value: read() } : undefined;
    return new Promise((resolve) => {
      this.schedule.add(() => resolve(early ? early.value : read()));
    });
  }
}
