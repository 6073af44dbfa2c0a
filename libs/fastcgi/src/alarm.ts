import type { Clock } from '@malabar/core';

/**
 * One moment to be woken at, cheap to move: a connection moves it with every request, so a timer
 * that is set stays and, when it fires early, is set again for the rest.
 */
export class Alarm {
  #dueAtMs = Number.POSITIVE_INFINITY;
  #firesAtMs = Number.POSITIVE_INFINITY;
  #cancel: () => void = () => {};

  constructor(
    private readonly clock: Clock,
    private readonly ring: () => void,
  ) {}

  /** Rings once, `delayMs` from now, instead of when it was set for before. */
  set(delayMs: number): void {
    this.#dueAtMs = this.clock.now() + delayMs;
    if (this.#dueAtMs < this.#firesAtMs) this.#arm(delayMs);
  }

  stop(): void {
    this.#dueAtMs = Number.POSITIVE_INFINITY;
    this.#firesAtMs = Number.POSITIVE_INFINITY;
    this.#cancel();
  }

  #arm(delayMs: number): void {
    this.#cancel();
    this.#firesAtMs = this.clock.now() + delayMs;
    this.#cancel = this.clock.after(delayMs, () => this.#fired());
  }

  #fired(): void {
    this.#firesAtMs = Number.POSITIVE_INFINITY;
    const restMs = this.#dueAtMs - this.clock.now();
    if (restMs > 0 && restMs !== Number.POSITIVE_INFINITY) this.#arm(restMs);
    if (restMs > 0) return;
    this.#dueAtMs = Number.POSITIVE_INFINITY;
    this.ring();
  }
}
