import { dispatcher } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { leased } from './attempts.suite.js';
import { WorkBatch, workerServiceDefinition } from './work-encoding.js';

const { requestType, responseType } = workerServiceDefinition.methods.work;

test('a batch is the same bytes as the message that it stands for', () => {
  const jobs = [{ body: Buffer.alloc(200, 'a'), headers: { a: 'b' } }, {}, { key: 'k' }];
  const batch = new WorkBatch(leased(jobs, { attempt: 300 }), 30_000);
  const bytes = responseType.encode(batch).finish();
  const plain = dispatcher.WorkResponse.fromPartial({ items: batch.items, timeoutMs: 30_000 });
  expect(Buffer.from(bytes).equals(dispatcher.WorkResponse.encode(plain).finish())).toBe(true);
});

test.each([
  ['done leases only', { done: [1, 127, 128, 2 ** 32 + 5, 2 ** 53 - 1] }],
  ['one done lease', { done: [3] }],
  ['a first message', { topic: 'q/t', password: 'p', capacity: 5, worker: 'w', done: [1] }],
  ['done and outcomes', { done: [1, 2], outcomes: [{ leaseId: 3, kind: 2, error: 'no' }] }],
  ['done and a farewell', { done: [1], leaving: true }],
  ['nothing', {}],
])('a request with %s is read as ts-proto reads it', (_name, fields) => {
  const request = dispatcher.WorkRequest.fromPartial(fields);
  const bytes = dispatcher.WorkRequest.encode(request).finish();
  expect(requestType.decode(bytes)).toEqual(request);
});

test.each([
  ['a cut list', [0x2a, 0x03, 0x01, 0x02]],
  ['a number that never ends', [0x2a, 0x02, 0xff, 0xff]],
  ['an unpacked list', [0x28, 0x05, 0x28, 0x06]],
])('%s is left to ts-proto', (_name, bytes) => {
  const plain = () => dispatcher.WorkRequest.decode(Uint8Array.from(bytes));
  const fast = () => requestType.decode(Uint8Array.from(bytes));
  let expected: unknown;
  try {
    expected = plain();
  } catch {
    expect(fast).toThrow();
    return;
  }
  expect(fast()).toEqual(expected);
});
