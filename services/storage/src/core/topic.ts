import { common, keeper, records } from '@malabar/contracts';
import type { BatchPart } from './batch.js';
import { attemptKey, type EntryLetter, entryKey, TIME_MAX_MS, topicKey } from './keys.js';
import type { Entry, LaneScan } from './lane.js';
import { PRIORITIES } from './lane-row.js';
import { Lanes } from './lanes.js';
import { acceptedAt, type Grant, type Holder, type Lease, type LeaseTable } from './lease.js';
import { RangeSet } from './range-set.js';
import { discardedAfter, type Ending, endingOf, isWanted } from './result.js';
import { retryDelayMs, retryPolicy } from './retry-policy.js';
import type { WriteBuffer } from './write-buffer.js';

const { DONE, RETRYING, FAILED, DEAD, DISCARDED } = keeper.ResultStatus;

/** What a lease of a dispatcher lasts beyond the topic's timeout: the way to the consumer and back. */
const LEASE_GRACE_MS = 15_000;
const ERROR_SUMMARY = 512;

export interface TopicCounts {
  ready: number;
  scheduled: number;
  leased: number;
  done: number;
  dead: number;
  discarded: number;
}

/** A job that must not be delivered in the log's order: it has a delay, a deadline, a priority or a node. */
export interface Special {
  seq: number;
  record: records.EntryRecord;
}

/** One request for leases and what it has been granted so far. */
interface Ask {
  readonly holder: Holder;
  readonly now: number;
  readonly leaseMs: number;
  readonly grants: Grant[];
}

/**
 * The delivery state of one topic: which jobs of its shard are taken (settled, or moved to a lane or to
 * dead), who holds leases, and what comes next. Pure: time and randomness are arguments, writes go to
 * the buffer, reads are asked for with LaneScan.
 */
export class Topic {
  config: keeper.TopicConfig;
  /** Every sequence number below is taken. */
  floor: number;
  readonly taken: RangeSet;
  /** Jobs accepted while the topic did not exist or was detached. */
  readonly excluded: RangeSet;
  readonly leases = new Map<number, Lease>();
  done = 0;
  dead = 0;
  discarded = 0;
  detachedAt: number | undefined;
  /** A replay is under way. */
  replaying = false;
  /** The record in the engine is older than this state. */
  dirty = false;

  /** End of the log. */
  #tail: number;
  /** Below this, jobs are taken, leased or in `returned`. */
  #cursor: number;
  /** Jobs whose leases were given back, highest first. */
  #returned: number[] = [];
  /** Jobs in [floor, tail) that are not taken. */
  #untaken: number;
  #leasedFresh = 0;
  readonly #lanes: Lanes;
  /** With a topic delay: jobs below are old enough. Without one: the tail. */
  #matured: number;
  #laneTurn = false;
  #mixedLeases = false;

  constructor(
    readonly shard: number,
    readonly id: number,
    config: keeper.TopicConfig,
    record: records.TopicRecord,
    tail: number,
    private readonly table: LeaseTable,
    private readonly writes: WriteBuffer,
    /** Entries that are for one node only, by node. */
    nodes: ReadonlyMap<string, number> = new Map(),
  ) {
    this.config = config;
    this.floor = record.floor;
    this.taken = RangeSet.decode(record.floor, record.taken);
    this.excluded = RangeSet.decode(0, record.excluded);
    this.done = record.done;
    this.dead = record.dead;
    this.discarded = record.discarded;
    const isAppended = (seq: number): boolean => seq < this.#tail;
    this.#lanes = new Lanes({ shard, topic: id, size: record.entries, nodes, writes, isAppended });
    this.detachedAt = record.detached ? record.detachedAt : undefined;
    this.#tail = tail;
    this.#cursor = record.floor;
    this.#untaken = this.end - record.floor - this.taken.size;
    this.#matured = config.delayMs > 0 ? record.floor : tail;
  }

  get name(): string {
    return this.config.name;
  }

