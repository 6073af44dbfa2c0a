import { common, type dispatcher } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { Delivery } from '../delivery.js';
import { LEASE_GRACE_MS, type LeaseBuffer } from '../lease-buffer.js';
import {
  isDoneTold,
  type OnIdle,
  type Runner,
  type RunnerContext,
  type TopicSettings,
} from '../runner.js';
import { Supply } from '../supply.js';
import { clip } from '../verdict.js';
import type { Worker } from './worker.js';

/** A worker that puts jobs back rests at least this long, or the same jobs would come at once again. */
const REST_MS_MIN = 1_000;
const REST_MS_MAX = 30_000;
/** The most jobs that one worker may hold. */
export const CAPACITY_MAX = 65_536;

export interface WorkerRunnerOptions {
  settings: TopicSettings;
  context: RunnerContext;
  onIdle: OnIdle;
  /** Runs its argument after the events that wait now: setImmediate. */
  turn: (run: () => void) => void;
}

/**
 * Delivers one topic to the workers that are connected: the one that holds least gets the next job.
 * No promise and no timer per job; what belongs together in one turn of the event loop travels together.
 */
export class WorkerRunner implements Runner {
  readonly #context: RunnerContext;
  readonly #options: WorkerRunnerOptions;
  readonly #supply: Supply;
  readonly #buffer: LeaseBuffer;
  /** Deliveries that have crashed a worker before: each goes alone. */
  readonly #suspects: LeaseBuffer;
  /** Gets nothing more until it is idle, for the next suspect. */
  #reserved: Worker | undefined;
  readonly #workers = new Set<Worker>();
  #running = 0;
  #scheduled = false;

