import type { Clock } from '@malabar/core';
import type { Dice } from './dice.suite.js';

/** Lets everything run that waits for nothing but its turn. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** What has begun and not ended in one life of a store: the dice decide what ends next. */
export class Schedule {
  #events: Array<() => void> = [];
  /** The disk answers at once. */
  hurried = false;

  get size(): number {
    return this.#events.length;
  }

  add(run: () => void): void {
    this.#events.push(run);
  }

  runOne(dice: Dice): void {
    const [run] = this.#events.splice(dice.below(this.#events.length), 1);
    run?.();
  }

  runAll(): void {
    for (const run of this.#events.splice(0)) run();
  }

  clear(): void {
    this.#events = [];
  }
}

interface Timer {
  dueAtMs: number;
  order: number;
  run: () => void;
}

/** The time of a history; it outlives its stores. */
export interface Time {
  now: number;
}

/** The clock of one life of a store. It jumps: what fell due meanwhile runs late, as on a machine that slept. */
export class SimClock implements Clock {
  readonly #timers = new Set<Timer>();
  #order = 0;

  constructor(private readonly time: Time) {}

  now(): number {
    return this.time.now;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { dueAtMs: this.time.now + Math.max(0, delayMs), order: this.#order++, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  get nextDueAtMs(): number | undefined {
    return this.#next()?.dueAtMs;
  }

  /** Runs what is due, in its order. */
  fire(): void {
    for (let i = 0; i < 1000; i++) {
      const timer = this.#next();
      if (timer === undefined || timer.dueAtMs > this.time.now) return;
      this.#timers.delete(timer);
      timer.run();
    }
    throw new Error('timers without end');
  }

  #next(): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers)
      if (
        next === undefined ||
        timer.dueAtMs < next.dueAtMs ||
        (timer.dueAtMs === next.dueAtMs && timer.order < next.order)
      )
        next = timer;
    return next;
  }
}
