import { common, keeper, records } from '@malabar/contracts';
import { Ends } from './ends.js';
import { countedAttempts, ERROR_SUMMARY, isExhausted, recordOf } from './failure.js';
import type { KeyWindow } from './key-lines.js';
import { TIME_MAX_MS, topicKey } from './keys.js';
import type { Entry, LaneScan } from './lane.js';
import { Lanes } from './lanes.js';
import { acceptedAt, type Grant, type Holder, type Lease, type LeaseTable } from './lease.js';
import { Leases } from './leases.js';
import { Leasing } from './leasing.js';
import type { Replaced } from './making-room.js';
import type { Presence } from './node-rows.js';
import { isKeyed } from './placement.js';
import type { RangeSet } from './range-set.js';
import { RateLimit } from './rate.js';
import { Reading, type ReadingState } from './reading.js';
import { retryDelayMs, retryPolicy } from './retry-policy.js';
import type { WriteBuffer } from './write-buffer.js';

const { DONE, RETRYING, FAILED, DEAD } = keeper.ResultStatus;

/** What a lease of a dispatcher lasts beyond the topic's timeout: the way to the consumer and back. */
const LEASE_GRACE_MS = 15_000;

const NOTHING_REPLACED: Replaced = { held: [], unborn: [] };

export interface TopicCounts {
  ready: number;
  scheduled: number;
  leased: number;
  done: number;
  dead: number;
  discarded: number;
}

/** A job that must not be delivered in the log's order: it has a delay, a deadline, a priority, a node or a key. */
export interface Special {
  seq: number;
  record: records.EntryRecord;
}

/**
 * The delivery state of one topic. A delivery waits in the log's order (`Reading`) or has left it
 * (`Lanes`), is chosen (`Leasing`) and leased from there (`Leases`), and returns or has ended (`Ends`):
 * this moves it from one to the next. Pure: time and randomness are arguments, writes go to the buffer,
 * reads are asked for with LaneScan.
 */
export class Topic {
  config: keeper.TopicConfig;
  readonly leases: Leases;
  /** A replay is under way. */
  replaying = false;
  /** The record in the engine is older than this state. */
  dirty = false;

  readonly #reading: Reading;
  readonly #lanes: Lanes;
  readonly #leasing: Leasing;
  readonly #ends: Ends;
  readonly #rate: RateLimit;

  constructor(
    readonly shard: number,
    readonly id: number,
    config: keeper.TopicConfig,
    record: records.TopicRecord,
    tail: number,
    table: LeaseTable,
    writes: WriteBuffer,
    /** Entries that are for one node only, by node. */
    nodes: ReadonlyMap<string, number> = new Map(),
    keyWindow?: KeyWindow,
  ) {
    this.config = config;
    const reading = new Reading(record, tail, config.delayMs > 0);
    const isAppended = (seq: number): boolean => seq < reading.tail;
    const lanes = new Lanes({
      shard,
      topic: id,
      size: record.entries,
      nodes,
      lined: record.lined,
      later: record.later,
      writes,
      policy: () => this.config.key,
      keyWindow,
      isAppended,
    });
    const leases = new Leases(this, table);
    const expire = (entry: Entry, now: number): void => this.#expire(entry, now);
    this.#reading = reading;
    this.#lanes = lanes;
    this.leases = leases;
    this.#leasing = new Leasing({ reading, lanes, leases, expire });
    this.#ends = new Ends(this, record, writes);
    this.#rate = new RateLimit(config.rate, record.rateUsedToMs);
  }

  get name(): string {
    return this.config.name;
  }

  get active(): boolean {
    return this.detachedAt === undefined && !this.config.paused;
  }

  get leaseMs(): number {
    const { target, timeoutMs } = this.config;
    return target?.$case === 'pull' ? timeoutMs : timeoutMs + LEASE_GRACE_MS;
  }

  /** The log has grown to `tail`; `specials` go to lanes at once. */
  appended(tail: number, specials: readonly Special[], now: number): void {
    this.#reading.appended(tail);
    if (this.detachedAt !== undefined) return;
    for (const { seq, record } of specials) {
      this.#reading.takeFresh(seq);
      this.#lanes.added({ seq, record }, now);
    }
  }

  // --- leasing ------------------------------------------------------------------------------------

