import { expect, test } from 'vitest';
import { Encoder } from './encoder.js';
import { Job } from './gen/malabar/common/v1/job.js';
import { EntryRecord } from './gen/malabar/storage/v1/records.js';

test('messages that share an encoder are those that each would be alone', () => {
  const encoder = new Encoder();
  const jobs = [0, 1, 5_000, 100_000, 3].map((size) =>
    Job.fromPartial({ body: Buffer.alloc(size, 'x'), headers: { a: 'b' } }),
  );
  const entry = EntryRecord.fromPartial({ dueAtMs: 1_900_000_000_000, error: 'no' });
  const encoded = jobs.map((job) => encoder.encode(Job, job));
  const last = encoder.encode(EntryRecord, entry);
  expect(encoded.map((bytes) => Buffer.from(bytes).toString('hex'))).toEqual(
    jobs.map((job) => Buffer.from(Job.encode(job).finish()).toString('hex')),
  );
  expect(EntryRecord.decode(last)).toEqual(entry);
});

test('a message that cannot be encoded leaves nothing behind', () => {
  const encoder = new Encoder();
  const wrong = Job.fromPartial({ headers: { a: 'b' }, key: 'k', deliverAtMs: 1.5 });
  expect(() => encoder.encode(Job, wrong)).toThrow();
  const job = Job.fromPartial({ key: 'right' });
  expect(Job.decode(encoder.encode(Job, job))).toEqual(job);
});
