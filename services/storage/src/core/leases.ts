import type { Entry } from './lane.js';
import type { Grant, Holder, Lease, LeaseTable } from './lease.js';
import type { Topic } from './topic.js';

/** Consecutive deliveries that are to be leased. One that comes from a lane has an entry, and is alone. */
export interface Run {
  seq: number;
  count: number;
  attempt: number;
  entry: Entry | undefined;
  leaseMs: number;
}

/** The leases of one topic, in the order in which they were granted or extended. */
export class Leases {
  readonly #byId = new Map<number, Lease>();
  /** How long the one granted last lasts. */
  #leaseMs = 0;
  /** They all last equally long, so they expire in their order. */
  #isUniform = true;

  constructor(
    private readonly topic: Topic,
    /** Where those of all topics are. */
    private readonly table: LeaseTable,
  ) {}

  get size(): number {
    return this.#byId.size;
  }

  [Symbol.iterator](): Iterator<Lease> {
    return this.#byId.values();
  }

  /** Leases a run to `holder`; ids count up along it. */
  grant(holder: Holder, run: Run, now: number): Grant {
    const { seq, count, attempt, entry, leaseMs } = run;
    const firstLeaseId = this.table.nextId;
    this.table.nextId += count;
    this.#isUniform = this.size === 0 || (this.#isUniform && leaseMs === this.#leaseMs);
    this.#leaseMs = leaseMs;
    const grant: Grant = {
      topic: this.topic,
      holder,
      seq,
      count,
      firstLeaseId,
      attempt,
      entry,
      grantedAtMs: now,
      leaseMs,
      accepted: [],
    };
    const deadlineMs = now + leaseMs;
    for (let i = 0; i < count; i++) {
      const lease: Lease = { id: firstLeaseId + i, seq: seq + i, grant, deadlineMs };
      this.#byId.set(lease.id, lease);
      this.table.leases.set(lease.id, lease);
    }
    holder.leased += count;
    return grant;
  }

  /** The promise is over, whatever becomes of the delivery. */
  end(lease: Lease): void {
    this.#byId.delete(lease.id);
    this.table.leases.delete(lease.id);
    lease.grant.holder.leased--;
  }

  /** Ends the leases of one run from `lease` on, up to lease id `endId`; returns how many were held. */
  endRun({ id: from, grant }: Lease, endId: number): number {
    const { leases } = this.table;
    const last = Math.min(endId, grant.firstLeaseId + grant.count);
    let id = from;
    for (; id < last && leases.get(id)?.grant === grant; id++) {
      leases.delete(id);
      this.#byId.delete(id);
    }
    grant.holder.leased -= id - from;
    return id - from;
  }

  /** The lease begins anew. */
  extend(lease: Lease, now: number): void {
    lease.deadlineMs = now + lease.grant.leaseMs;
    this.#byId.delete(lease.id);
    this.#byId.set(lease.id, lease);
  }

  /** Leases whose time is over. */
  expired(now: number): Lease[] {
    const expired: Lease[] = [];
    for (const lease of this) {
      if (lease.deadlineMs <= now) expired.push(lease);
      else if (this.#isUniform) break;
    }
    return expired;
  }

  heldBy(holder: Holder): Lease[] {
    return [...this].filter(({ grant }) => grant.holder === holder);
  }

  /** The lease of a job, if it is leased. */
  find(seq: number): Lease | undefined {
    for (const lease of this) if (lease.seq === seq) return lease;
    return undefined;
  }
}