  /** Whether a lease would find something now. */
  get leasable(): boolean {
    return this.active && this.#leasing.possible;
  }

  /** Takes up to `max` ready deliveries for `holder`, the most urgent ones, as fast as the rate allows. */
  lease(holder: Holder, max: number, now: number, leaseMs = this.leaseMs): Grant[] {
    if (!this.active) return [];
    if (!this.#rate.isSet) return this.#leasing.lease(holder, max, now, leaseMs);
    const grants = this.#leasing.lease(holder, Math.min(max, this.#rate.room(now)), now, leaseMs);
    const count = grants.reduce((sum, grant) => sum + grant.count, 0);
    this.#rate.use(count, now);
    // What is used of the rate outlives this process.
    if (count > 0) this.dirty = true;
    return grants;
  }

  /** When the rate lets the next delivery go; undefined if that is not what they wait for. */
  roomAtMs(now: number): number | undefined {
    return this.#rate.isSet && this.leasable ? this.#rate.roomAtMs(now) : undefined;
  }

  /** Whether all deliveries that are ready wait for others of their keys. */
  get keysBusy(): boolean {
    return this.active && this.counts().ready > 0 && this.#lanes.lined > 0 && !this.leasable;
  }

  // --- the ends of a lease ------------------------------------------------------------------------

  /**
   * The consumer said yes to the fresh jobs of one run from `lease` on, up to lease id `endId`, and
   * nobody is to be told. Returns how many of these leases were held.
   */
  doneRun(lease: Lease, endId: number): number {
    const count = this.leases.endRun(lease, endId);
    this.#reading.takeLeased(lease.seq, count);
    this.#ends.done += count;
    this.dirty = true;
    return count;
  }

  /** Ends one lease, or extends it. The caller has checked that it is current. */
  settle(lease: Lease, outcome: common.Outcome, now: number, random: () => number): void {
    const { EXTEND, RELEASE } = common.OutcomeKind;
    if (outcome.kind === EXTEND) this.leases.extend(lease, now);
    else if (outcome.kind === RELEASE) this.#release(lease);
    else if (outcome.kind === common.OutcomeKind.DONE) this.#done(lease, outcome, now);
    else this.#failed(lease, outcome, now, random);
  }

  /** Gives back every lease of a holder that is gone. */
  releaseAll(holder: Holder): void {
    for (const lease of this.leases.heldBy(holder)) this.#release(lease);
  }

  #release(lease: Lease): void {
    const { entry } = lease.grant;
    this.leases.end(lease);
    if (entry === undefined) this.#reading.giveBack(lease.seq);
    else this.#lanes.giveBack(entry);
  }

