import { common } from '@malabar/contracts';
import type { Clock } from '@malabar/core';
import { MalabarError } from '../errors.js';
import { type JobFacts, jobFacts } from './job-facts.js';
import type { Held } from './session.js';
import { Told } from './told.js';
import { RELEASE_VERDICT, retryVerdict, type Verdict } from './verdict.js';

/** What a handler has after its signal was aborted, to end by itself. */
const GRACE_MS = 5_000;
const LOST = 'STALE_LEASE';

export interface AttemptsOptions {
  /** `queue/topic`. */
  path: string;
  /** Jobs at once. */
  concurrency: number;
  /** How long a handler may take. */
  timeoutMs: number;
  /** Does the job; never rejects. */
  run(facts: JobFacts): Promise<Verdict>;
  /** As many handlers as may run at once have not ended though their time was over long ago. */
  onHung(error: MalabarError): void;
  clock: Clock;
}

interface Attempt {
  /** Undefined once it is answered. */
  held: Held | undefined;
  readonly controller: AbortController;
  /** The same job, which came again because its lease was lost. */
  again: Held | undefined;
}

/**
 * The jobs of one task that are being done, over all streams: a handler that goes on after its stream
 * broke keeps its place, and its job is not begun a second time beside it.
 */
export class Attempts {
  readonly #options: AttemptsOptions;
  /** By job. */
  readonly #running = new Map<string, Attempt>();
  /** Those that go on though they were given up. */
  readonly #hung = new Set<Attempt>();
  readonly #told = new Told();
  #waiting: Held[] = [];
  #isStopping = false;
  #onIdle: Array<() => void> = [];

  constructor(options: AttemptsOptions) {
    this.#options = options;
  }

  /** Handlers at work. */
  get running(): number {
    return this.#running.size + this.#hung.size;
  }

  /** A job that has come. */
  take(held: Held): void {
    const { jobId, attempt } = held.item;
    const told = this.#isStopping ? RELEASE_VERDICT : this.#told.find(jobId, attempt);
    const before = this.#running.get(jobId);
    if (told !== undefined) answer(held, told);
    else if (before !== undefined) before.again = held;
    else if (this.#running.size < this.#options.concurrency) this.#start(held);
    else this.#waiting.push(held);
  }

  /** The lease of a job has ended without our answer. */
  lose(held: Held): void {
    const attempt = this.#running.get(held.item.jobId);
    if (attempt?.held === held) {
      const reason = `the lease of job ${held.item.jobId} is lost: it is somebody else's now`;
      attempt.controller.abort(new MalabarError(LOST, reason));
      return;
    }
    if (attempt?.again === held) attempt.again = undefined;
    this.#waiting = this.#waiting.filter((one) => one !== held);
    // Frees its place.
    answer(held, retryVerdict(LOST, 'the lease was lost'));
  }

  /** Begins nothing more; gives what runs `drainMs` to end, and what is cut short back. */
  async stop(drainMs: number): Promise<void> {
    this.#isStopping = true;
    for (const held of this.#waiting.splice(0)) answer(held, RELEASE_VERDICT);
    for (const attempt of this.#running.values()) {
      if (attempt.again !== undefined) answer(attempt.again, RELEASE_VERDICT);
      attempt.again = undefined;
    }
    if (await this.#idle(drainMs)) return;
    const reason = new MalabarError('UNAVAILABLE', 'the worker stops');
    for (const { controller } of this.#running.values()) controller.abort(reason);
    if (await this.#idle(GRACE_MS)) return;
    for (const attempt of this.#running.values()) this.#answer(attempt, RELEASE_VERDICT);
  }

  #start(held: Held): void {
    const { path, clock, timeoutMs, run } = this.#options;
    const controller = new AbortController();
    const attempt: Attempt = { held, controller, again: undefined };
    this.#running.set(held.item.jobId, attempt);
    const cancelTimer = clock.after(timeoutMs, () => this.#takesTooLong(held.item.jobId, attempt));
    void run(jobFacts(path, held.item, controller.signal)).then((verdict) => {
      cancelTimer();
      if (!this.#hung.delete(attempt)) this.#end(held.item.jobId, attempt, verdict);
    });
  }

  #end(jobId: string, attempt: Attempt, verdict: Verdict): void {
    this.#running.delete(jobId);
    this.#answer(attempt, verdict);
    // Answered as the one before if it is the same attempt, else begun.
    if (attempt.again !== undefined) this.take(attempt.again);
    while (this.#waiting.length > 0 && this.#running.size < this.#options.concurrency) {
      this.take(this.#waiting.shift() as Held);
    }
    if (this.#running.size === 0) for (const resolve of this.#onIdle.splice(0)) resolve();
  }

  #takesTooLong(jobId: string, attempt: Attempt): void {
    const { timeoutMs, clock } = this.#options;
    const reason = `took longer than the ${timeoutMs} ms that the worker gives a job`;
    attempt.controller.abort(new MalabarError('TIMEOUT', reason));
    clock.after(GRACE_MS, () => this.#giveUp(jobId, attempt, `${reason}, and goes on`));
  }

  /** One that does not listen cannot be ended, but nobody need wait for it. */
  #giveUp(jobId: string, attempt: Attempt, reason: string): void {
    if (this.#running.get(jobId) !== attempt) return;
    this.#hung.add(attempt);
    this.#end(jobId, attempt, retryVerdict('TIMEOUT', reason));
    const { path, concurrency, onHung } = this.#options;
    if (this.#hung.size < concurrency) return;
    const message = `${this.#hung.size} handlers of ${path} do not end: this program must start anew`;
    onHung(new MalabarError('TIMEOUT', message));
  }

  /** Once for each attempt. */
  #answer(attempt: Attempt, verdict: Verdict): void {
    const { held } = attempt;
    if (held === undefined) return;
    attempt.held = undefined;
    const isFinal = verdict.kind !== common.OutcomeKind.RELEASE && verdict.errorCode !== LOST;
    if (isFinal) this.#told.remember(held.item.jobId, held.item.attempt, verdict);
    answer(held, verdict);
  }

  /** Whether nothing runs within the time. */
  async #idle(ms: number): Promise<boolean> {
    if (this.#running.size === 0) return true;
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.after(ms, resolve);
      this.#onIdle.push(() => {
        cancel();
        resolve();
      });
    });
    return this.#running.size === 0;
  }
}

function answer(held: Held, verdict: Verdict): void {
  held.session.answer(held, verdict);
}
