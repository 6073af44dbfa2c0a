import { common } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { openBus, queue, TestBus, topic } from './bus.suite.js';
import { encodeRecord } from './core/log-record.js';
import { LogReader } from './log-reader.js';
import { Store } from './store.js';
import { verify } from './verify.js';

const { DONE } = common.OutcomeKind;

test('the first answer comes after the disk, not before', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  const release = bus.hold('commit');
  let answered = false;
  const append = bus.append('q', 'a').then(() => {
    answered = true;
  });
  await bus.rest();
  expect(answered).toBe(false);
  expect(bus.counts('q', 't').ready).toBe(0);
  await release();
  await append;
  expect(bus.counts('q', 't').ready).toBe(1);
});

test('what arrives during a commit forms the next one together', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  const release = bus.hold('commit');
  const appends = [bus.append('q', 'a')];
  await bus.rest();
  for (let i = 0; i < 20; i++) appends.push(bus.append('q', `b${i}`));
  await release();
  await Promise.all(appends);
  expect(bus.disk.logFrom(0, 0)?.firstSeq).toBe(0);
  expect(bus.disk.logFrom(0, 1)?.firstSeq).toBe(1);
  expect(bus.disk.logFrom(0, 2)).toBeUndefined();
});

test('an idempotency key is known to the next life of the store', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  const key = { idempotencyKey: 'order-1' };
  const { firstSeq, acceptedAtMs } = await bus.append('q', ['a', key]);
  const next = await bus.reopen();
  const again = await next.append('q', ['b', key], 'c');
  expect(again.exceptions).toEqual([
    { index: 0, duplicateOf: bus.store.shard('q').idOf(acceptedAtMs, firstSeq), fault: undefined },
  ]);
  expect(again.firstSeq).toBe(firstSeq + 1);
});

test('of a refused commit nothing counts, also no idempotency key', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  bus.disk.full = 'appends';
  const key = { idempotencyKey: 'order-1', priority: 4 };
  expect((await bus.append('q', ['a', key])).fault?.code).toBe('DISK_FULL');
  bus.disk.full = 'nothing';
  await bus.pass(300);
  expect((await bus.append('q', ['a', key])).exceptions).toEqual([]);
  expect((await bus.consumer('q', 't')).bodies()).toEqual(['a']);
  expect(await bus.problems()).toEqual([]);
});

test('a store whose disk has another owner accepts nothing more', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  const next = await bus.reopen();
  expect((await bus.append('q', 'a')).fault?.code).toBe('STALE_LEASE');
  expect(bus.store.notReady()[0]).toContain('another owner');
  expect((await next.append('q', 'b')).fault).toBeUndefined();
  expect((await next.consumer('q', 't')).bodies()).toEqual(['b']);
});

test('before the first configuration a store refuses politely', async () => {
  const bus = await new TestBus().open();
  expect((await bus.append('q', 'a')).fault?.code).toBe('UNAVAILABLE');
  expect(bus.store.notReady()).toHaveLength(1);
});

test('closing makes durable what was said and ends every wait', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  const waiting = bus.fetch({ queue: 'q', topic: 't', waitMs: 60_000 });
  await bus.rest();
  await bus.append('q', 'a');
  const [leaseId] = (await waiting).map(({ firstLeaseId }) => firstLeaseId);
  const idle = bus.fetch({ queue: 'q', topic: 't', waitMs: 60_000 });
  await bus.rest();
  bus.store.settle([common.Outcome.fromPartial({ leaseId, kind: DONE })]);
  await bus.store.close();
  expect(await idle).toEqual([]);
  expect((await bus.append('q', 'b')).fault?.code).toBe('UNAVAILABLE');
  expect((await bus.reopen()).counts('q', 't')).toMatchObject({ done: 1, ready: 0 });
});

test('a configuration that cannot be is refused and stops nothing', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  const change = bus.store.committer.change(() => {
    throw new Error('impossible');
  });
  await expect(change).rejects.toThrow('impossible');
  expect((await bus.append('q', 'a')).fault).toBeUndefined();
});

test('a store of a format that this build does not know is not opened', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  bus.disk.state.set('M', Uint8Array.of(0x10, 99));
  await expect(bus.reopen()).rejects.toMatchObject({ code: 'CORRUPT' });
});

