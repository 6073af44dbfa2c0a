import { setImmediate as nextLoop } from 'node:timers/promises';
import type { Clock } from '@malabar/core';

interface Timer {
  dueAtMs: number;
  order: number;
  run: () => void;
}

/** A clock that stands still until a test moves it. */
export class FakeClock implements Clock {
  #nowMs: number;
  #order = 0;
  #timers = new Set<Timer>();

  constructor(startMs = Date.UTC(2030, 0, 1)) {
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { dueAtMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** How many timers wait. */
  get pending(): number {
    return this.#timers.size;
  }

  /** When the next timer is due, in Unix milliseconds. */
  get nextDueAtMs(): number | undefined {
    return this.#next()?.dueAtMs;
  }

  /**
   * Moves time on, firing what falls due in its order, also timers that fired ones set. Promise
   * chains and pending I/O callbacks get their turn before, between and after.
   */
  async advance(ms: number): Promise<void> {
    const end = this.#nowMs + ms;
    await nextLoop();
    while (this.#fireNext(end)) await nextLoop();
    this.#nowMs = end;
    await nextLoop();
  }

  /** `advance` for synchronous code: nothing asynchronous runs in between. */
  advanceSync(ms: number): void {
    const end = this.#nowMs + ms;
    while (this.#fireNext(end));
    this.#nowMs = end;
  }

  #fireNext(endMs: number): boolean {
    const timer = this.#next();
    if (timer === undefined || timer.dueAtMs > endMs) return false;
    this.#timers.delete(timer);
    this.#nowMs = Math.max(this.#nowMs, timer.dueAtMs);
    timer.run();
    return true;
  }

  #next(): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (next === undefined || isBefore(timer, next)) next = timer;
    }
    return next;
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.dueAtMs < b.dueAtMs || (a.dueAtMs === b.dueAtMs && a.order < b.order);
}
