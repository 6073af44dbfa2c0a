import { records, storage } from '@malabar/contracts';
import { type BusError, type Clock, toBusError, toFault } from '@malabar/core';
import type { Logger } from '@malabar/telemetry';
import { idempotencyKey } from './core/keys.js';
import { type Held, release } from './core/making-room.js';
import type { AppendCall, Keys, Shard, StagedAppend } from './core/shard.js';
import type { StagedWrites, WriteBuffer } from './core/write-buffer.js';
import type { Engine } from './engine.js';
import type { Followers } from './followers.js';
import type { StoreMetrics } from './metrics.js';
import type { Results } from './results.js';

/** After a refused commit: how long until the writes that wait for it are tried again. */
const RETRY_MS = 250;
/** Appends that wait for a commit, in bytes, before more are refused. */
const WAITING_BYTES_MAX = 256 * 1024 * 1024;

const NO_KEYS: Keys = { known: new Map(), held: new Map() };

export interface CommitterOptions {
  engine: Engine;
  writes: WriteBuffer;
  /** What the outcomes in `writes` are to be told as. */
  results: Results;
  /** What they count in, and what follows. */
  followers: Followers;
  shards: () => Iterable<Shard>;
  clock: Clock;
  log: Logger;
  metrics: StoreMetrics;
  /** Runs its argument after the events that wait now: setImmediate. */
  turn: (run: () => void) => void;
  /** How long an outcome may wait for an append to share its commit with. */
  settleDelayMs: number;
  /** Holds a job that nobody has begun, so that it can be replaced; undefined if it was begun or has ended. */
  hold(shard: Shard, holder: records.KeyRecord): Promise<Held | undefined>;
  /** Staged appends are durable: make them visible, then answer. */
  onAppended(staged: StagedAppend): void;
  /** A commit has succeeded; `recovered` if the one before was refused. */
  onCommitted(recovered: boolean): void;
  /** Another owner has the engine: this store must end. */
  onFenced(error: Error): void;
}

/**
 * Group commit: whatever arrives while a commit is under way forms the next one. Outcomes ride along
 * with appends, or go by themselves after a short wait.
 */
export class Committer {
  /** The last commit was refused; nothing new should be leased until one succeeds. */
  failing = false;
  #calls: Array<[Shard, AppendCall]> = [];
  #waitingBytes = 0;
  #durable: Array<() => void> = [];
  #changes: Array<() => void> = [];
  #busy = false;
  #scheduled = false;
  #cancelDelay: (() => void) | undefined;
  #closed = false;
  #idle: Array<() => void> = [];
  /** What the commit under way may replace. */
  #held: Held[] = [];

  constructor(private readonly options: CommitterOptions) {}

  append(shard: Shard, call: AppendCall): void {
    if (this.#closed || this.#waitingBytes > WAITING_BYTES_MAX) {
      const code = this.#closed ? 'UNAVAILABLE' : 'BUSY';
      const fault = { code, message: 'storage takes no more jobs at the moment' };
      call.reply(storage.AppendResponse.fromPartial({ requestId: call.request.requestId, fault }));
      return;
    }
    this.#waitingBytes += call.request.jobs.length;
    this.#calls.push([shard, call]);
    this.#schedule();
  }

