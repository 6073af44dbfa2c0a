import { common } from '@malabar/contracts';
import type { Delivery } from './delivery.js';
import type { StorageLink } from './storage-link.js';

/** What a lease lasts beyond the topic's timeout (storage grants it) ... */
export const LEASE_GRACE_MS = 15_000;
/** ... and how much of that an attempt must still have when it starts. */
const START_MARGIN_MS = 8_000;
/** A waiting delivery's lease is extended when it has less than this. */
const WAIT_MARGIN_MS = 10_000;

/** Leased deliveries of one topic that have not started yet, oldest first. Bounded by the credits. */
export class LeaseBuffer {
  #items: Delivery[] = [];
  #head = 0;

  constructor(private readonly link: StorageLink) {}

  get size(): number {
    return this.#items.length - this.#head;
  }

  push(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) this.#items.push(delivery);
  }

  /** Without what is ended by now: those deliveries are somebody else's. */
  peek(now: number): Delivery | undefined {
    while (this.#head < this.#items.length) {
      const next = this.#items[this.#head] as Delivery;
      if (next.leaseUntilMs > now) return next;
      this.#drop();
    }
    return undefined;
  }

  /** Takes the oldest for an attempt of up to `timeoutMs`, with a lease that lasts as long. */
  take(now: number, timeoutMs: number): Delivery | undefined {
    const next = this.peek(now);
    if (next === undefined) return undefined;
    this.#drop();
    next.startedAtMs = now;
    next.aliveAtMs = now;
    if (next.leaseUntilMs - now < timeoutMs + START_MARGIN_MS) this.#extend(next, now, timeoutMs);
    return next;
  }

  /** Extends the leases that would end while they wait; to be called every few seconds. */
  keep(now: number, timeoutMs: number): void {
    for (let i = this.#head; i < this.#items.length; i++) {
      this.prolong(this.#items[i] as Delivery, now, timeoutMs);
    }
  }

  /** Extends the lease of what runs longer than it was meant to, if it would end soon. */
  prolong(delivery: Delivery, now: number, timeoutMs: number): void {
    const left = delivery.leaseUntilMs - now;
    if (left > 0 && left < WAIT_MARGIN_MS) this.#extend(delivery, now, timeoutMs);
  }

  /** Gives everything back to storage. */
  release(): void {
    for (let i = this.#head; i < this.#items.length; i++)
      this.link.settle(this.#items[i] as Delivery, { kind: common.OutcomeKind.RELEASE });
    this.clear();
  }

  /** Forgets everything: the stream is gone and its leases with it. */
  clear(): void {
    this.#items = [];
    this.#head = 0;
  }

  #drop(): void {
    this.#head++;
    if (this.#head === this.#items.length) this.clear();
    else if (this.#head >= 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
  }

  #extend(delivery: Delivery, now: number, timeoutMs: number): void {
    this.link.settle(delivery, { kind: common.OutcomeKind.EXTEND });
    delivery.leaseUntilMs = now + timeoutMs + LEASE_GRACE_MS;
  }
}