  constructor(options: WorkerRunnerOptions) {
    const { settings, context } = options;
    this.#options = options;
    this.#context = context;
    this.#supply = new Supply({
      settings,
      context,
      apart: true,
      room: () => this.#places(),
      onLeased: () => this.#assign(),
      onShared: () => this.#changed(),
      onLost: () => this.#lost(),
    });
    this.#buffer = this.#supply.buffer;
    this.#suspects = this.#supply.suspects;
    this.#changed();
  }

  get #settings(): TopicSettings {
    return this.#supply.settings;
  }

  get passwordHash(): string {
    return this.#settings.passwordHash;
  }

  get running(): number {
    return this.#running;
  }

  // --- what workers say ---------------------------------------------------------------------------

  join(worker: Worker): void {
    this.#workers.add(worker);
    this.#changed();
  }

  /** It goes in peace, or is sent away: its jobs go to another worker at once. */
  leave(worker: Worker): void {
    this.#gone(worker, (delivery) => this.#settle(delivery, common.OutcomeKind.RELEASE));
  }

  /**
   * Its stream broke: unless it had said that it leaves, or this topic is being drained, any of its jobs may
   * have killed it. A network that breaks looks the same, and costs them an attempt.
   */
  broke(worker: Worker): void {
    if (worker.isLeaving || this.#supply.retired) {
      this.leave(worker);
      return;
    }
    const error = `the stream of ${worker.port.name} broke while it had ${jobs(worker.held.size)}`;
    const verdict = {
      kind: common.OutcomeKind.CRASH,
      retryAfterMs: 0,
      errorCode: 'WORKER_GONE',
      error,
    };
    this.#gone(worker, (delivery) => this.#failed(worker, delivery, verdict));
  }

  #gone(worker: Worker, end: (delivery: Delivery) => void): void {
    if (!this.#workers.delete(worker)) return;
    for (const delivery of worker.held.values()) end(delivery);
    this.#running -= worker.held.size;
    worker.held.clear();
    worker.outbox = [];
    this.#changed();
    this.#reportIdle();
  }

  setCapacity(worker: Worker, capacity: number): void {
    worker.capacity = Math.min(capacity, CAPACITY_MAX);
    this.#changed();
  }

  /** It stops: no more jobs for it. */
  leaving(worker: Worker): void {
    worker.isLeaving = true;
    this.stopped(worker);
  }

  /** No more jobs for it. */
  stopped(worker: Worker): void {
    worker.restUntilMs = Number.POSITIVE_INFINITY;
    this.#changed();
  }

  /** Leases whose jobs are done. One that is not the worker's (any more) changes nothing. */
  done(worker: Worker, leaseIds: readonly number[]): void {
    const { link, clock, metrics } = this.#context;
    const { DONE } = common.OutcomeKind;
    const isTold = isDoneTold(this.#settings.config);
    const now = clock.now();
    const before = worker.held.size;
    for (const leaseId of leaseIds) {
      const delivery = worker.held.get(leaseId);
      if (delivery === undefined) {
        worker.overdue.delete(leaseId);
        continue;
      }
      worker.held.delete(leaseId);
      const durationMs = now - delivery.startedAtMs;
      if (isTold) link.settle(delivery, { kind: DONE, consumer: worker.port.name, durationMs });
      else link.done(delivery);
      metrics.took(durationMs);
    }
    const count = before - worker.held.size;
    this.#running -= count;
    metrics.ended(DONE, count);
    this.#schedule();
    this.#reportIdle();
  }

  outcome(worker: Worker, outcome: common.Outcome): void {
    const { DONE, EXTEND, RELEASE } = common.OutcomeKind;
    const delivery = worker.held.get(outcome.leaseId);
    if (outcome.kind === DONE) this.done(worker, [outcome.leaseId]);
    else if (outcome.kind === EXTEND) this.#extend(worker, delivery);
    else if (delivery === undefined) worker.overdue.delete(outcome.leaseId);
    else {
      worker.held.delete(outcome.leaseId);
      this.#running--;
      if (outcome.kind === RELEASE) this.#rest(worker, outcome.retryAfterMs);
      this.#failed(worker, delivery, judged(outcome));
    }
    this.#schedule();
    this.#reportIdle();
  }

  // --- what storage says --------------------------------------------------------------------------

  /** Their places stay taken until they answer: they are still at it. */
  #lost(): void {
    for (const { held, port } of this.#workers) if (held.size > 0) port.lost([...held.keys()]);
  }

  // --- life ---------------------------------------------------------------------------------------

  reconfigure(settings: TopicSettings): void {
    const before = this.#settings;
    this.#supply.reconfigure(settings);
    if (before.passwordHash !== settings.passwordHash)
      this.#endWorkers(new BusError('UNAUTHENTICATED', 'the password of the topic has changed'));
    this.#changed();
  }

  tick(now: number): void {
    const { timeoutMs } = this.#settings.config;
    this.#buffer.keep(now, timeoutMs);
    this.#suspects.keep(now, timeoutMs);
    for (const worker of this.#workers) this.#expire(worker, now - timeoutMs);
    this.#changed();
  }

  status(): dispatcher.TargetStatus {
    const { queue, topic, share, blocked } = this.#supply;
    const lacksWorkers = this.#workers.size === 0 ? 'no worker connected' : '';
    return {
      queue,
      topic,
      kind: 'grpc',
      address: '',
      running: this.#running,
      concurrency: share,
      blocked: blocked || lacksWorkers,
      workers: this.#workers.size,
      lacks: '',
    };
  }

  retire(): void {
    this.#supply.retired = true;
    this.#changed();
  }

  async abandon(): Promise<void> {
    const { queue, topic } = this.#supply;
    const gone = new BusError(
      'UNAVAILABLE',
      `topic '${queue}/${topic}' is not served here any more`,
    );
    this.#endWorkers(gone);
  }

  async close(): Promise<void> {
    await this.abandon();
  }

  // --- flow ---------------------------------------------------------------------------------------

  /** Jobs that may run at once now. */
  #places(): number {
    if (!this.#supply.open) return 0;
    const now = this.#context.clock.now();
    let capacity = 0;
    for (const worker of this.#workers)
      if (worker.restUntilMs <= now) capacity += worker.capacity - worker.overdue.size;
    return Math.max(0, Math.min(capacity, this.#supply.share));
  }

  /** Follows from the state: what to hold and what to give back. */
  #changed(): void {
    const places = this.#places();
    if (places === 0) this.#supply.release();
    // Without workers we leave our share of the concurrency to dispatchers that have some.
    if (!this.#supply.open || this.#workers.size === 0) {
      this.#supply.unsubscribe();
      return;
    }
    this.#supply.subscribe(Math.ceil(places * (1 + this.#context.prefetch)));
    this.#assign();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#options.turn(() => {
      this.#scheduled = false;
      this.#changed();
    });
  }

  #assign(): void {
    const now = this.#context.clock.now();
    const { timeoutMs } = this.#settings.config;
    const share = this.#supply.retired ? 0 : this.#supply.share;
    const touched = new Set<Worker>();
    const give = (worker: Worker, from: LeaseBuffer): Delivery => {
      const delivery = from.take(now, timeoutMs) as Delivery;
      worker.held.set(delivery.leaseId, delivery);
      worker.outbox.push(delivery);
      touched.add(worker);
      this.#running++;
      return delivery;
    };
    this.#reserved = undefined;
    while (this.#running < share && this.#suspects.peek(now) !== undefined) {
      const worker = this.#leastLoaded(now, ({ overdue }) => overdue.size === 0);
      if (worker === undefined) break;
      if (worker.held.size === 0) worker.suspect = give(worker, this.#suspects).leaseId;
      else {
        this.#reserved = worker;
        break;
      }
    }
    while (this.#running < share && this.#buffer.peek(now) !== undefined) {
      const worker = this.#leastLoaded(now);
      if (worker === undefined) break;
      give(worker, this.#buffer);
    }
    for (const worker of touched) {
      worker.port.send(worker.outbox, timeoutMs);
      worker.outbox = [];
    }
  }

  #leastLoaded(now: number, fits = (_: Worker): boolean => true): Worker | undefined {
    let best: Worker | undefined;
    for (const worker of this.#workers) {
      if (worker.free <= 0 || worker.restUntilMs > now || worker === this.#reserved) continue;
      if (!fits(worker)) continue;
      if (best === undefined || worker.held.size < best.held.size) best = worker;
    }
    return best;
  }

  #expire(worker: Worker, aliveBefore: number): void {
    const lost: number[] = [];
    for (const delivery of worker.held.values()) {
      if (delivery.aliveAtMs > aliveBefore) break;
      worker.held.delete(delivery.leaseId);
      worker.overdue.add(delivery.leaseId);
      lost.push(delivery.leaseId);
      this.#running--;
      const { timeoutMs } = this.#settings.config;
      const error = `no answer from ${worker.port.name} within ${timeoutMs} ms`;
      this.#failed(worker, delivery, {
        kind: common.OutcomeKind.RETRY,
        retryAfterMs: 0,
        errorCode: 'TIMEOUT',
        error,
      });
    }
    if (lost.length > 0) worker.port.lost(lost);
    this.#reportIdle();
  }

  #extend(worker: Worker, delivery: Delivery | undefined): void {
    if (delivery === undefined) return;
    const now = this.#context.clock.now();
    const { timeoutMs } = this.#settings.config;
    delivery.aliveAtMs = now;
    delivery.leaseUntilMs = now + timeoutMs + LEASE_GRACE_MS;
    worker.held.delete(delivery.leaseId);
    worker.held.set(delivery.leaseId, delivery);
    this.#settle(delivery, common.OutcomeKind.EXTEND);
  }

  #rest(worker: Worker, retryAfterMs: number): void {
    const restMs = Math.min(REST_MS_MAX, Math.max(REST_MS_MIN, retryAfterMs));
    worker.restUntilMs = Math.max(worker.restUntilMs, this.#context.clock.now() + restMs);
  }

  #failed(worker: Worker, delivery: Delivery, verdict: Judged): void {
    const { clock, link, metrics } = this.#context;
    const durationMs = clock.now() - delivery.startedAtMs;
    const consumer = worker.port.name;
    link.settle(delivery, { ...verdict, consumer, startedAtMs: delivery.startedAtMs, durationMs });
    metrics.ended(verdict.kind, 1);
    metrics.took(durationMs);
  }

  #settle(delivery: Delivery, kind: common.OutcomeKind): void {
    this.#context.link.settle(delivery, { kind });
  }

  #endWorkers(error: BusError): void {
    for (const worker of [...this.#workers]) {
      this.leave(worker);
      worker.port.end(error);
    }
  }

  #reportIdle(): void {
    if (this.#supply.retired && this.#running === 0) this.#options.onIdle();
  }
}

const jobs = (count: number): string => (count === 1 ? 'this job' : `${count} jobs`);

type Judged = Pick<common.Outcome, 'kind' | 'retryAfterMs' | 'errorCode' | 'error'>;

const KINDS = new Set<common.OutcomeKind>([
  common.OutcomeKind.RETRY,
  common.OutcomeKind.DEAD,
  common.OutcomeKind.RELEASE,
  common.OutcomeKind.CRASH,
]);

/** A worker's outcome, bounded; one of no known kind is a failure that says so. */
function judged({ kind, retryAfterMs, errorCode, error }: common.Outcome): Judged {
  const known = KINDS.has(kind);
  return {
    kind: known ? kind : common.OutcomeKind.RETRY,
    retryAfterMs: kind === common.OutcomeKind.RELEASE ? 0 : Math.max(0, retryAfterMs),
    errorCode: known ? clip(errorCode, 128) : 'BAD_ANSWER',
    error: known ? clip(error) : `the worker sent an outcome of unknown kind ${kind}`,
  };
}
