import type { BusError } from '@malabar/core';
import type { Delivery } from '../delivery.js';

/** The way to one worker: its stream. */
export interface WorkerPort {
  readonly name: string;
  /** The worker has `timeoutMs` for each of them. */
  send(deliveries: Delivery[], timeoutMs: number): void;
  /** Tells it of leases that ended without its answer. */
  lost(leaseIds: number[]): void;
  /** Ends the stream; the worker sees the error. */
  end(error: BusError): void;
}

/** A connected worker and the jobs that it holds. */
export class Worker {
  /** By lease id, the one silent for longest in front: so the first is the first to time out. */
  readonly held = new Map<number, Delivery>();
  /**
   * Jobs that timed out and that the worker has not answered. They keep their places: a worker that
   * hangs gets no more jobs to burn.
   */
  readonly overdue = new Set<number>();
  capacity = 1;
  restUntilMs = 0;
  /** It has said that it stops: what it holds when its stream ends is not to blame. */
  isLeaving = false;
  /** The job that it works on alone, because that has crashed a worker before. */
  suspect: number | undefined;
  outbox: Delivery[] = [];

  constructor(readonly port: WorkerPort) {}

  get free(): number {
    return this.isAlone ? 0 : this.capacity - this.held.size - this.overdue.size;
  }

  /** It works on a suspect, which gets no neighbours. */
  get isAlone(): boolean {
    const { suspect } = this;
    return suspect !== undefined && (this.held.has(suspect) || this.overdue.has(suspect));
  }
}