test('a log whose last record is damaged is not opened', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  await bus.append('q', 'a');
  const entry = bus.disk.logFrom(0, 0);
  if (entry) entry.bytes = entry.bytes.map((byte, i) => (i === 9 ? byte ^ 1 : byte));
  await expect(bus.reopen()).rejects.toMatchObject({ code: 'CORRUPT' });
});

test.each([
  ['a lane entry', 'L', 'in the lanes'],
  ['an entry', 'S', 'scheduled'],
  ['a dead delivery', 'D', 'dead'],
])('verify notices that %s is gone', async (_, letter, words) => {
  const bus = await openBus(queue('q', [topic('t')]));
  const consumer = await bus.consumer('q', 't');
  await bus.append('q', 'a', ['b', { deliverAtMs: bus.clock.now() + 60_000 }]);
  await bus.rest();
  await consumer.say(consumer.leases()[0] as number, common.OutcomeKind.DEAD);
  await bus.store.committer.flush();
  expect(await bus.problems()).toEqual([]);
  const [record] = bus.disk.scan({ start: letter, end: `${letter}\xff`, limit: 1 });
  bus.disk.state.set(record?.[0] as string, undefined);
  expect((await bus.problems()).join()).toContain(words);
});

test('verify notices a hole in the log and a damaged record', async () => {
  const bus = await openBus(queue('q', [topic('t')]));
  for (const body of ['a', 'b', 'c']) await bus.append('q', body);
  const broken = bus.disk.logFrom(0, 2);
  if (broken) broken.bytes = broken.bytes.map((byte) => byte ^ 4);
  bus.disk.apply({ appends: [], state: new Map(), drops: [{ shard: 0, firstSeq: 1 }] });
  const problems = await bus.problems();
  expect(problems[0]).toBe('q: jobs 1 to 1 are missing');
  expect(problems[1]).toContain('log record 2');
});

test('verify tells one queue from the others', async () => {
  const bus = await openBus(queue('q', [topic('t')]), queue('r', [topic('t')]));
  await bus.append('q', 'a');
  await bus.append('r', 'a', 'b');
  const counts: number[] = [];
  for await (const { jobs } of verify(bus.store, 'r')) counts.push(jobs);
  expect(counts.at(-1)).toBe(2);
});

test('the cache of a store keeps to its size, the newest stay', async () => {
  const bus = await openBus();
  const reader = new LogReader(bus.store.options.engine, 10_000);
  const bytes = Buffer.alloc(500, 7);
  let seq = 0;
  for (; seq < 1_000; seq++) reader.add(encodeRecord(0, seq, 1, [{ bytes, count: 1 }]).batch);
  const cached = Array.from({ length: seq }, (_, i) => i).filter((i) => reader.cached(0, i));
  expect(cached.length * bytes.length).toBeLessThanOrEqual(10_000);
  expect(cached.at(-1)).toBe(seq - 1);
});

test('memory does not grow with what waits: writes gone, cache bounded, a window of the lane', async () => {
  const bus = await new TestBus({
    queues: [queue('q', [topic('t')])],
    store: { cacheBytes: 10_000 },
  }).open();
  const later = { deliverAtMs: bus.clock.now() + 60_000 };
  for (let i = 0; i < 60; i++)
    await bus.append(
      'q',
      ...Array.from({ length: 200 }, (_, k): string | [string, object] =>
        k % 2 === 0 ? 'fresh job' : ['late job', later],
      ),
    );
  const { store } = bus;
  expect(store).toBeInstanceOf(Store);
  expect(store.writes.empty).toBe(true);
  expect(store.leases.leases.size).toBe(0);
  const t = store.topic('q', 't');
  // 1,024, and what one commit adds before plain jobs leave the log too.
  expect(t.taken.ranges).toBeLessThan(1_024 + 200);
  const cached = Array.from({ length: 60 }, (_, i) => i * 200).filter((seq) =>
    store.reader.cached(0, seq),
  );
  expect(cached.length).toBeLessThan(6);
  expect(bus.counts('q', 't')).toMatchObject({ ready: 6_000, scheduled: 6_000 });
});
