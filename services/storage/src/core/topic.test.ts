import { common, type keeper, records } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { topic as document } from '../bus.suite.js';
import type { Grant, Holder, Lease } from './lease.js';
import { Topic } from './topic.js';
import { WriteBuffer } from './write-buffer.js';

const NOW = 1_900_000_000_000;
const { DONE, RETRY, DEAD, RELEASE, EXTEND, CRASH } = common.OutcomeKind;

class TopicWorld {
  readonly table = { nextId: 1, leases: new Map<number, Lease>() };
  readonly writes = new WriteBuffer();
  readonly topic: Topic;
  readonly holder: Holder = { name: 'c', node: '', fetching: false, leased: 0 };
  now = NOW;
  tail = 0;

  constructor(config: Partial<keeper.TopicConfig> = {}, record: Partial<records.TopicRecord> = {}) {
    this.topic = new Topic(
      0,
      0,
      document('t', config),
      records.TopicRecord.fromPartial(record),
      this.tail,
      this.table,
      this.writes,
    );
  }

  /** Appends jobs; those with a record go to their lane at once. */
  append(count: number, specials: Record<number, Partial<records.EntryRecord>> = {}): this {
    const list = Object.entries(specials).map(([index, record]) => ({
      seq: this.tail + Number(index),
      record: records.EntryRecord.fromPartial({
        acceptedAtMs: this.now,
        dueAtMs: this.now,
        ...record,
      }),
    }));
    this.tail += count;
    this.topic.appended(this.tail, list, this.now);
    this.topic.advance(this.now);
    return this;
  }

  lease(max: number, holder = this.holder): Grant[] {
    return this.topic.lease(holder, max, this.now);
  }

  seqs(max: number): number[] {
    return this.lease(max).flatMap(({ seq, count }) =>
      Array.from({ length: count }, (_, i) => seq + i),
    );
  }

  settle(seq: number, kind: common.OutcomeKind, more: Partial<common.Outcome> = {}): void {
    const lease = this.topic.leases.find(seq) as Lease;
    const outcome = common.Outcome.fromPartial({ leaseId: lease.id, kind, ...more });
    this.topic.settle(lease, outcome, this.now, () => 0.5);
    this.topic.advance(this.now);
  }

  pass(ms: number): void {
    this.now += ms;
    this.topic.advance(this.now);
  }

  get counts() {
    return this.topic.counts();
  }
}

test('fresh jobs are leased as runs, in the order of the log, each once', () => {
  const world = new TopicWorld().append(10);
  const [first] = world.lease(4);
  expect(first).toMatchObject({ seq: 0, count: 4, attempt: 1 });
  expect(world.seqs(100)).toEqual([4, 5, 6, 7, 8, 9]);
  expect(world.lease(1)).toEqual([]);
  expect(world.holder.leased).toBe(10);
  expect(world.counts).toMatchObject({ ready: 0, leased: 10 });
});

test('a run ends where a job is taken already', () => {
  const world = new TopicWorld().append(6, { 2: { priority: 5 }, 4: { dueAtMs: NOW + 10 } });
  expect(world.lease(100).map(({ seq, count }) => [seq, count])).toEqual([
    [2, 1],
    [0, 2],
    [3, 1],
    [5, 1],
  ]);
});

test('a higher priority goes first, equal ones by time and then by age', () => {
  const world = new TopicWorld().append(6, {
    0: { priority: 1 },
    2: { priority: 9 },
    3: { priority: 5 },
    4: { priority: 9, dueAtMs: NOW - 5 },
  });
  expect(world.seqs(100)).toEqual([4, 2, 3, 0, 1, 5]);
});

test('neither a heap of retries nor a stream of fresh jobs starves the other', () => {
  const world = new TopicWorld({ retry: undefined }).append(8);
  for (const seq of world.seqs(8)) world.settle(seq, RETRY, { retryAfterMs: 1 });
  world.append(50);
  world.pass(10);
  const taken = [...world.seqs(8), ...world.seqs(8)];
  expect(taken.filter((seq) => seq < 8)).toHaveLength(4);
  expect(taken.filter((seq) => seq >= 8)).toHaveLength(12);
});