  /** There are writes (outcomes, configuration, trimming) that a coming commit must take along. */
  dirty(): void {
    if (this.#busy || this.#scheduled || this.#cancelDelay !== undefined) return;
    this.#cancelDelay = this.options.clock.after(this.options.settleDelayMs, () => {
      this.#cancelDelay = undefined;
      this.#schedule();
    });
  }

  /** Resolves when everything written up to now is durable. */
  flush(): Promise<void> {
    return new Promise((resolve) => {
      this.#durable.push(resolve);
      this.#schedule();
    });
  }

  /**
   * Runs `change` while no append is between its staging and its commit, so that none is staged under
   * settings that it does not meet again. Resolves when what it wrote is durable, rejects if it throws.
   */
  change(change: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#changes.push(() => {
        try {
          change();
        } catch (error) {
          reject(error);
        }
      });
      void this.flush().then(resolve);
    });
  }

  /** Commits what waits, then takes nothing more. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#busy || this.#scheduled)
      await new Promise<void>((resolve) => this.#idle.push(resolve));
    this.#cancelDelay?.();
    if (!this.failing) await this.#commit();
  }

  #schedule(): void {
    if (this.#busy || this.#scheduled) return;
    this.#cancelDelay?.();
    this.#cancelDelay = undefined;
    this.#scheduled = true;
    this.options.turn(() => void this.#run());
  }

  async #run(): Promise<void> {
    this.#scheduled = false;
    this.#busy = true;
    const succeeded = await this.#commit();
    this.#busy = false;
    if (this.#calls.length > 0 || (succeeded && this.#durable.length > 0)) this.#schedule();
    else if (!succeeded) this.#later();
    else if (!this.options.writes.empty || this.options.followers.pending || this.#anyDirty())
      this.dirty();
    if (!this.#scheduled) for (const resolve of this.#idle.splice(0)) resolve();
  }

  #later(): void {
    if (this.#closed) return;
    this.#cancelDelay = this.options.clock.after(RETRY_MS, () => {
      this.#cancelDelay = undefined;
      this.#schedule();
    });
  }

  #anyDirty(): boolean {
    for (const shard of this.options.shards())
      for (const topic of shard.topics.values()) if (topic.dirty) return true;
    return false;
  }

  #commit(): Promise<boolean> {
    const calls = this.#calls;
    this.#calls = [];
    this.#waitingBytes = 0;
    return this.#commitWith(calls);
  }

  async #commitWith(calls: Array<[Shard, AppendCall]>): Promise<boolean> {
    const { engine, writes, results, followers, clock, metrics } = this.options;
    const durable = this.#durable;
    this.#durable = [];
    for (const change of this.#changes.splice(0)) change();
    const stagedWrites: StagedWrites = { appends: [], state: new Map() };
    let staged: StagedAppend[] = [];
    try {
      const known = await this.#knownKeys(calls);
      // Between the end of the reading and here, what waited for the same turn may have added more.
      while (results.unread) await results.read();
      // From here to the seal nothing waits: what is told and what it is told of stay together.
      const following = followers.calls(calls);
      staged = this.#stage([...calls, ...results.calls(), ...following], known, stagedWrites);
      followers.write(staged, stagedWrites.state);
      this.#release((held) => !held.used);
      this.#snapshot(staged, stagedWrites);
      const batch = { ...writes.seal(stagedWrites), urgent: calls.length === 0 };
      if (batch.appends.length + batch.state.size + batch.drops.length > 0) {
        const startedAt = clock.now();
        await engine.commit(batch);
        metrics.committed(staged, clock.now() - startedAt);
      }
    } catch (error) {
      const { code } = this.#failed(error, calls, durable);
      // Without its jobs it may fit, and only what rides along can make room: outcomes and trimming.
      return code === 'DISK_FULL' && calls.length > 0 ? this.#commitWith([]) : false;
    }
    writes.committed();
    followers.committed(staged);
    this.#held = [];
    const recovered = this.failing;
    this.failing = false;
    for (const one of staged) this.options.onAppended(one);
    for (const resolve of durable) resolve();
    this.options.onCommitted(recovered);
    return true;
  }

  #failed(
    thrown: unknown,
    calls: Array<[Shard, AppendCall]>,
    durable: Array<() => void>,
  ): BusError {
    const error = toBusError(thrown);
    this.options.writes.failed();
    this.#release(() => true);
    this.#durable.unshift(...durable);
    this.failing = true;
    this.options.metrics.commitRefused(error.code);
    this.options.log.error(
      { code: error.code, jobs: calls.length },
      `commit refused: ${error.message}`,
    );
    const fault = toFault(error);
    for (const [, call] of calls)
      call.reply(storage.AppendResponse.fromPartial({ requestId: call.request.requestId, fault }));
    if (error.code === 'STALE_LEASE') this.options.onFenced(error);
    return error;
  }

  #stage(
    calls: ReadonlyArray<[Shard, AppendCall]>,
    known: ReadonlyMap<Shard, Keys>,
    stagedWrites: StagedWrites,
  ): StagedAppend[] {
    const now = this.options.clock.now();
    return [...byShard(calls)].map(([shard, list]) =>
      shard.stage(list, known.get(shard) ?? NO_KEYS, now, stagedWrites),
    );
  }

  /** Who holds the idempotency keys of these appends now; those that may be replaced are held. */
  async #knownKeys(calls: ReadonlyArray<[Shard, AppendCall]>): Promise<Map<Shard, Keys>> {
    const all = new Map<Shard, MutableKeys>();
    for (const [shard, { request }] of calls)
      for (const { idempotencyKey: key, debounceMs } of request.options) {
        const { known, held } = all.get(shard) ?? { known: new Map(), held: new Map() };
        all.set(shard, { known, held });
        if (key === '') continue;
        const holder = known.get(key) ?? (await this.#holderOf(shard, key));
        if (holder === undefined) continue;
        known.set(key, holder);
        if (debounceMs === 0 || held.has(key)) continue;
        const found = await this.options.hold(shard, holder);
        held.set(key, found);
        if (found !== undefined) this.#held.push(found);
      }
    return all;
  }

  async #holderOf(shard: Shard, key: string): Promise<records.KeyRecord | undefined> {
    const bytes = await this.options.engine.get(idempotencyKey(shard.id, key));
    return bytes && records.KeyRecord.decode(bytes);
  }

  #release(which: (held: Held) => boolean): void {
    for (const held of this.#held.filter(which)) release(held);
    this.#held = this.#held.filter((held) => !which(held));
  }

  /** Puts the records of all changed topics into the commit. */
  #snapshot(staged: StagedAppend[], stagedWrites: StagedWrites): void {
    for (const shard of this.options.shards())
      for (const topic of shard.topics.values()) {
        if (!topic.dirty) continue;
        topic.dirty = false;
        this.options.writes.put(...topic.snapshot());
      }
    for (const { specials, replaced } of staged)
      for (const topic of new Set([...specials.keys(), ...replaced.keys()]))
        stagedWrites.state.set(...topic.snapshot(specials.get(topic), replaced.get(topic)));
  }
}

interface MutableKeys {
  known: Map<string, records.KeyRecord>;
  held: Map<string, Held | undefined>;
}

function byShard(calls: ReadonlyArray<[Shard, AppendCall]>): Map<Shard, AppendCall[]> {
  const found = new Map<Shard, AppendCall[]>();
  for (const [shard, call] of calls) {
    const list = found.get(shard);
    if (list) list.push(call);
    else found.set(shard, [call]);
  }
  return found;
}
