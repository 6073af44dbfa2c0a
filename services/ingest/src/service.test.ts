import { common, ingest as contract } from '@malabar/contracts';
import { Channel, CLOSED_HASH, systemClock } from '@malabar/core';
import type { CallContext } from '@malabar/rpc';
import { describe, expect, test } from 'vitest';
import { type RigOptions, startRig } from './rig.suite.js';
import { createIngestService } from './service.js';
import { queueConfig } from './storage-double.suite.js';

const job = (body: string, more: Partial<common.Job> = {}) =>
  common.Job.fromPartial({ body: Buffer.from(body), ...more });

function context(
  authorization?: string,
  peer = '127.0.0.1:1',
  metadata = new Map<string, string>(),
): CallContext {
  if (authorization) {
    metadata.set('authorization', `Basic ${Buffer.from(authorization).toString('base64')}`);
  }
  return { signal: new AbortController().signal, metadata, peer, trusted: true };
}

async function startService(options: RigOptions & { guarded?: boolean } = {}) {
  const rig = await startRig(options);
  const { intake, rules } = rig.ingest;
  const service = createIngestService({
    intake,
    storage: rig.storage.client,
    rules,
    clock: systemClock,
    open: true,
    guarded: options.guarded ?? false,
  });
  return { ...rig, service };
}

test('one job gets an id and the level of safety; a refused one its error', async () => {
  const { service, storage } = await startService();
  const answer = await service.submit({ queue: 'q', job: job('x', { key: 'k' }) }, context());
  expect(answer).toMatchObject({ duplicate: false, durability: contract.Durability.FSYNC });
  expect(storage.jobs[0]?.job.key).toBe('k');
  const big = service.submit({ queue: 'q', job: job('x'.repeat(2000)) }, context());
  await expect(big).rejects.toMatchObject({ code: 'TOO_LARGE' });
  const none = service.submit({ queue: 'none', job: job('x') }, context());
  await expect(none).rejects.toMatchObject({ code: 'UNKNOWN_QUEUE' });
});

test('in a batch one refused job does not refuse the others', async () => {
  const { service, storage } = await startService();
  const jobs = [job('a'), job('x'.repeat(2000)), job('b', { priority: 10 }), job('c')];
  const { results } = await service.submitBatch({ queue: 'q', jobs }, context());
  expect(results.map(({ fault }) => fault?.code)).toEqual([
    undefined,
    'TOO_LARGE',
    'INVALID',
    undefined,
  ]);
  expect(storage.bodies()).toEqual(['a', 'c']);
});

test('only the bus itself says which node gets a job', async () => {
  const { service, storage } = await startService();
  const pinned = job('x', { node: 'web-1', nodeWaitMs: 60_000 });
  const refused = service.submit({ queue: 'q', job: pinned }, context());
  await expect(refused).rejects.toThrow(/^node: only the bus itself/);
  await service.submit({ queue: 'q', job: pinned }, context(undefined, 'local'));
  expect(storage.jobs).toMatchObject([{ options: { node: 'web-1', nodeWaitMs: 60_000 } }]);
});

test('a stream is answered in the order of its requests, faults included', async () => {
  const { service } = await startService();
  const requests = new Channel<contract.SubmitStreamRequest>();
  requests.push({ requestId: 7, queue: 'q', jobs: [job('a'), job('b')], idempotencyWindowMs: 0 });
  requests.push({ requestId: 8, queue: 'none', jobs: [job('c')], idempotencyWindowMs: 0 });
  requests.push({ requestId: 9, queue: 'q', jobs: [], idempotencyWindowMs: 0 });
  requests.end();
  const answers: contract.SubmitStreamResponse[] = [];
  for await (const answer of service.submitStream(requests, context())) answers.push(answer);
  expect(answers.map(({ requestId }) => requestId)).toEqual([7, 8, 9]);
  expect(answers[0]?.results).toHaveLength(2);
  expect(answers[1]?.fault?.code).toBe('UNKNOWN_QUEUE');
});

