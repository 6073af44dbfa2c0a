import { common, type dispatcher } from '@malabar/contracts';
import { toBusError } from '@malabar/core';
import { Breaker } from './breaker.js';
import type { Delivery } from './delivery.js';
import type { LeaseBuffer } from './lease-buffer.js';
import {
  isDoneTold,
  type OnIdle,
  type Runner,
  type RunnerContext,
  type TopicSettings,
} from './runner.js';
import { Supply } from './supply.js';
import type { Attempt, Target } from './target.js';
import { retry, type Verdict } from './verdict.js';

/** php's post_max_size is 8 MiB, and a form of JSON can take three times the bytes of its jobs. */
const CHUNK_BYTES_MAX = 2 * 1024 * 1024;
const PING_TIMEOUT_MS_MAX = 10_000;
const NOTHING = Promise.resolve();
const NOT_ASKED = 'not asked yet whether the consumer serves the topic';

/** A target and who still uses it: running attempts end on the one that they began with. */
interface TargetUse {
  target: Target;
  running: number;
  replaced: boolean;
}

interface Running {
  use: TargetUse;
  attempt: Attempt;
  startedAtMs: number;
  epoch: number;
  abandoned: boolean;
  /** Resolves when the attempt has ended. */
  over: Promise<void>;
}

export interface TopicRunnerOptions {
  settings: TopicSettings;
  context: RunnerContext;
  target: Target;
  onIdle: OnIdle;
}

/**
 * Delivers one topic by requests: at most `share` at once, each with up to `chunk` jobs. A target
 * that cannot be reached opens the breaker, and the backlog stays at storage.
 */
export class TopicRunner implements Runner {
  readonly #context: RunnerContext;
  readonly #onIdle: OnIdle;
  readonly #supply: Supply;
  readonly #buffer: LeaseBuffer;
  readonly #breaker: Breaker;
  readonly #running = new Set<Running>();
  #use: TargetUse;
  #mustPing: boolean;
  #pinging = false;