test('jobs that were given back go first, as runs where they join', () => {
  const world = new TopicWorld().append(6);
  world.lease(4);
  for (const seq of [2, 0, 3]) world.settle(seq, RELEASE);
  expect(world.lease(10).map(({ seq, count, attempt }) => [seq, count, attempt])).toEqual([
    [0, 1, 1],
    [2, 2, 1],
    [4, 2, 1],
  ]);
});

test('a release burns no attempt, a retry one, a crash one of each', () => {
  const world = new TopicWorld().append(1);
  world.lease(1);
  world.settle(0, RELEASE);
  world.lease(1);
  world.settle(0, CRASH);
  world.pass(100);
  expect(world.lease(1)[0]).toMatchObject({ attempt: 2, entry: { record: { crashes: 1 } } });
  world.settle(0, RETRY);
  world.pass(100);
  expect(world.lease(1)[0]).toMatchObject({ attempt: 3, entry: { record: { crashes: 1 } } });
});

test('a delivery is dead with its last attempt, not before', () => {
  const world = new TopicWorld().append(1);
  for (const attempt of [1, 2, 3]) {
    expect(world.lease(1)[0]?.attempt).toBe(attempt);
    world.settle(0, RETRY, { error: `failure ${attempt}` });
    expect(world.counts.dead).toBe(attempt === 3 ? 1 : 0);
    world.pass(100);
  }
  expect(world.counts).toEqual({
    ready: 0,
    scheduled: 0,
    leased: 0,
    done: 0,
    dead: 1,
    discarded: 0,
  });
});

test('a consumer that crashes too often on a job gets it no more', () => {
  const world = new TopicWorld().append(1);
  for (const dead of [0, 1]) {
    world.lease(1);
    world.settle(0, CRASH);
    expect(world.counts.dead).toBe(dead);
    world.pass(100);
  }
  const [, value] = dead(world)[0] ?? [];
  expect(value).toMatchObject({ quarantined: true, crashes: 2, attempts: 2 });
});

test('an outcome may end a delivery at once, or name its own pause', () => {
  const world = new TopicWorld().append(2);
  world.lease(2);
  world.settle(0, DEAD, { errorCode: 'E42', error: 'no such order' });
  expect(dead(world)[0]?.[1]).toMatchObject({ errorCode: 'E42', quarantined: false });
  world.settle(1, RETRY, { retryAfterMs: 5_000 });
  world.pass(4_999);
  expect(world.lease(1)).toEqual([]);
  world.pass(1);
  expect(world.seqs(1)).toEqual([1]);
});

test('a delivery that is too old is not tried again', () => {
  const policy = { ...document('t').retry, ageMaxMs: 1_000, attempts: 10 } as keeper.RetryPolicy;
  const world = new TopicWorld({ retry: policy }).append(2);
  const [grant] = world.lease(2);
  grant?.accepted.push({ endSeq: 1, acceptedAtMs: NOW - 500 });
  grant?.accepted.push({ endSeq: 2, acceptedAtMs: NOW });
  world.pass(600);
  // Two jobs of one run have each their own age.
  world.settle(0, RETRY);
  world.settle(1, RETRY);
  expect(world.counts).toMatchObject({ dead: 1, scheduled: 1 });
});

test('the age of a job that was never read is not taken for endless', () => {
  const policy = { ...document('t').retry, ageMaxMs: 1_000 } as keeper.RetryPolicy;
  const world = new TopicWorld({ retry: policy }).append(1);
  world.lease(1);
  world.settle(0, RETRY);
  expect(world.counts).toMatchObject({ dead: 0, scheduled: 1 });
});

test('extending a lease starts it anew', () => {
  const world = new TopicWorld({ timeoutMs: 5_000 }).append(2);
  world.lease(2);
  const lease = world.topic.leases.find(0) as Lease;
  world.pass(19_000);
  world.settle(0, EXTEND);
  world.pass(1_500);
  expect(world.topic.leases.expired(world.now).map(({ seq }) => seq)).toEqual([1]);
  expect(lease.deadlineMs).toBe(NOW + 19_000 + 20_000);
});

