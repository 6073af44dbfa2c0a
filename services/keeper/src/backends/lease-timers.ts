import type { Clock } from '@malabar/core';

/** How long an ended lease that could not be deleted waits for the next attempt. */
const RETRY_MS = 1000;

interface Running {
  ttlMs: number;
  cancel: () => void;
}

/** Counts leases down. Those that end in one turn of the loop are handed to `onEnd` together. */
export class LeaseTimers {
  readonly #running = new Map<string, Running>();
  readonly #ended = new Set<string>();
  #cancelRetry = () => {};

  constructor(
    private readonly clock: Clock,
    private readonly onEnd: (leaseIds: readonly string[]) => Promise<void>,
  ) {}

  start(leaseId: string, ttlMs: number): void {
    const cancel = this.clock.after(ttlMs, () => this.#end(leaseId));
    this.#running.set(leaseId, { ttlMs, cancel });
  }

  /** False if the lease has ended. */
  renew(leaseId: string): boolean {
    const lease = this.#running.get(leaseId);
    if (lease === undefined) return false;
    lease.cancel();
    this.start(leaseId, lease.ttlMs);
    return true;
  }

  stop(leaseId: string): void {
    this.#running.get(leaseId)?.cancel();
    this.#running.delete(leaseId);
  }

  close(): void {
    for (const leaseId of [...this.#running.keys()]) this.stop(leaseId);
    this.#ended.clear();
    this.#cancelRetry();
  }

  #end(leaseId: string): void {
    this.#running.delete(leaseId);
    this.#ended.add(leaseId);
    // Timers that are due together fire in one turn, so one commit can take all of them.
    if (this.#ended.size === 1) setImmediate(() => void this.#handOver());
  }

  async #handOver(): Promise<void> {
    const leaseIds = [...this.#ended];
    if (leaseIds.length === 0) return;
    try {
      await this.onEnd(leaseIds);
      for (const leaseId of leaseIds) this.#ended.delete(leaseId);
      if (this.#ended.size > 0) await this.#handOver();
    } catch {
      // The disk is full or damaged: whoever writes next is told; the keys must still go some day.
      this.#cancelRetry = this.clock.after(RETRY_MS, () => void this.#handOver());
    }
  }
}
