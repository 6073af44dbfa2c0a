import { type Clock, reconnectDelayMs } from '@malabar/core';

const PAUSE_MS_MIN = 100;
const PAUSE_MS_MAX = 30_000;

export interface BreakerOptions {
  clock: Clock;
  random: () => number;
  /** The state has changed. */
  onChange: () => void;
}

/**
 * Keeps jobs away from a target that cannot be reached. Closed: all is well. Open: nothing is tried
 * for a pause that doubles with each failure. Half-open: one probe shows whether it is back.
 */
export class Breaker {
  state: 'closed' | 'open' | 'half-open' = 'closed';
  /** Why it is not closed. */
  reason = '';
  /** Grows when it trips: an attempt that began before must not close it. */
  epoch = 0;
  #failures = 0;
  #cancel: (() => void) | undefined;

  constructor(private readonly options: BreakerOptions) {}

  /** Opens for the next pause, at least for `pauseMsMin`. Does nothing while it is open. */
  trip(reason: string, pauseMsMin = 0): void {
    if (this.state === 'open') return;
    const { clock, random } = this.options;
    const pauseMs = reconnectDelayMs(this.#failures++, random, PAUSE_MS_MIN, PAUSE_MS_MAX);
    this.epoch++;
    this.#cancel = clock.after(Math.max(pauseMs, pauseMsMin), () => this.#move('half-open'));
    this.reason = reason;
    this.#move('open');
  }

  /** Asks for a probe now: something has to be found out before the next job. */
  doubt(reason: string): void {
    this.#cancel?.();
    this.epoch++;
    this.reason = reason;
    this.#move('half-open');
  }

  /** The target was reached by an attempt or a ping that began in `epoch`. */
  reached(epoch: number): void {
    if (epoch !== this.epoch || this.state === 'closed') return;
    this.#cancel?.();
    this.#failures = 0;
    this.reason = '';
    this.#move('closed');
  }

  stop(): void {
    this.#cancel?.();
  }

  #move(state: Breaker['state']): void {
    this.state = state;
    this.options.onChange();
  }
}