  constructor({ settings, context, target, onIdle }: TopicRunnerOptions) {
    this.#context = context;
    this.#onIdle = onIdle;
    this.#use = { target, running: 0, replaced: false };
    this.#mustPing = target.pinged;
    this.#supply = new Supply({
      settings,
      context,
      room: () => this.#slots(),
      onLeased: () => this.#pump(),
      onShared: () => this.#changed(),
      onLost: () => this.#lost(),
    });
    this.#buffer = this.#supply.buffer;
    const { clock, random } = context;
    this.#breaker = new Breaker({ clock, random, onChange: () => this.#changed() });
    if (this.#mustPing) this.#breaker.doubt(NOT_ASKED);
    else this.#changed();
  }

  get #settings(): TopicSettings {
    return this.#supply.settings;
  }

  get running(): number {
    let count = 0;
    for (const { attempt } of this.#running) count += attempt.deliveries.length;
    return count;
  }

  // --- what the configuration says ----------------------------------------------------------------

  reconfigure(settings: TopicSettings): void {
    this.#supply.reconfigure(settings);
    this.#changed();
  }

  /** Sends attempts that begin from now on to another target. */
  retarget(target: Target): void {
    const old = this.#use;
    old.replaced = true;
    this.#use = { target, running: 0, replaced: false };
    this.#closeIfUnused(old);
    this.#mustPing = target.pinged;
    if (this.#mustPing) this.#breaker.doubt(NOT_ASKED);
    else if (this.#breaker.state !== 'closed') this.#breaker.doubt(this.#breaker.reason);
    else this.#changed();
  }

  // --- life ---------------------------------------------------------------------------------------

  tick(now: number): void {
    const { timeoutMs } = this.#settings.config;
    this.#buffer.keep(now, timeoutMs);
    // A command that is being ended at its limit may take its grace.
    for (const { attempt, startedAtMs } of this.#running)
      if (now - startedAtMs > attempt.timeoutMs)
        for (const delivery of attempt.deliveries) this.#buffer.prolong(delivery, now, timeoutMs);
  }

  status(): dispatcher.TargetStatus {
    const { queue, topic, share } = this.#supply;
    return {
      queue,
      topic,
      kind: this.#use.target.kind,
      address: this.#use.target.address,
      running: this.running,
      concurrency: share,
      blocked: this.#supply.blocked || this.#breaker.reason,
      workers: 0,
      lacks: '',
    };
  }

  retire(): void {
    this.#supply.retired = true;
    this.#breaker.stop();
    this.#changed();
  }

  async abandon(): Promise<void> {
    await Promise.all(this.#cancel('the dispatcher stops').map(({ over }) => over));
    for (const running of this.#running) {
      running.abandoned = true;
      for (const delivery of running.attempt.deliveries)
        this.#context.link.settle(delivery, { kind: common.OutcomeKind.RELEASE });
    }
    this.#running.clear();
  }

  /** What would go on by itself would run beside its own next try. */
  #lost(): void {
    for (const running of this.#cancel('its lease is lost')) running.abandoned = true;
  }

  /** Begins to end what would go on by itself. */
  #cancel(reason: string): Running[] {
    const lingering = [...this.#running].filter(({ use }) => use.target.cancel !== undefined);
    for (const { use, attempt } of lingering) use.target.cancel?.(attempt, reason);
    return lingering;
  }

  async close(): Promise<void> {
    this.#use.replaced = true;
    await this.#use.target.close();
  }

  // --- flow ---------------------------------------------------------------------------------------

  /** Requests that may run at once now. */
  #slots(): number {
    if (!this.#supply.open) return 0;
    const { state } = this.#breaker;
    if (state === 'closed') return this.#supply.share;
    return state === 'half-open' && !this.#mustPing ? 1 : 0;
  }

  get #chunk(): number {
    return Math.max(1, Math.min(this.#settings.config.chunk, this.#use.target.chunkMax));
  }

  /** Follows from the state: what to hold, what to give back, what to ask. */
  #changed(): void {
    const slots = this.#slots();
    if (slots === 0) this.#buffer.release();
    if (!this.#supply.open) {
      this.#supply.unsubscribe();
      return;
    }
    this.#supply.subscribe(this.#credits(slots));
    if (this.#mustPing && this.#breaker.state === 'half-open') void this.#ping();
    this.#pump();
  }

  #credits(slots: number): number {
    // A probe is one job: if it comes back, the others need not follow it.
    if (this.#breaker.state !== 'closed') return slots;
    return Math.ceil(slots * this.#chunk * (1 + this.#context.prefetch));
  }

  #pump(): void {
    while (this.#running.size < this.#slots()) {
      const deliveries = this.#take(this.#context.clock.now());
      if (deliveries.length === 0) break;
      this.#begin(deliveries);
    }
  }

  /**
   * What is there now for one request; nothing waits for a fuller one. What has failed before goes
   * alone: one that always fails would take its neighbours with it again and again.
   */
  #take(now: number): Delivery[] {
    const deliveries: Delivery[] = [];
    const { timeoutMs } = this.#settings.config;
    const max = this.#breaker.state === 'closed' ? this.#chunk : 1;
    let bytes = 0;
    while (deliveries.length < max) {
      const next = this.#buffer.peek(now);
      if (next === undefined) break;
      bytes += next.bytes;
      const isRetry = next.attempt > 1;
      if (deliveries.length > 0 && (isRetry || bytes > CHUNK_BYTES_MAX)) break;
      deliveries.push(this.#buffer.take(now, timeoutMs) as Delivery);
      if (isRetry) break;
    }
    return deliveries;
  }

  #begin(deliveries: readonly Delivery[]): void {
    const use = this.#use;
    const { config, queue } = this.#settings;
    const { name, timeoutMs } = config;
    const running: Running = {
      use,
      attempt: { queue, topic: name, deliveries, timeoutMs, retry: config.retry },
      startedAtMs: this.#context.clock.now(),
      epoch: this.#breaker.epoch,
      abandoned: false,
      over: NOTHING,
    };
    this.#running.add(running);
    use.running++;
    running.over = this.#deliver(running);
  }

  async #deliver(running: Running): Promise<void> {
    const { use, attempt } = running;
    const verdict = await use.target.deliver(attempt).catch(broken);
    use.running--;
    this.#closeIfUnused(use);
    this.#running.delete(running);
    if (!running.abandoned) this.#end(running, verdict);
    if (this.#supply.retired && this.#running.size === 0) this.#onIdle();
  }

  #end({ attempt: { deliveries }, startedAtMs, epoch }: Running, verdict: Verdict): void {
    const { link, clock, metrics } = this.#context;
    const isPlain = verdict.kind === common.OutcomeKind.DONE && !isDoneTold(this.#settings.config);
    const durationMs = clock.now() - startedAtMs;
    const { DONE, RELEASE } = common.OutcomeKind;
    // The next request before the books: a consumer that is free should not wait for them.
    if (verdict.kind === DONE && !this.#mustPing) this.#pump();
    metrics.ended(verdict.kind, deliveries.length);
    if (verdict.kind !== RELEASE) metrics.took(durationMs);
    for (const delivery of deliveries) {
      if (isPlain) link.done(delivery);
      else link.settle(delivery, this.#ending(verdict, { startedAtMs, durationMs }));
    }
    if (this.#supply.retired) return;
    if (verdict.kind === RELEASE || verdict.blocks)
      this.#breaker.trip(verdict.error, verdict.retryAfterMs);
    else if (!this.#mustPing) this.#breaker.reached(epoch);
    if (verdict.unknownTopic && this.#use.target.pinged) this.#askAgain();
    this.#pump();
  }

  #ending(verdict: Verdict, times: { startedAtMs: number; durationMs: number }) {
    const { kind, errorCode, error, exitCode } = verdict;
    // Nobody keeps it but who is told of results.
    const output = this.#settings.config.result && verdict.output;
    // A released delivery is ready at once; the pause is the topic's.
    const retryAfterMs = kind === common.OutcomeKind.RELEASE ? 0 : verdict.retryAfterMs;
    return { kind, errorCode, error, output, exitCode, retryAfterMs, ...times };
  }

  #closeIfUnused(use: TargetUse): void {
    if (!use.replaced || use.running > 0) return;
    use.target.close().catch((error) => this.#context.log.warn({ err: error }, 'closing a target'));
  }

  // --- asking the consumer ------------------------------------------------------------------------

  #askAgain(): void {
    if (this.#mustPing) return;
    this.#mustPing = true;
    this.#breaker.doubt('the consumer did not know the topic');
  }

  async #ping(): Promise<void> {
    if (this.#pinging) return;
    this.#pinging = true;
    const use = this.#use;
    const { epoch } = this.#breaker;
    const { timeoutMs } = this.#settings.config;
    const path = `${this.#supply.queue}/${this.#supply.topic}`;
    const fault = await use.target
      .ping(path, Math.min(timeoutMs, PING_TIMEOUT_MS_MAX))
      .catch((error) => toBusError(error).message);
    this.#pinging = false;
    if (this.#supply.retired) return;
    if (use !== this.#use || epoch !== this.#breaker.epoch) return this.#changed();
    if (fault !== '') return this.#breaker.trip(fault);
    this.#mustPing = false;
    this.#breaker.reached(epoch);
  }
}

function broken(error: unknown): Verdict {
  return retry('INTERNAL', toBusError(error).message);
}
