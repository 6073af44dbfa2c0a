import type { Entry } from './lane.js';
import { PRIORITIES } from './lane-row.js';
import type { Lanes } from './lanes.js';
import type { Grant, Holder } from './lease.js';
import type { Leases } from './leases.js';
import type { Reading } from './reading.js';

export interface LeasingOptions {
  reading: Reading;
  lanes: Lanes;
  leases: Leases;
  /** Takes an entry whose end has come before anybody got it. */
  expire(entry: Entry, now: number): void;
}

/** One request for leases and what it has been granted so far. */
interface Ask {
  readonly holder: Holder;
  readonly now: number;
  readonly leaseMs: number;
  readonly grants: Grant[];
}

/**
 * Chooses what of a topic is leased next: urgent ones first, then retries and fresh ones in turn, and of
 * what is left one half those with a key, line by line.
 */
export class Leasing {
  #laneTurn = false;

  constructor(private readonly options: LeasingOptions) {}

  /** Whether somebody who may be there would get something now. */
  get possible(): boolean {
    return this.options.reading.hasNext || this.options.lanes.takable;
  }

  /** Leases up to `max` ready deliveries to `holder`. */
  lease(holder: Holder, max: number, now: number, leaseMs: number): Grant[] {
    const { lanes } = this.options;
    const ask: Ask = { holder, now, leaseMs, grants: [] };
    let left = max;
    for (let priority = PRIORITIES - 1; priority > 0 && left > 0; priority--)
      left -= this.#leaseLane(priority, ask, left);
    while (left > 0) {
      const keyed = lanes.lined > 0 ? this.#leaseLines(ask, Math.ceil(left / 2)) : 0;
      left -= keyed;
      if (left === 0) break;
      this.#laneTurn = !this.#laneTurn;
      // Retries get half of what is asked for, so that a heap of failing jobs cannot starve fresh ones.
      const taken = this.#laneTurn
        ? this.#leaseLane(0, ask, Math.ceil(left / 2)) || this.#leaseFresh(ask, left)
        : this.#leaseFresh(ask, left) || this.#leaseLane(0, ask, left);
      if (keyed + taken === 0) break;
      left -= taken;
    }
    return ask.grants;
  }

  #leaseLane(priority: number, ask: Ask, max: number): number {
    const { lanes } = this.options;
    return this.#leaseEntries(ask, max, () => lanes.take(priority, ask.holder.node));
  }

  #leaseLines(ask: Ask, max: number): number {
    const { lanes } = this.options;
    return this.#leaseEntries(ask, max, () => lanes.takeOfKey());
  }

  #leaseEntries(ask: Ask, max: number, take: () => Entry | undefined): number {
    const { expire } = this.options;
    let taken = 0;
    while (taken < max) {
      const entry = take();
      if (entry === undefined) break;
      const { expiresAtMs } = entry.record;
      if (expiresAtMs > 0 && expiresAtMs <= ask.now) expire(entry, ask.now);
      else {
        this.#grantEntry(entry, ask);
        taken++;
      }
    }
    return taken;
  }

  #grantEntry(entry: Entry, { holder, now, leaseMs, grants }: Ask): void {
    const ownLeaseMs = holder.fetching ? entry.record.leaseMs : 0;
    const attempt = entry.record.attempts + 1;
    const run = { seq: entry.seq, count: 1, attempt, entry, leaseMs: ownLeaseMs || leaseMs };
    grants.push(this.options.leases.grant(holder, run, now));
  }

  #leaseFresh({ holder, now, leaseMs, grants }: Ask, max: number): number {
    const next = this.options.reading.next(max);
    if (next === undefined) return 0;
    const [seq, count] = next;
    const run = { seq, count, attempt: 1, entry: undefined, leaseMs };
    grants.push(this.options.leases.grant(holder, run, now));
    return count;
  }
}
