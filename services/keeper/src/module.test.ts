import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig } from '@malabar/config';
import { keeper } from '@malabar/contracts';
import { connect, type RemoteClient } from '@malabar/rpc';
import { type RunningProcess, start } from '@malabar/runtime';
import type { Logger } from '@malabar/telemetry';
import { logToMemory, tempDir } from '@malabar/testkit';
import { afterEach, expect, test } from 'vitest';
import { keeperModule } from './module.js';

const ONE = 'queues:\n  paid:\n    topics: { ship: { target: pull } }\n';

let stop: Array<() => unknown> = [];

afterEach(async () => {
  for (const one of stop.reverse()) await one();
  stop = [];
});

interface Stage {
  file: string;
  process: RunningProcess;
  client: RemoteClient<typeof keeper.KeeperServiceDefinition>;
}

async function stage(): Promise<Stage> {
  const dir = tempDir('keeper');
  const file = join(dir, 'malabar.yaml');
  writeFileSync(file, ONE);
  const flags = { data: dir, 'grpc.listen': '127.0.0.1:0', 'ops.listen': '127.0.0.1:0' };
  const process = await start({
    modules: [keeperModule],
    config: loadConfig({ file, flags }),
    configFile: file,
    log: logToMemory<Logger>().log,
  });
  stop.push(() => process.stop());
  const client = connect(keeper.KeeperServiceDefinition, { address: process.grpcAddress });
  stop.push(() => client.close());
  return { file, process, client };
}

test('a saved file reaches a watcher in another process', async () => {
  const { file, client } = await stage();
  const seen: Array<number | undefined> = [];
  for await (const { config } of client.watchConfig({ instanceId: 'test' })) {
    seen.push(config?.queues.length);
    if (seen.length === 2) break;
    writeFileSync(file, `${ONE}  sent: { topics: {} }\n`);
  }
  expect(seen).toEqual([1, 2]);
});

test('a broken file leaves the keeper ready and shows in its figures', async () => {
  const { file, client, process } = await stage();
  writeFileSync(file, 'queues: 7\n');
  const figures = (): Promise<string> =>
    fetch(`http://${process.opsAddress}/metrics`).then((response) => response.text());
  await expect.poll(figures, { timeout: 10_000 }).toContain('\nmalabar_keeper_config_broken 1\n');
  expect(await figures()).toContain('malabar_keeper_config_refused_total 1');
  expect((await fetch(`http://${process.opsAddress}/readyz`)).status).toBe(200);
  for await (const { config } of client.watchConfig({ instanceId: 'test' })) {
    expect(config?.queues).toHaveLength(1);
    break;
  }
});

test('instances announce themselves, are found and leave', async () => {
  const { client } = await stage();
  const ingest = keeper.Instance.fromPartial({
    id: 'a/ingest',
    service: 'ingest',
    address: '127.0.0.1:7402',
  });
  expect(await client.register({ instances: [ingest], ttlMs: 9_000 })).toEqual({
    renewAfterMs: 3_000,
  });
  expect((await client.resolve({ service: 'ingest' })).instances).toEqual([ingest]);
  await client.deregister({ instanceIds: ['a/ingest'] });
  expect((await client.resolve({ service: 'ingest' })).instances).toEqual([]);
});

test('an open watch does not hold a stopping process up', async () => {
  const { client, process } = await stage();
  const watch = client.watchConfig({ instanceId: 'test' })[Symbol.asyncIterator]();
  await watch.next();
  const end = watch.next();
  await process.stop();
  expect((await end).done).toBe(true);
});