test('a password is asked of callers from outside, not of the bus itself', async () => {
  const queues = [queueConfig('q', { password: 'hash of p' })];
  const { service } = await startService({ queues });
  const submit = (by: CallContext) => service.submit({ queue: 'q', job: job('x') }, by);
  await expect(submit(context())).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  await expect(submit(context('q:wrong'))).rejects.toMatchObject({ code: 'WRONG_PASSWORD' });
  await expect(submit(context('q:p'))).resolves.toMatchObject({ duplicate: false });
  await expect(submit(context(undefined, 'local'))).resolves.toMatchObject({ duplicate: false });
});

test('a token is no password of a queue, and none is needed where the queue has none', async () => {
  const queues = [queueConfig('q'), queueConfig('guarded', { password: 'hash of p' })];
  const { service } = await startService({ queues });
  const shown = context();
  const metadata = new Map([['authorization', 'Bearer mlb_id_secret']]);
  const caller = { ...shown, metadata };
  const answer = await service.submit({ queue: 'q', job: job('x') }, caller);
  expect(answer.duplicate).toBe(false);
  const guarded = service.submit({ queue: 'guarded', job: job('x') }, caller);
  await expect(guarded).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
});

test.each([
  [{ deliverAtMs: -1 }, 'deliver_at_ms -1 is negative'],
  [{ expiresAtMs: -5 }, 'expires_at_ms -5 is negative'],
  [{ deliverAtMs: Date.UTC(2200, 0, 1) }, 'its delay ends beyond the year 2199'],
  [{ deliverAtMs: Number.MAX_SAFE_INTEGER }, 'its delay ends beyond the year 2199'],
  [{ expiresAtMs: Date.UTC(2200, 0, 1) }, 'its time to live ends beyond the year 2199'],
])('%j is no time of a job', async (times, message) => {
  const { service, storage } = await startService();
  const submit = (given: Partial<common.Job>) =>
    service.submit({ queue: 'q', job: job('x', given) }, context());
  await expect(submit(times)).rejects.toMatchObject({ code: 'INVALID', message });
  expect(storage.jobs).toEqual([]);
  const last = Date.UTC(2199, 11, 31);
  await expect(submit({ deliverAtMs: last })).resolves.toMatchObject({ duplicate: false });
});

test('headers that only the bus writes are taken from the bus only', async () => {
  const { service, storage } = await startService();
  const run = job('x', { headers: { 'malabar-schedule': 'nightly' } });
  const submit = (peer: string) => service.submit({ queue: 'q', job: run }, context('', peer));
  await expect(submit('127.0.0.1:1')).rejects.toMatchObject({
    code: 'INVALID',
    message: "header 'malabar-schedule': names with malabar- are the bus's own",
  });
  expect(storage.jobs).toEqual([]);
  await expect(submit('local')).resolves.toMatchObject({ duplicate: false });
});

describe('who says to be a service of the bus', () => {
  const names = ['open', 'closed', 'shut'] as const;
  const hashes = { open: '', closed: CLOSED_HASH, shut: 'hash of p' };
  const queues = names.map((name) => queueConfig(name, { password: hashes[name] }));
  const run = { headers: { 'malabar-schedule': 'nightly' } };

  /** What becomes of a push to each of the queues. */
  async function pushes(guarded: boolean, trusted = true) {
    const { service } = await startService({ queues, guarded });
    const claims = new Map([['malabar-service', 'scheduler']]);
    const by = { ...context(undefined, '127.0.0.1:1', claims), trusted };
    const push = (queue: string) => service.submit({ queue, job: job('x', run) }, by);
    const codes = names.map((queue) =>
      push(queue).then(
        () => 'taken',
        ({ code }) => code,
      ),
    );
    return Promise.all(codes);
  }

  test('may push everywhere where a token or a certificate proves it', async () => {
    expect(await pushes(true)).toEqual(['taken', 'taken', 'taken']);
  });

  test('opens no password by his word alone, but what the bus made for itself', async () => {
    expect(await pushes(false)).toEqual(['taken', 'taken', 'UNAUTHENTICATED']);
  });

  test('is nobody without the token that is asked for', async () => {
    expect(await pushes(true, false)).toEqual(['INVALID', 'UNAUTHENTICATED', 'UNAUTHENTICATED']);
  });
});