  /** The lease has ended, and the delivery leaves the place that it was leased from. */
  #leave(lease: Lease): void {
    const { entry } = lease.grant;
    this.leases.end(lease);
    if (entry === undefined) this.#reading.takeLeased(lease.seq, 1);
    else this.#lanes.remove(entry);
    this.dirty = true;
  }

  #done(lease: Lease, outcome: common.Outcome, now: number): void {
    this.#leave(lease);
    this.#ends.done++;
    this.#ends.count(lease.grant.entry?.record, 'open', 'done');
    this.#ends.tell(lease, DONE, outcome, now);
  }

  #failed(lease: Lease, outcome: common.Outcome, now: number, random: () => number): void {
    const { seq, grant } = lease;
    const before = grant.entry?.record;
    const acceptedAtMs = before?.acceptedAtMs || acceptedAt(grant, seq);
    const policy = retryPolicy(this.config);
    const record = recordOf({ before, acceptedAtMs, outcome }, policy, now);
    this.#leave(lease);
    this.#ends.attempt(lease, record.attempts, outcome);
    if (isExhausted(record, outcome, policy, now)) {
      const isRefused = outcome.kind === common.OutcomeKind.DEAD;
      this.#ends.bury(seq, record);
      this.#ends.count(record, 'open', 'dead');
      this.#ends.tell(lease, isRefused ? FAILED : DEAD, outcome, now);
      return;
    }
    this.#ends.tell(lease, RETRYING, outcome, now);
    const pauseMs = outcome.retryAfterMs || retryDelayMs(policy, countedAttempts(record), random());
    record.dueAtMs = Math.min(now + pauseMs, TIME_MAX_MS);
    this.#lanes.add(seq, record, now);
  }

  // --- ends without a lease -----------------------------------------------------------------------

  /** An entry whose end has come before anybody began it. */
  #expire(entry: Entry, now: number): void {
    this.#lanes.remove(entry);
    const { expiresAtMs, node, nodeWaitMs } = entry.record;
    const isOver = expiresAtMs > 0 && expiresAtMs <= now;
    const why = isOver
      ? { errorCode: 'EXPIRED', error: 'it expired before it was delivered' }
      : { errorCode: 'NODE_AWAY', error: `node ${node} was away for ${nodeWaitMs} ms` };
    this.#ends.discard(entry.seq, { ...entry.record, ...why, sinceMs: now });
    this.#ends.count(entry.record, 'open', 'discarded', why);
    this.#ends.tellDiscarded(entry.seq, why, entry.record.attempts);
    this.dirty = true;
  }

  /**
   * Takes a delivery back that nobody works on: one that waits in the log's order, in a lane (`entry`)
   * or is dead (`dead`). The caller has looked it up in this very moment.
   */
  withdraw(
    seq: number,
    { entry, dead }: { entry?: records.EntryRecord; dead?: records.EntryRecord },
    error: string,
    now: number,
  ): void {
    const why = { errorCode: 'DISCARDED', error: error.slice(0, ERROR_SUMMARY) };
    const known = entry ?? dead ?? records.EntryRecord.fromPartial({});
    this.#ends.discard(seq, { ...known, ...why, sinceMs: now });
    this.#ends.count(known, dead === undefined ? 'open' : 'dead', 'discarded', why);
    this.dirty = true;
    if (entry !== undefined) this.#lanes.withdraw({ seq, record: entry });
    else if (dead !== undefined) this.#ends.unbury(seq);
    else this.#reading.takeWaiting(seq);
    // The end of a dead one was told when it died, and of a topic that is gone nobody knows whom to tell.
    if (dead === undefined && this.detachedAt === undefined)
      this.#ends.tellDiscarded(seq, why, known.attempts);
  }

  /** A dead delivery goes back to ready; its attempts and crashes so far are forgiven. */
  replay(seq: number, dead: records.EntryRecord, now: number): void {
    this.#ends.unbury(seq);
    const record: records.EntryRecord = {
      ...dead,
      dueAtMs: now,
      sinceMs: now,
      quarantined: false,
      forgivenAttempts: dead.attempts,
      forgivenCrashes: dead.crashes,
      replays: dead.replays + 1,
    };
    this.#lanes.add(seq, record, now);
    this.#ends.count(dead, 'dead', 'open');
    this.dirty = true;
  }

  // --- making room for a job of the same key ------------------------------------------------------

  /** A job that waits in the log's order moves to a lane. */
  toLane(seq: number, record: records.EntryRecord, now: number): void {
    this.#reading.takeWaiting(seq);
    this.#lanes.add(seq, record, now);
    this.dirty = true;
  }

  /** Nobody gets this waiting entry until it is let go or replaced. */
  hold(entry: Entry): void {
    this.#lanes.hold(entry);
  }

  letGo(entry: Entry): void {
    this.#lanes.letGo(entry);
  }

  /** The commit that replaces these deliveries is durable. */
  replaced({ held, unborn }: Replaced): void {
    for (const entry of held) this.#lanes.erased(entry);
    for (const seq of unborn) this.#reading.takeFresh(seq);
    this.#ends.discarded += held.length + unborn.length;
  }

  // --- time ---------------------------------------------------------------------------------------

  /** Lets time pass for the lanes; returns the reads that they want. */
  advance(now: number): LaneScan[] {
    const { later } = this.#lanes;
    const scans = this.#lanes.advance(now);
    if (this.#lanes.later !== later) this.dirty = true;
    // One that rests would not tell whom it must.
    if (this.active) for (const entry of this.#lanes.takeEnded(now)) this.#expire(entry, now);
    return scans;
  }

  /** When the next lane entry known to memory comes due or has to go. */
  nextDueAtMs(): number | undefined {
    return this.#lanes.nextAtMs(this.active);
  }

  /** With a topic delay: the first job whose age is not known to suffice; undefined if there is none. */
  get unmaturedFrom(): number | undefined {
    return this.#reading.unmaturedFrom;
  }

  /** All jobs below `seq` are older than the topic's delay. */
  matured(seq: number): void {
    this.#reading.matured(seq);
  }

  // --- nodes --------------------------------------------------------------------------------------

  /** Which nodes are there, and which are away while deliveries wait for them alone. */
  get nodes(): Presence {
    return this.#lanes.nodes;
  }

  // --- configuration and durable form -------------------------------------------------------------

  /** The topic is configured no more: it keeps what it has and gets nothing new. */
  detach(): void {
    this.#reading.detach();
    this.dirty = true;
  }

  /** The topic is configured again: what was accepted meanwhile is not for it. */
  attach(): void {
    if (this.detachedAt === undefined) return;
    this.#reading.attach();
    this.dirty = true;
  }

  /** New settings for the same deliveries. */
  reconfigure(config: keeper.TopicConfig): void {
    this.config = config;
    this.#reading.delay(config.delayMs > 0);
    this.#rate.change(config.rate);
    this.#lanes.policyChanged();
  }

  /** The topic's record, with jobs that an append under way moves to lanes at once or replaces. */
  snapshot(
    staged: readonly Special[] = [],
    { held, unborn }: Replaced = NOTHING_REPLACED,
  ): [key: string, value: Uint8Array] {
    const { done, dead } = this.#ends;
    const seqs = staged.map(({ seq }) => seq);
    const lined = linedIn(staged) - linedIn(held);
    const later = laterIn(staged) - laterIn(held);
    const record = records.TopicRecord.fromPartial({
      ...this.#reading.record([...seqs, ...unborn]),
      done,
      dead,
      discarded: this.#ends.discarded + held.length + unborn.length,
      entries: this.#lanes.size + staged.length - held.length,
      lined: this.#lanes.lined + lined,
      later: this.#lanes.later + later,
      rateUsedToMs: this.#rate.usedToMs,
    });
    return [topicKey(this.shard, this.id), records.TopicRecord.encode(record).finish()];
  }

  // --- questions ----------------------------------------------------------------------------------

  counts(): TopicCounts {
    const { ready, unmatured } = this.#reading;
    const { due, size, leased } = this.#lanes;
    const { done, dead, discarded } = this.#ends;
    return {
      ready: ready + due - leased.size,
      scheduled: unmatured + size - due,
      leased: this.leases.size,
      done,
      dead,
      discarded,
    };
  }

  /** Deliveries that wait, whatever for: what limits count. */
  get waiting(): number {
    return this.#reading.untaken + this.#lanes.size - this.leases.size;
  }

  /** What memory knows of a job; of a taken one the engine knows more. */
  stateInMemory(seq: number): ReadingState {
    const state = this.#reading.stateOf(seq);
    return state === 'taken' && this.#lanes.isTaken(seq) ? 'leased' : state;
  }

  /** Every sequence number below is taken. */
  get floor(): number {
    return this.#reading.floor;
  }

  /** Jobs above the floor that have left the log's order. */
  get taken(): RangeSet {
    return this.#reading.taken;
  }

  /** Behind the last job that is for this topic. */
  get end(): number {
    return this.#reading.end;
  }

  /** Where the log ended when the topic was configured no more; undefined while it is configured. */
  get detachedAt(): number | undefined {
    return this.#reading.detachedAt;
  }

  /** Whether no job of [start, end) waits in the log for this topic or is leased from there. */
  allTaken(start: number, end: number): boolean {
    return this.#reading.allTaken(start, end);
  }

  /** Jobs that were accepted for this topic, ever. */
  get accepted(): number {
    return this.#reading.accepted;
  }

  /** Entries in the engine: waiting, due or leased. */
  get entries(): number {
    return this.#lanes.size;
  }

  /** How many of the entries memory holds. */
  get entriesInMemory(): number {
    return this.#lanes.inMemory;
  }
}

/** How many of these entries stand in the lines of their keys, and how many are to. */
const linedIn = (entries: readonly Entry[]): number =>
  entries.filter((entry) => isKeyed(entry) && entry.record.lined).length;
const laterIn = (entries: readonly Entry[]): number =>
  entries.filter((entry) => isKeyed(entry) && !entry.record.lined).length;
