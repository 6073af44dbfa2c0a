import type { Entry } from './lane.js';
import type { Topic } from './topic.js';

/** Who holds leases: a subscription of a dispatcher's stream, or a fetching consumer. */
export interface Holder {
  /** For attempt histories. */
  readonly name: string;
  /** Where it stands: it may get what is for this node only. Empty for nowhere. */
  readonly node: string;
  /** Fetching consumers may bring the job's own lease time. */
  readonly fetching: boolean;
  leased: number;
}

/** Consecutive deliveries leased together. One that came from a lane has an entry, and then is alone. */
export interface Grant {
  readonly topic: Topic;
  readonly holder: Holder;
  readonly seq: number;
  readonly count: number;
  readonly firstLeaseId: number;
  /** Which try this is, from 1. */
  readonly attempt: number;
  readonly entry: Entry | undefined;
  readonly grantedAtMs: number;
  readonly leaseMs: number;
  /** When its jobs were accepted, as far as their log records were read: up to a sequence number each. */
  readonly accepted: Array<{ endSeq: number; acceptedAtMs: number }>;
}

/** When a job of a grant was accepted; 0 if its log record was not read. */
export function acceptedAt(grant: Grant, seq: number): number {
  return grant.accepted.find(({ endSeq }) => seq < endSeq)?.acceptedAtMs ?? 0;
}

/** A promise with an end date that one holder works on one delivery. Its id is a fencing token. */
export interface Lease {
  readonly id: number;
  readonly seq: number;
  readonly grant: Grant;
  deadlineMs: number;
}

/** All leases of a store. Ids begin at the owner's epoch, so those of an earlier owner are never current. */
export interface LeaseTable {
  nextId: number;
  readonly leases: Map<number, Lease>;
}
