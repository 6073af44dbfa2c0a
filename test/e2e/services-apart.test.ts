import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { common, ingest, storage } from '@malabar/contracts';
import { connect } from '@malabar/rpc';
import { eventually, tempDir } from '@malabar/testkit';
import { expect, onTestFinished, test } from 'vitest';
import { busProcess } from '../harness/process.js';

const DOCUMENTS = `
queues:
  open: { topics: { inbox: { target: pull } } }
  shut: { password: open-sesame, topics: { inbox: { target: pull } } }
schedules:
  to_open: { every: 1s, push: { queue: open } }
  to_shut: { every: 1s, push: { queue: shut } }
`;
const LISTENERS = ['redis', 'pepperbus', 'http'].map((name) => `ingest.${name}.listen=127.0.0.1:0`);

/** A bus whose scheduler has a process of its own. */
async function startApart(token?: string) {
  const dir = tempDir('apart');
  mkdirSync(join(dir, 'home'));
  writeFileSync(join(dir, 'home', 'malabar.yaml'), DOCUMENTS);
  const guard = token === undefined ? [] : [`grpc.token=${token}`];
  const home = await busProcess({
    services: ['keeper', 'storage', 'ingest'],
    node: 'home',
    dir,
    keepers: [],
    settings: [...LISTENERS, ...guard],
  });
  const keepers = [home.address];
  const scheduler = await busProcess({
    services: ['scheduler'],
    node: 'apart',
    dir,
    keepers,
    settings: guard,
  });
  const at = { address: home.address, token };
  const jobs = connect(storage.StorageServiceDefinition, at);
  const door = connect(ingest.IngestServiceDefinition, at);
  onTestFinished(async () => {
    jobs.close();
    door.close();
    await scheduler.stop();
    await home.stop();
  });
  await home.start();
  await scheduler.start();
  const ready = async (queue: string): Promise<number> =>
    (await jobs.listQueues({ queue })).queues[0]?.topics[0]?.ready ?? 0;
  return { scheduler, door, ready };
}

test('a scheduler that shows the token of the bus pushes to every queue', async () => {
  const { ready } = await startApart('the token of this bus');
  await eventually(
    async () => {
      expect(await ready('open')).toBeGreaterThan(1);
      expect(await ready('shut')).toBeGreaterThan(1);
    },
    { timeoutMs: 20_000 },
  );
});

test('where no token is asked for, saying to be a service opens no password', async () => {
  const { scheduler, door, ready } = await startApart();
  await eventually(async () => expect(await ready('open')).toBeGreaterThan(2), {
    timeoutMs: 20_000,
  });
  const metadata = { 'malabar-service': 'scheduler' };
  const pushed = door.submit({ queue: 'shut', job: common.Job.fromPartial({}) }, { metadata });
  await expect(pushed).rejects.toMatchObject({
    code: 'UNAUTHENTICATED',
    message: expect.stringContaining('shut has a password: set grpc.token'),
  });
  expect(await ready('shut')).toBe(0);
  expect(scheduler.log()).toContain('shut has a password: set grpc.token');
});
