import { records } from '@malabar/contracts';
import type { Topic } from './core/topic.js';
import type { LogEntry } from './engine.js';
import type { Store } from './store.js';

/** How often leases are looked at for their end. */
const TICK_MS = 250;

/** What a topic's delay must know of a batch. */
interface BatchAge {
  acceptedAtMs: number;
  endSeq: number;
}

export interface TimekeeperOptions {
  store: Store;
  /** Something may be ready in this topic now. */
  onReady(topic: Topic): void;
  /** A delivery that was known to come due may be due. */
  onWake(): void;
  /** Four times a second. */
  onTick(): void;
}

/** Lets time pass for topics: delays end, retries come due. */
export class Timekeeper {
  readonly #maturing = new Set<Topic>();
  /** Topics that wait for their rate. */
  readonly #paced = new Map<Topic, { atMs: number; cancel: () => void }>();
  #wakeAtMs = Number.POSITIVE_INFINITY;
  #cancelWake: (() => void) | undefined;
  #cancelTick: (() => void) | undefined;
  #closed = false;

  constructor(private readonly options: TimekeeperOptions) {}

  /** Begins to tick; again does nothing. */
  start(): void {
    if (this.#cancelTick !== undefined || this.#closed) return;
    const { clock } = this.options.store.options;
    const tick = (): void => {
      this.#cancelTick = clock.after(TICK_MS, tick);
      this.options.onTick();
    };
    this.#cancelTick = clock.after(TICK_MS, tick);
  }

  /** Brings a topic up to the present; reads that this takes end in `onReady`. */
  advance(topic: Topic): void {
    const { store, onReady } = this.options;
    const { clock, log } = store.options;
    for (const scan of topic.advance(clock.now())) {
      const loaded = store.scanFor(scan.range, (page) => {
        scan.loaded(page, clock.now());
        onReady(topic);
      });
      loaded.catch((err) => {
        scan.failed();
        log.error({ err }, 'cannot read the deliveries that are due');
      });
    }
    // What has ended by itself has to become durable, and told.
    if (topic.dirty) store.committer.dirty();
    if (topic.unmaturedFrom === undefined || topic.config.delayMs === 0) return;
    this.#mature(topic).catch((err) => log.error({ err }, 'cannot read the age of jobs'));
  }

  /** Makes sure that somebody wakes when the topic's next delivery comes due, or its rate has room again. */
  watch(topic: Topic): void {
    const dueAtMs = topic.nextDueAtMs();
    if (dueAtMs !== undefined) this.#wakeAt(dueAtMs);
    if (topic.dirty) this.options.store.committer.dirty();
    const now = this.options.store.options.clock.now();
    const roomAtMs = topic.roomAtMs(now);
    if (roomAtMs !== undefined) this.#paceUntil(topic, roomAtMs, now);
  }

  close(): void {
    this.#closed = true;
    this.#cancelWake?.();
    this.#cancelTick?.();
    for (const { cancel } of this.#paced.values()) cancel();
  }

  /** A rate wakes its own topic only: others have nothing new. */
  #paceUntil(topic: Topic, atMs: number, now: number): void {
    const known = this.#paced.get(topic);
    if (this.#closed || (known !== undefined && known.atMs <= atMs)) return;
    known?.cancel();
    const { clock } = this.options.store.options;
    const cancel = clock.after(Math.max(1, atMs - now), () => {
      this.#paced.delete(topic);
      this.options.onReady(topic);
    });
    this.#paced.set(topic, { atMs, cancel });
  }

  #wakeAt(dueAtMs: number): void {
    if (this.#closed || dueAtMs >= this.#wakeAtMs) return;
    this.#cancelWake?.();
    this.#wakeAtMs = dueAtMs;
    const { clock } = this.options.store.options;
    this.#cancelWake = clock.after(Math.max(1, dueAtMs - clock.now()), () => {
      this.#wakeAtMs = Number.POSITIVE_INFINITY;
      this.options.onWake();
    });
  }

  /** Lets jobs of a topic with a delay become old enough, batch by batch. */
  async #mature(topic: Topic): Promise<void> {
    if (this.#maturing.has(topic)) return;
    this.#maturing.add(topic);
    let moved = false;
    try {
      for (let seq = topic.unmaturedFrom; seq !== undefined; seq = topic.unmaturedFrom) {
        const batch = await this.#batchFrom(topic.shard, seq);
        const readyAtMs = (batch?.acceptedAtMs ?? 0) + topic.config.delayMs;
        if (readyAtMs > this.options.store.options.clock.now()) {
          this.#wakeAt(readyAtMs);
          break;
        }
        topic.matured(batch?.endSeq ?? Number.MAX_SAFE_INTEGER);
        moved = true;
      }
    } finally {
      this.#maturing.delete(topic);
    }
    if (moved) this.options.onReady(topic);
  }

  /** The batch that holds a job or, if that was trimmed, the next one. */
  async #batchFrom(shard: number, seq: number): Promise<BatchAge | undefined> {
    const { reader, options } = this.options.store;
    const cached = reader.cached(shard, seq);
    if (cached !== undefined) return cached;
    const entry = await options.engine.readLog(shard, seq);
    const age = entry && ageOf(entry);
    if (age !== undefined && seq < age.endSeq) return age;
    const next = await options.engine.nextLog(shard, seq);
    return next && ageOf(next);
  }
}

function ageOf(entry: LogEntry): BatchAge {
  const { acceptedAtMs, count } = records.LogRecord.decode(entry.bytes);
  return { acceptedAtMs, endSeq: entry.firstSeq + count };
}
