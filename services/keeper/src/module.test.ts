import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig } from '@malabar/config';
import { discovery } from '@malabar/contracts';
import { connect, type RemoteClient } from '@malabar/rpc';
import { type RunningProcess, start } from '@malabar/runtime';
import type { Logger } from '@malabar/telemetry';
import { eventually, logToMemory, tempDir } from '@malabar/testkit';
import { afterEach, expect, test } from 'vitest';
import { keeperModule } from './module.js';

const ONE = 'queues:\n  paid:\n    topics: { ship: { target: pull } }\n';

let stop: Array<() => unknown> = [];

afterEach(async () => {
  for (const one of stop.reverse()) await one();
  stop = [];
});

interface Stage {
  dir: string;
  process: RunningProcess;
  client: RemoteClient<typeof discovery.DiscoveryServiceDefinition>;
}

async function stage(dir = tempDir('keeper')): Promise<Stage> {
  const file = join(dir, 'malabar.yaml');
  writeFileSync(file, ONE);
  const listen = { 'grpc.listen': '127.0.0.1:0', 'ops.listen': '127.0.0.1:0' };
  const process = await start({
    modules: [keeperModule],
    config: loadConfig({ file, flags: { ...listen, data: dir, node: 'keeper-1' } }),
    configFile: file,
    log: logToMemory<Logger>().log,
  });
  stop.push(() => process.stop());
  const { grpcAddress: address } = process;
  const client = connect(discovery.DiscoveryServiceDefinition, { address });
  stop.push(() => client.close());
  return { dir, process, client };
}

const found = async ({ client }: Stage, service: string): Promise<discovery.Instance[]> =>
  (await client.resolve({ services: [service], env: '' })).services[0]?.instances ?? [];

test('instances announce themselves, are found and leave; the keeper itself is one', async () => {
  const here = await stage();
  const { client, process } = here;
  const addresses = { grpc: process.grpcAddress, ops: process.opsAddress };
  await eventually(async () =>
    expect(await found(here, 'keeper')).toMatchObject([{ id: 'keeper-1', addresses }]),
  );
  const ingest = discovery.Instance.fromPartial({
    id: 'a',
    service: 'ingest',
    addresses: { grpc: '127.0.0.1:7402' },
  });
  const answer = await client.register({ instances: [ingest], ttlMs: 9_000 });
  expect(answer).toEqual({ renewAfterMs: 3_000 });
  expect(await found(here, 'ingest')).toEqual([{ ...ingest, weight: 100 }]);
  await client.deregister({ instances: [ingest] });
  expect(await found(here, 'ingest')).toEqual([]);
});

test('instances are known to a keeper that was started again', async () => {
  const first = await stage();
  const instances = [
    discovery.Instance.fromPartial({ id: 'a', service: 'ingest', addresses: { grpc: 'a:1' } }),
  ];
  await first.client.register({ instances, ttlMs: 60_000 });
  await first.process.stop();
  expect(await found(await stage(first.dir), 'ingest')).toMatchObject(
    instances.map(({ id }) => ({ id })),
  );
});

test('an open watch does not hold a stopping process up', async () => {
  const { client, process } = await stage();
  const watch = client.watch({ services: ['ingest'], env: '' })[Symbol.asyncIterator]();
  await watch.next();
  const end = watch.next();
  await process.stop();
  expect((await end).done).toBe(true);
});