  /** Behind the last job that is for this topic. */
  get end(): number {
    return this.detachedAt ?? this.#tail;
  }

  get active(): boolean {
    return this.detachedAt === undefined && !this.config.paused;
  }

  get leaseMs(): number {
    const { target, timeoutMs } = this.config;
    return target?.$case === 'pull' ? timeoutMs : timeoutMs + LEASE_GRACE_MS;
  }

  counts(): TopicCounts {
    const unmatured = this.#unmatured();
    const { due, size, leased } = this.#lanes;
    return {
      ready: this.#untaken - this.#leasedFresh - unmatured + due - leased.size,
      scheduled: unmatured + size - due,
      leased: this.leases.size,
      done: this.done,
      dead: this.dead,
      discarded: this.discarded,
    };
  }

  /** Deliveries that wait, whatever for: what limits count. */
  get waiting(): number {
    return this.#untaken + this.#lanes.size - this.leases.size;
  }

  /** The log has grown to `tail`; `specials` go to lanes at once. */
  appended(tail: number, specials: readonly Special[], now: number): void {
    if (this.detachedAt !== undefined) {
      this.#tail = tail;
      return;
    }
    this.#untaken += tail - this.#tail;
    if (this.config.delayMs === 0) this.#matured = tail;
    this.#tail = tail;
    for (const { seq, record } of specials) {
      this.#take(seq, seq + 1);
      this.#lanes.added({ seq, record }, now);
    }
  }

  // --- leasing ------------------------------------------------------------------------------------

  /** Whether a lease would find something now. */
  get leasable(): boolean {
    if (!this.active) return false;
    return this.#hasFresh() || this.#lanes.takable;
  }

  /** Takes up to `max` ready deliveries for `holder`. Urgent ones first, then retries and fresh ones in turn. */
  lease(holder: Holder, max: number, now: number, leaseMs = this.leaseMs): Grant[] {
    const ask: Ask = { holder, now, leaseMs, grants: [] };
    if (!this.active) return ask.grants;
    if (leaseMs !== this.leaseMs) this.#mixedLeases = true;
    let left = max;
    for (let priority = PRIORITIES - 1; priority > 0 && left > 0; priority--)
      left -= this.#leaseLane(priority, ask, left);
    while (left > 0) {
      this.#laneTurn = !this.#laneTurn;
      // Retries get half of what is asked for, so that a heap of failing jobs cannot starve fresh ones.
      const taken = this.#laneTurn
        ? this.#leaseLane(0, ask, Math.ceil(left / 2)) || this.#leaseFresh(ask, left)
        : this.#leaseFresh(ask, left) || this.#leaseLane(0, ask, left);
      if (taken === 0) break;
      left -= taken;
    }
    return ask.grants;
  }

