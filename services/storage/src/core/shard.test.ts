import { common, type keeper, records, storage } from '@malabar/contracts';
import { joinFrames, parseJobId } from '@malabar/core';
import { expect, test } from 'vitest';
import { queue, topic } from '../bus.suite.js';
import { decodeRecord, rollRecords } from './log-record.js';
import { type AppendCall, Shard, type ShardLayout, type StagedAppend } from './shard.js';
import { type StagedWrites, WriteBuffer } from './write-buffer.js';

const STORE = 5;
const NOW = 1_900_000_000_000;

function newShard(config: keeper.QueueConfig, layout: Partial<ShardLayout> = {}): Shard {
  const table = { nextId: 1, leases: new Map() };
  const record = records.ShardRecord.fromPartial({ queue: config.name });
  const shard = new Shard(2, config.name, record, STORE, table, new WriteBuffer(), layout);
  shard.configure(config);
  return shard;
}

function request(
  bodies: string[],
  options: Array<Partial<storage.JobOptions>> = [],
): storage.AppendRequest {
  const made = storage.AppendRequest.fromPartial({ requestId: 1, count: bodies.length, options });
  made.jobs = joinFrames(
    bodies.map((body) =>
      common.Job.encode(common.Job.fromPartial({ body: Buffer.from(body) })).finish(),
    ),
  );
  return made;
}

interface Staged {
  staged: StagedAppend;
  writes: StagedWrites;
  answers: storage.AppendResponse[];
}

function stage(
  shard: Shard,
  requests: storage.AppendRequest[],
  { known = new Map<string, records.KeyRecord>(), now = NOW, apply = true } = {},
): Staged {
  const calls = requests.map((one): AppendCall => ({ request: one, reply: () => undefined }));
  const writes: StagedWrites = { appends: [], state: new Map() };
  const staged = shard.stage(calls, { known, held: new Map() }, now, writes);
  if (apply) shard.apply(staged, now);
  return { staged, writes, answers: staged.answers.map(([, answer]) => answer) };
}

const bodies = ({ writes }: Staged): string[] =>
  writes.appends.flatMap((entry) => {
    const batch = decodeRecord(entry);
    return Array.from({ length: batch.count }, (_, i) =>
      Buffer.from(common.Job.decode(batch.job(batch.firstSeq + i)).body).toString(),
    );
  });

test('the requests of one commit become one log record, each with its own numbers', () => {
  const shard = newShard(queue('q', [topic('t')]));
  const made = stage(shard, [request(['a', 'b']), request(['c'])]);
  expect(made.writes.appends).toHaveLength(1);
  expect(bodies(made)).toEqual(['a', 'b', 'c']);
  expect(made.answers.map(({ firstSeq }) => firstSeq)).toEqual([0, 2]);
  expect(made.answers[0]).toMatchObject({ store: STORE, shard: 2, acceptedAtMs: NOW });
  expect(shard.tail).toBe(3);
});

test('nothing of a shard changes before its commit is durable', () => {
  const shard = newShard(queue('q', [topic('t')]));
  stage(shard, [request(['a'], [{ index: 0, priority: 3 }])], { apply: false });
  expect(shard.tail).toBe(0);
  expect(shard.topics.get('t')?.counts()).toMatchObject({ ready: 0, scheduled: 0 });
});

test('jobs are never accepted before those that came earlier, whatever the clock says', () => {
  const shard = newShard(queue('q', [topic('t')]));
  stage(shard, [request(['a'])]);
  const { answers } = stage(shard, [request(['b'])], { now: NOW - 60_000 });
  expect(answers[0]?.acceptedAtMs).toBe(NOW);
});

test('of two jobs with one idempotency key the second is answered with the id of the first', () => {
  const shard = newShard(queue('q', [topic('t')]));
  const key = (index: number) => ({ index, idempotencyKey: 'order-1' });
  const made = stage(shard, [request(['a', 'b'], [key(1)]), request(['c', 'd'], [key(0)])]);
  expect(bodies(made)).toEqual(['a', 'b', 'd']);
  const [exception] = made.answers[1]?.exceptions ?? [];
  expect(exception?.index).toBe(0);
  expect(parseJobId(exception?.duplicateOf ?? '')).toEqual({
    acceptedAtMs: NOW,
    store: STORE,
    shard: 2,
    seq: 1,
  });
  // The one job that is left comes behind those of the first request.
  expect(made.answers[1]?.firstSeq).toBe(2);
});

test('a key that the disk knows counts until its window is over, to the millisecond', () => {
  const shard = newShard(queue('q', [topic('t')]));
  const known = new Map([['k', { seq: 0, acceptedAtMs: NOW - 500, expiresAtMs: NOW, sinceMs: 0 }]]);
  const again = request(['a'], [{ index: 0, idempotencyKey: 'k', idempotencyWindowMs: 10 }]);
  const before = stage(shard, [again], { known, now: NOW - 1, apply: false });
  expect(before.answers[0]?.exceptions).toHaveLength(1);
  const after = stage(shard, [again], { known, now: NOW, apply: false });
  expect(after.answers[0]?.exceptions).toHaveLength(0);
});