test('leases of different lengths expire each in its time', () => {
  const world = new TopicWorld().append(3);
  world.topic.lease(world.holder, 1, NOW, 9_000);
  world.topic.lease(world.holder, 1, NOW, 1_000);
  world.lease(1);
  expect(world.topic.leases.expired(NOW + 999)).toEqual([]);
  expect(world.topic.leases.expired(NOW + 1_000).map(({ seq }) => seq)).toEqual([1]);
  expect(world.topic.leases.expired(NOW + 9_000)).toHaveLength(2);
});

test('leases that a topic grants after a change of its target expire each in its time', () => {
  const world = new TopicWorld({ timeoutMs: 5_000 }).append(2);
  world.lease(1);
  world.topic.reconfigure(
    document('t', { timeoutMs: 5_000, target: { $case: 'pull', value: {} } }),
  );
  world.lease(1);
  expect(world.topic.leases.expired(NOW + 5_000).map(({ seq }) => seq)).toEqual([1]);
});

test('a fetching consumer gets the lease time that the job asks for, a stream the topic its own', () => {
  const world = new TopicWorld({ timeoutMs: 5_000 }).append(2, {
    0: { leaseMs: 77 },
    1: { leaseMs: 77 },
  });
  expect(world.lease(1)[0]?.leaseMs).toBe(20_000);
  const fetching = { name: 'f', node: '', fetching: true, leased: 0 };
  expect(world.lease(1, fetching)[0]?.leaseMs).toBe(77);
});

test('a topic that is fetched leases for its timeout, not a moment longer', () => {
  const world = new TopicWorld({ timeoutMs: 5_000, target: { $case: 'pull', value: {} } });
  expect(world.append(1).lease(1)[0]?.leaseMs).toBe(5_000);
});

test('when a holder goes, its leases return, and only its own', () => {
  const world = new TopicWorld().append(4, { 1: { priority: 1 } });
  const other = { name: 'o', node: '', fetching: false, leased: 0 };
  world.lease(3);
  world.lease(1, other);
  world.topic.releaseAll(world.holder);
  expect(world.counts).toMatchObject({ ready: 3, leased: 1 });
  expect(world.holder.leased).toBe(0);
  expect(world.seqs(10)).toEqual([1, 0, 2]);
});

test('an entry that comes due after its end is discarded instead of leased', () => {
  const world = new TopicWorld().append(2, {
    0: { dueAtMs: NOW + 10, expiresAtMs: NOW + 10 },
    1: { dueAtMs: NOW + 10, expiresAtMs: NOW + 11 },
  });
  world.pass(10);
  expect(world.seqs(5)).toEqual([1]);
  expect(world.counts).toMatchObject({ discarded: 1, leased: 1, ready: 0 });
});

test('the floor rises over settled jobs, and what is settled above it stays known', () => {
  const world = new TopicWorld().append(6);
  world.lease(6);
  for (const seq of [1, 2, 4]) world.settle(seq, DONE);
  expect(world.topic.floor).toBe(0);
  expect([...world.topic.taken]).toEqual([
    [1, 3],
    [4, 5],
  ]);
  world.settle(0, DONE);
  expect(world.topic.floor).toBe(3);
  expect(world.counts).toMatchObject({ done: 4, leased: 2 });
});

test('after a crash a topic is what its last record says, and leases are ready', () => {
  const world = new TopicWorld().append(6, { 5: { dueAtMs: NOW + 50 } });
  world.lease(4);
  for (const seq of [0, 2]) world.settle(seq, DONE);
  world.settle(3, DEAD);
  const [, bytes] = world.topic.snapshot();
  const again = new Topic(
    0,
    0,
    document('t'),
    records.TopicRecord.decode(bytes),
    6,
    { nextId: 100, leases: new Map() },
    new WriteBuffer(),
  );
  expect(again.counts()).toEqual({
    ready: 2,
    scheduled: 1,
    leased: 0,
    done: 2,
    dead: 1,
    discarded: 0,
  });
  const grants = again.lease(world.holder, 10, NOW);
  expect(grants.map(({ seq, count }) => [seq, count])).toEqual([
    [1, 1],
    [4, 1],
  ]);
});

