import { joinFrames } from '@malabar/core';
import { seededRandom } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { decodeRecord, encodeRecord, type JobPart, rollRecords } from './log-record.js';

const part = (...jobs: string[]): JobPart => ({
  bytes: joinFrames(jobs.map((job) => Buffer.from(job))),
  count: jobs.length,
});
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

test('a record holds the jobs of its parts, in order, with their time', () => {
  const { entry, batch } = encodeRecord(3, 100, 1_900_000_000_000, [part('a', 'bb'), part('ccc')]);
  for (const read of [batch, decodeRecord(entry)]) {
    expect(read).toMatchObject({ shard: 3, firstSeq: 100, count: 3, endSeq: 103 });
    expect(read.acceptedAtMs).toBe(1_900_000_000_000);
    expect([100, 101, 102].map((seq) => text(read.job(seq)))).toEqual(['a', 'bb', 'ccc']);
    expect(read.frames(101, 103)).toEqual(part('bb', 'ccc').bytes);
  }
});

test('a record with any bit turned over is refused by name', () => {
  const { entry } = encodeRecord(3, 100, 1_900_000_000_000, [part('hello', 'world')]);
  for (let bit = 0; bit < entry.bytes.length * 8; bit++) {
    const bytes = Uint8Array.from(entry.bytes);
    bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
    expect(() => decodeRecord({ ...entry, bytes })).toThrow(/log record 100 of shard 3/);
  }
});

test('a cut record is refused', () => {
  const { entry } = encodeRecord(0, 0, 1, [part('hello')]);
  for (let length = 0; length < entry.bytes.length; length++)
    expect(() => decodeRecord({ ...entry, bytes: entry.bytes.subarray(0, length) })).toThrow(
      expect.objectContaining({ code: 'CORRUPT' }),
    );
});

test('a whole record in a wrong place is refused', () => {
  const { entry } = encodeRecord(1, 7, 1, [part('hello')]);
  expect(() => decodeRecord({ ...entry, firstSeq: 8 })).toThrow(/log record 8/);
  expect(() => decodeRecord({ ...entry, shard: 2 })).toThrow(/shard 2/);
});

test('rolling keeps every job, its order and the limit', () => {
  const random = seededRandom(4);
  for (let round = 0; round < 200; round++) {
    let next = 0;
    const parts = Array.from({ length: Math.floor(random() * 8) }, () =>
      part(
        ...Array.from({ length: 1 + Math.floor(random() * 6) }, () =>
          `${next++}`.padEnd(1 + Math.floor(random() * 30), '.'),
        ),
      ),
    );
    const rolled = rollRecords(parts, 40);
    let seq = 0;
    for (const record of rolled) {
      const { batch } = encodeRecord(0, seq, 1, record);
      if (batch.count > 1) expect(batch.jobs.length).toBeLessThanOrEqual(40);
      for (; seq < batch.endSeq; seq++)
        expect(text(batch.job(seq)).startsWith(`${seq}`)).toBe(true);
    }
    expect(seq).toBe(next);
  }
});