test('a queue that is full refuses what does not fit and takes the rest', () => {
  const shard = newShard(queue('q', [topic('t'), topic('u')], { waitingMax: 3 }));
  const { answers } = stage(shard, [request(['a', 'b']), request(['c', 'd', 'e'])]);
  expect(answers[0]?.exceptions).toEqual([]);
  expect(answers[1]?.exceptions.map(({ index, fault }) => [index, fault?.code])).toEqual([
    [1, 'QUEUE_FULL'],
    [2, 'QUEUE_FULL'],
  ]);
  expect(shard.tail).toBe(3);
});

test('a job may ask to be refused when too many wait', () => {
  const shard = newShard(queue('q', [topic('t')]));
  const options = [0, 1, 2].map((index) => ({ index, maxWaiting: 2 }));
  const { answers } = stage(shard, [request(['a', 'b', 'c'], options)]);
  expect(answers[0]?.exceptions.map(({ index }) => index)).toEqual([2]);
});

test('what was leased does not count as waiting', () => {
  const shard = newShard(queue('q', [topic('t')], { waitingMax: 2 }));
  stage(shard, [request(['a', 'b'])]);
  shard.topics.get('t')?.lease({ name: 'c', node: '', fetching: false, leased: 0 }, 1, NOW);
  const { answers } = stage(shard, [request(['c', 'd'])]);
  expect(answers[0]?.exceptions.map(({ index }) => index)).toEqual([1]);
});

test('a batch that does not hold what it announces is refused whole', () => {
  const shard = newShard(queue('q', [topic('t')]));
  const cut = request(['a', 'b']);
  cut.jobs = cut.jobs.subarray(0, -1);
  const { answers, writes } = stage(shard, [{ ...request(['a']), count: 2 }, cut, request(['c'])]);
  expect(answers.map(({ fault }) => fault?.code)).toEqual(['INVALID', 'INVALID', undefined]);
  expect(writes.appends).toHaveLength(1);
  expect(shard.tail).toBe(1);
});

test('a queue that is not configured accepts nothing', () => {
  const shard = newShard(queue('q', [topic('t')]));
  shard.detach();
  expect(stage(shard, [request(['a'])]).answers[0]?.fault?.code).toBe('UNKNOWN_QUEUE');
});

test('jobs that must wait or hurry leave the order of the log at once, in every topic', () => {
  const shard = newShard(queue('q', [topic('t'), topic('u', { delayMs: 50 })]));
  const { writes } = stage(shard, [
    request(['a', 'b'], [{ index: 1, deliverAtMs: NOW + 20, priority: 12 }]),
  ]);
  const lanes = [...writes.state].filter(([key]) => key[0] === 'L');
  const entries = lanes.map(([, bytes]) => records.EntryRecord.decode(bytes as Uint8Array));
  expect(entries.map(({ dueAtMs }) => dueAtMs - NOW)).toEqual([20, 50]);
  expect(entries.map(({ priority }) => priority)).toEqual([9, 9]);
  expect(shard.topics.get('t')?.entries).toBe(1);
});

test('a time beyond what a key can hold is the last that it can', () => {
  const shard = newShard(queue('q', [topic('t')]));
  const far = request(['a'], [{ index: 0, deliverAtMs: Number.MAX_SAFE_INTEGER }]);
  stage(shard, [far]);
  const t = shard.topics.get('t');
  t?.advance(NOW);
  expect(t?.counts()).toMatchObject({ scheduled: 1, ready: 0 });
  expect(t?.nextDueAtMs()).toBeLessThan(2 ** 48);
});

test('an idempotency key that no engine could store is refused before it stops a commit', () => {
  const shard = newShard(queue('q', [topic('t')]));
  const long = request(['a'], [{ index: 0, idempotencyKey: 'ж'.repeat(600) }]);
  const { answers } = stage(shard, [long, request(['b'])]);
  expect(answers[0]?.exceptions[0]?.fault?.code).toBe('INVALID');
  expect(answers[1]?.fault).toBeUndefined();
});

test('jobs are numbered through, however the commit is spread over log records', () => {
  const small = (parts: Parameters<typeof rollRecords>[0]) => rollRecords(parts, 8);
  const shard = newShard(queue('q', [topic('t')]), { roll: small });
  const made = stage(shard, [request(['a', 'b', 'c']), request(['d', 'e'])]);
  expect(made.writes.appends.length).toBeGreaterThan(2);
  expect(bodies(made)).toEqual(['a', 'b', 'c', 'd', 'e']);
  let next = 0;
  for (const entry of made.writes.appends) {
    expect(entry.firstSeq).toBe(next);
    next = decodeRecord(entry).endSeq;
  }
});

test('jobs that leave the log early lie in small records: each of them is read by itself one day', () => {
  const shard = newShard(queue('q', [topic('t')]));
  const all = Array.from({ length: 400 }, () => 'x'.repeat(200));
  const plain = stage(shard, [request(all)]);
  expect(plain.writes.appends).toHaveLength(1);
  const later = all.map((_, index) => ({ index, deliverAtMs: NOW + 1_000 + index }));
  const delayed = stage(shard, [request(all, later)]);
  const sizes = delayed.writes.appends.map(({ bytes }) => bytes.length);
  expect(sizes.length).toBeGreaterThan(4);
  expect(Math.max(...sizes)).toBeLessThan(16_384);
  expect(bodies(delayed)).toHaveLength(400);
  expect(shard.tail).toBe(800);
});