test('the record of an append under way holds its entries, the one after it too', () => {
  const world = new TopicWorld().append(2);
  const staged = records.TopicRecord.decode(
    world.topic.snapshot(
      [3, 4].map((seq) => ({ seq, record: records.EntryRecord.fromPartial({}) })),
    )[1],
  );
  expect(staged).toMatchObject({ entries: 2, taken: [3, 2] });
  const plain = records.TopicRecord.decode(world.topic.snapshot()[1]);
  expect(plain).toMatchObject({ entries: 0, taken: [] });
});

test('a paused topic accepts and delivers nothing', () => {
  const world = new TopicWorld({ paused: true }).append(2);
  expect(world.lease(5)).toEqual([]);
  expect(world.counts.ready).toBe(2);
  world.topic.reconfigure(document('t'));
  expect(world.seqs(5)).toEqual([0, 1]);
});

test('with a delay jobs are scheduled until their time is known to have come', () => {
  const world = new TopicWorld({ delayMs: 1_000 }).append(3).append(2);
  expect(world.counts).toMatchObject({ ready: 0, scheduled: 5 });
  expect(world.topic.unmaturedFrom).toBe(0);
  world.topic.matured(3);
  expect(world.counts).toMatchObject({ ready: 3, scheduled: 2 });
  expect(world.seqs(10)).toEqual([0, 1, 2]);
  world.topic.reconfigure(document('t', { delayMs: 0 }));
  expect(world.seqs(10)).toEqual([3, 4]);
});

test('a delay that comes later holds only what nobody has leased', () => {
  const world = new TopicWorld().append(4);
  world.lease(2);
  world.topic.reconfigure(document('t', { delayMs: 1_000 }));
  expect(world.counts).toMatchObject({ leased: 2, ready: 0, scheduled: 2 });
  world.settle(1, RELEASE);
  expect(world.seqs(10)).toEqual([1]);
});

test('what is accepted while a topic is removed is not for it, all else stays', () => {
  const world = new TopicWorld().append(3);
  world.lease(1);
  world.topic.detach();
  expect(world.lease(5)).toEqual([]);
  world.append(4);
  expect(world.counts).toMatchObject({ ready: 2, leased: 1 });
  world.settle(0, DONE);
  world.topic.attach();
  world.topic.reconfigure(document('t'));
  world.append(1);
  expect(world.seqs(10)).toEqual([1, 2, 7]);
  expect(world.topic.accepted).toBe(4);
  expect([0, 3, 6, 7].map((seq) => world.topic.stateInMemory(seq))).toEqual([
    'taken',
    'none',
    'none',
    'leased',
  ]);
});

test('jobs keep their delay over a removal of the topic', () => {
  const delayed = document('t', { delayMs: 1_000 });
  const world = new TopicWorld(delayed).append(2);
  world.topic.detach();
  world.append(2);
  world.topic.attach();
  world.topic.reconfigure(delayed);
  expect(world.counts).toMatchObject({ ready: 0, scheduled: 2 });
});

test('a replay forgives attempts and crashes, and keeps them on record', () => {
  const world = new TopicWorld().append(1);
  for (let i = 0; i < 2; i++) {
    world.lease(1);
    world.settle(0, CRASH);
    world.pass(100);
  }
  const [, record] = dead(world)[0] as [number, records.EntryRecord];
  world.topic.replay(0, record, world.now);
  world.pass(0);
  expect(world.counts).toMatchObject({ dead: 0, ready: 1 });
  for (const deadAfter of [0, 1]) {
    expect(world.lease(1)[0]?.attempt).toBe(3 + deadAfter);
    world.settle(0, CRASH);
    expect(world.counts.dead).toBe(deadAfter);
    world.pass(100);
  }
});

/** The records of dead deliveries that wait to be written. */
function dead(world: TopicWorld): Array<[number, records.EntryRecord]> {
  const page = world.writes.overlay({ start: 'D', end: 'E', limit: 100 })([]);
  return page.records.map(([, bytes], i) => [i, records.EntryRecord.decode(bytes)]);
}