  #leaseLane(priority: number, ask: Ask, max: number): number {
    let taken = 0;
    while (taken < max) {
      const entry = this.#lanes.take(priority, ask.holder.node);
      if (entry === undefined) break;
      const { expiresAtMs } = entry.record;
      if (expiresAtMs > 0 && expiresAtMs <= ask.now) this.#expire(entry, ask.now);
      else {
        this.#grantEntry(entry, ask);
        taken++;
      }
    }
    return taken;
  }

  #grantEntry(entry: Entry, ask: Ask): void {
    const ownLeaseMs = ask.holder.fetching ? entry.record.leaseMs : 0;
    if (ownLeaseMs > 0) this.#mixedLeases = true;
    const attempt = entry.record.attempts + 1;
    const leaseMs = ownLeaseMs || ask.leaseMs;
    this.#grant(ask, { seq: entry.seq, count: 1, attempt, entry, leaseMs });
  }

  #leaseFresh(ask: Ask, max: number): number {
    const run = this.#nextFresh(max);
    if (run === undefined) return 0;
    const [seq, count] = run;
    this.#leasedFresh += count;
    this.#grant(ask, { seq, count, attempt: 1, entry: undefined, leaseMs: ask.leaseMs });
    return count;
  }

  #hasFresh(): boolean {
    return this.#returned.length > 0 || this.#untaken - this.#leasedFresh - this.#unmatured() > 0;
  }

  /** The next run of consecutive jobs that nobody has. */
  #nextFresh(max: number): [seq: number, count: number] | undefined {
    const returned = this.#returned.pop();
    if (returned !== undefined) {
      let count = 1;
      while (count < max && this.#returned[this.#returned.length - 1] === returned + count) {
        this.#returned.pop();
        count++;
      }
      return [returned, count];
    }
    const seq = this.taken.firstMissing(this.#cursor);
    const end = Math.min(seq + max, this.#matured, this.taken.nextPresent(seq, this.#matured));
    this.#cursor = Math.max(this.#cursor, Math.min(seq, this.#matured), end);
    return end > seq ? [seq, end - seq] : undefined;
  }

  #grant(ask: Ask, run: Pick<Grant, 'seq' | 'count' | 'attempt' | 'entry' | 'leaseMs'>): void {
    const firstLeaseId = this.table.nextId;
    this.table.nextId += run.count;
    const grant: Grant = {
      ...run,
      topic: this,
      holder: ask.holder,
      firstLeaseId,
      grantedAtMs: ask.now,
      accepted: [],
    };
    const deadlineMs = ask.now + run.leaseMs;
    for (let i = 0; i < run.count; i++) {
      const lease: Lease = { id: firstLeaseId + i, seq: run.seq + i, grant, deadlineMs };
      this.leases.set(lease.id, lease);
      this.table.leases.set(lease.id, lease);
    }
    ask.holder.leased += run.count;
    ask.grants.push(grant);
  }

  #unmatured(): number {
    const from = Math.max(this.#matured, this.floor);
    return from >= this.end ? 0 : this.end - from - this.taken.countIn(from, this.end);
  }

  /** With a topic delay: the first job whose age is not known to suffice; undefined if there is none. */
  get unmaturedFrom(): number | undefined {
    return this.#matured < this.end ? this.#matured : undefined;
  }

  /** All jobs below `seq` are older than the topic's delay. */
  matured(seq: number): void {
    this.#matured = Math.max(this.#matured, Math.min(seq, this.#tail));
  }

  // --- the ends of a lease ------------------------------------------------------------------------

  /** The consumer said yes to consecutive jobs of one run; their leases are gone already. */
  doneRun(start: number, count: number): void {
    this.#leasedFresh -= count;
    this.#take(start, start + count);
    this.done += count;
    this.dirty = true;
  }

  /** Ends one lease, or extends it. The caller has checked that it is current. */
  settle(lease: Lease, outcome: common.Outcome, now: number, random: () => number): void {
    const { EXTEND, RELEASE } = common.OutcomeKind;
    if (outcome.kind !== EXTEND) this.#end(lease);
    if (outcome.kind === EXTEND) this.#extend(lease, now);
    else if (outcome.kind === common.OutcomeKind.DONE) this.#done(lease, outcome, now);
    else if (outcome.kind === RELEASE) this.#giveBack(lease);
    else this.#failed(lease, outcome, now, random);
  }

  /** Gives back every lease of a holder that is gone. */
  releaseAll(holder: Holder): void {
    for (const lease of [...this.leases.values()]) {
      if (lease.grant.holder !== holder) continue;
      this.#end(lease);
      this.#giveBack(lease);
    }
  }

  /** Leases whose time is over. */
  expired(now: number): Lease[] {
    const expired: Lease[] = [];
    for (const lease of this.leases.values()) {
      if (lease.deadlineMs <= now) expired.push(lease);
      // Equal durations expire in the order of their granting.
      else if (!this.#mixedLeases) break;
    }
    return expired;
  }

  #extend(lease: Lease, now: number): void {
    lease.deadlineMs = now + lease.grant.leaseMs;
    this.leases.delete(lease.id);
    this.leases.set(lease.id, lease);
  }

  #end(lease: Lease): void {
    this.leases.delete(lease.id);
    this.table.leases.delete(lease.id);
    lease.grant.holder.leased--;
    if (lease.grant.entry === undefined) this.#leasedFresh--;
  }

  #done(lease: Lease, outcome: common.Outcome, now: number): void {
    this.#leave(lease);
    this.done++;
    this.#count(lease.grant.entry?.record, 'open', 'done');
    this.#tell(lease.seq, DONE, () => endingOf(lease, outcome, now));
  }

  #giveBack(lease: Lease): void {
    const { entry } = lease.grant;
    if (entry !== undefined) {
      this.#lanes.giveBack(entry);
      return;
    }
    let at = this.#returned.length;
    while (at > 0 && (this.#returned[at - 1] as number) < lease.seq) at--;
    this.#returned.splice(at, 0, lease.seq);
  }

  #failed(lease: Lease, outcome: common.Outcome, now: number, random: () => number): void {
    const base = lease.grant.entry?.record ?? records.EntryRecord.fromPartial({});
    const acceptedAtMs = base.acceptedAtMs || acceptedAt(lease.grant, lease.seq);
    const record = { ...base, acceptedAtMs, sinceMs: now, attempts: base.attempts + 1 };
    if (outcome.kind === common.OutcomeKind.CRASH) record.crashes++;
    record.errorCode = outcome.errorCode;
    record.error = outcome.error.slice(0, ERROR_SUMMARY);
    this.#leave(lease);
    this.#recordAttempt(lease, record.attempts, outcome);
    const policy = retryPolicy(this.config);
    record.quarantined = record.crashes - record.forgivenCrashes >= policy.crashesMax;
    const attempts = record.attempts - record.forgivenAttempts;
    const exhausted =
      outcome.kind === common.OutcomeKind.DEAD ||
      record.quarantined ||
      attempts >= policy.attempts ||
      (policy.ageMaxMs > 0 && acceptedAtMs > 0 && now - acceptedAtMs > policy.ageMaxMs);
    if (exhausted) {
      const refused = outcome.kind === common.OutcomeKind.DEAD;
      this.#bury(lease.seq, record);
      this.#count(record, 'open', 'dead');
      this.#tell(lease.seq, refused ? FAILED : DEAD, () => endingOf(lease, outcome, now));
      return;
    }
    this.#tell(lease.seq, RETRYING, () => endingOf(lease, outcome, now));
    const pauseMs = outcome.retryAfterMs || retryDelayMs(policy, attempts, random());
    record.dueAtMs = Math.min(now + pauseMs, TIME_MAX_MS);
    this.#lanes.add(lease.seq, record, now);
  }

  #recordAttempt(lease: Lease, number: number, outcome: common.Outcome): void {
    const record = records.AttemptRecord.fromPartial({
      outcome: outcome.kind,
      consumer: outcome.consumer || lease.grant.holder.name,
      errorCode: outcome.errorCode,
      error: outcome.error,
      startedAtMs: outcome.startedAtMs || lease.grant.grantedAtMs,
      durationMs: outcome.durationMs,
    });
    const key = attemptKey(this.shard, this.id, lease.seq, number);
    this.writes.put(key, records.AttemptRecord.encode(record).finish());
  }

  /** Tells what became of a delivery to whoever wants to know. */
  #tell(seq: number, status: keeper.ResultStatus, ending: () => Ending): void {
    if (!isWanted(this, status)) return;
    const to = this.config.result?.queue ?? '';
    this.writes.tell({ to, topic: this, seq, status, ...ending() });
  }

  /** What a delivery has become counts in its batch, if it has one. */
  #count(
    record: records.EntryRecord | undefined,
    was: BatchPart,
    is: BatchPart,
    why = record,
  ): void {
    if (record === undefined || record.batch === '') return;
    const { batch, errorCode: codeBefore } = record;
    const { errorCode: code = '', error = '' } = why ?? {};
    const { shard, name: topic } = this;
    this.writes.count({ batch, was, codeBefore, is, code, error, shard, topic });
  }

  /** The delivery leaves the place that it was leased from. */
  #leave(lease: Lease): void {
    this.dirty = true;
    if (lease.grant.entry === undefined) this.#take(lease.seq, lease.seq + 1);
    else this.#lanes.remove(lease.grant.entry);
  }

  /** An entry whose end has come before anybody began it. */
  #expire(entry: Entry, now: number): void {
    this.#lanes.remove(entry);
    const { expiresAtMs, node, nodeWaitMs } = entry.record;
    const isOver = expiresAtMs > 0 && expiresAtMs <= now;
    const why = isOver
      ? { errorCode: 'EXPIRED', error: 'it expired before it was delivered' }
      : { errorCode: 'NODE_AWAY', error: `node ${node} was away for ${nodeWaitMs} ms` };
    const record = { ...entry.record, ...why, sinceMs: now };
    this.#discard(entry.seq, record);
    this.#count(entry.record, 'open', 'discarded', record);
    this.#tellDiscarded(entry.seq, why, entry.record.attempts);
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
    const record = { ...known, ...why, sinceMs: now };
    this.#discard(seq, record);
    this.#count(known, dead === undefined ? 'open' : 'dead', 'discarded', record);
    if (entry !== undefined) this.#lanes.withdraw({ seq, record: entry });
    else if (dead !== undefined) {
      this.writes.delete(this.#key('D', seq));
      this.dead--;
    } else {
      this.#returned = this.#returned.filter((one) => one !== seq);
      this.#take(seq, seq + 1);
    }
    // The end of a dead one was told when it died, and of a topic that is gone nobody knows whom to tell.
    if (dead === undefined && this.detachedAt === undefined)
      this.#tellDiscarded(seq, why, known.attempts);
  }

  #discard(seq: number, record: records.EntryRecord): void {
    this.writes.put(this.#key('X', seq), records.EntryRecord.encode(record).finish());
    this.discarded++;
    this.dirty = true;
  }

  #tellDiscarded(seq: number, why: { errorCode: string; error: string }, attempts: number): void {
    this.#tell(seq, DISCARDED, () => discardedAfter(why, attempts));
  }

  #bury(seq: number, record: records.EntryRecord): void {
    this.writes.put(this.#key('D', seq), records.EntryRecord.encode(record).finish());
    this.dead++;
    this.dirty = true;
  }

  /** A dead delivery goes back to ready; its attempts and crashes so far are forgiven. */
  replay(seq: number, dead: records.EntryRecord, now: number): void {
    this.writes.delete(this.#key('D', seq));
    this.dead--;
    const record: records.EntryRecord = {
      ...dead,
      dueAtMs: now,
      sinceMs: now,
      quarantined: false,
      forgivenAttempts: dead.attempts,
      forgivenCrashes: dead.crashes,
    };
    this.#lanes.add(seq, record, now);
    this.#count(dead, 'dead', 'open');
    this.dirty = true;
  }

  // --- time and durable form ----------------------------------------------------------------------

  /** Lets time pass for the lanes; returns the reads that they want. */
  advance(now: number): LaneScan[] {
    const scans = this.#lanes.advance(now);
    // One that rests would not tell whom it must.
    if (this.active) for (const entry of this.#lanes.takeEnded(now)) this.#expire(entry, now);
    return scans;
  }

  /** When the next lane entry known to memory comes due or has to go. */
  nextDueAtMs(): number | undefined {
    return this.#lanes.nextAtMs(this.active);
  }

  // --- nodes --------------------------------------------------------------------------------------

  /** Somebody who stands at this node has subscribed. */
  nodeCame(node: string): void {
    this.#lanes.nodes.came(node);
  }

  nodeLeft(node: string, now: number): void {
    this.#lanes.nodes.left(node, now);
  }

  /** Whoever is there has had his chance to subscribe: nodes that are not seen now are away from now on. */
  nodesKnown(now: number): void {
    this.#lanes.nodes.known(now);
  }

  isAway(node: string): boolean {
    return this.#lanes.nodes.isAway(node);
  }

  /** Nodes that are away while deliveries wait for them alone. */
  get nodesAway(): string[] {
    return this.#lanes.nodes.away;
  }

  /** The topic's record, with jobs that an append under way moves to lanes at once. */
  snapshot(staged: readonly number[] = []): [key: string, value: Uint8Array] {
    const taken = staged.length === 0 ? this.taken : this.#with(staged);
    const record = records.TopicRecord.fromPartial({
      floor: this.floor,
      taken: taken.encode(this.floor),
      excluded: this.excluded.encode(0),
      done: this.done,
      dead: this.dead,
      discarded: this.discarded,
      entries: this.#lanes.size + staged.length,
      detached: this.detachedAt !== undefined,
      detachedAt: this.detachedAt ?? 0,
    });
    return [topicKey(this.shard, this.id), records.TopicRecord.encode(record).finish()];
  }

  /** The topic is configured no more: it keeps what it has and gets nothing new. */
  detach(): void {
    this.detachedAt = this.#tail;
    this.dirty = true;
  }

  /** The topic is configured again: what was accepted meanwhile is not for it. */
  attach(): void {
    if (this.detachedAt === undefined) return;
    this.#untaken += this.#tail - this.detachedAt;
    this.#take(this.detachedAt, this.#tail);
    this.excluded.add(this.detachedAt, this.#tail);
    this.detachedAt = undefined;
    this.dirty = true;
  }

  /** New settings for the same deliveries. */
  reconfigure(config: keeper.TopicConfig): void {
    if (config.delayMs === 0) this.#matured = this.#tail;
    else if (this.config.delayMs === 0) this.#matured = this.#cursor;
    if (config.timeoutMs !== this.config.timeoutMs) this.#mixedLeases = true;
    this.config = config;
  }

  /** What memory knows of a job; of a taken one the engine knows more. */
  stateInMemory(seq: number): 'none' | 'leased' | 'ready' | 'unmatured' | 'taken' {
    if (this.excluded.has(seq) || seq >= this.end) return 'none';
    if (this.#lanes.leased.has(seq)) return 'leased';
    if (seq < this.floor || this.taken.has(seq)) return 'taken';
    if (this.#isLeasedFresh(seq)) return 'leased';
    return seq < this.#matured ? 'ready' : 'unmatured';
  }

  /** Whether no job of [start, end) waits in the log for this topic or is leased from there. */
  allTaken(start: number, end: number): boolean {
    const from = Math.max(start, this.floor);
    const to = Math.min(end, this.end);
    return from >= to || this.taken.countIn(from, to) === to - from;
  }

  /** Jobs that were accepted for this topic, ever. */
  get accepted(): number {
    return this.end - this.excluded.size;
  }

  /** How many of the entries memory holds. */
  get entriesInMemory(): number {
    return this.#lanes.inMemory;
  }

  get entries(): number {
    return this.#lanes.size;
  }

  leaseOf(seq: number): Lease | undefined {
    for (const lease of this.leases.values()) if (lease.seq === seq) return lease;
    return undefined;
  }

  #isLeasedFresh(seq: number): boolean {
    return seq < this.#cursor && !this.#returned.includes(seq);
  }

  #with(staged: readonly number[]): RangeSet {
    const all = new RangeSet();
    for (const [start, end] of this.taken) all.add(start, end);
    for (const seq of staged) all.add(seq, seq + 1);
    return all;
  }

  #take(start: number, end: number): void {
    this.#untaken -= this.taken.add(start, end);
    this.floor = this.taken.absorb(this.floor);
    if (this.#cursor < this.floor) this.#cursor = this.floor;
  }

  #key(letter: EntryLetter, seq: number): string {
    return entryKey(letter, this.shard, this.id, seq);
  }
}
