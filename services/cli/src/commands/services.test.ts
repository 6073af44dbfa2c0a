import { join } from 'node:path';
import { loadConfig } from '@malabar/config';
import { discovery } from '@malabar/contracts';
import { connect } from '@malabar/rpc';
import { type RunningProcess, start } from '@malabar/runtime';
import { eventually, tempDir } from '@malabar/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { memoryContext } from '../context.suite.js';
import { modules } from '../module.js';
import { run } from '../program.js';

let bus: RunningProcess;

beforeAll(async () => {
  const flags = {
    data: join(tempDir('cli-services'), 'data'),
    'log.level': 'error',
    'grpc.listen': '127.0.0.1:0',
    'ops.listen': '127.0.0.1:0',
  };
  const keeper = modules.filter(({ name }) => name === 'keeper');
  bus = await start({ modules: keeper, config: loadConfig({ env: {}, flags }) });
  const client = connect(discovery.DiscoveryServiceDefinition, { address: bus.grpcAddress });
  const instances = ['web-1', 'web-2'].map((id, at) =>
    discovery.Instance.fromPartial({
      id,
      service: 'shop.checkout',
      zone: 'east',
      addresses: { grpc: `10.0.0.${at + 1}:80` },
      startedAtMs: at + 1,
    }),
  );
  await client.register({ instances, ttlMs: 300_000 });
  client.close();
});

afterAll(() => bus?.stop());

async function services(...args: string[]) {
  const context = memoryContext();
  const exitCode = await run(['services', ...args, '--address', bus.grpcAddress], context);
  const { lines, notes } = context.terminal;
  return { exitCode, lines, notes };
}

async function shown() {
  const { lines } = await services('shop.checkout', '--json');
  return JSON.parse(lines.join('\n'));
}

test('instances are listed with zone, weight and addresses', async () => {
  const { lines, exitCode } = await services();
  expect(exitCode).toBe(0);
  const row = lines.find((line) => line.includes('web-1')) ?? '';
  expect(row).toMatch(/^shop.checkout {2}web-1 +east +100 .* online +grpc=10\.0\.0\.1:80$/);
});

test('a service that nobody serves ends with 4', async () => {
  expect(await services('nothing')).toMatchObject({
    exitCode: 4,
    notes: ["malabar: nobody serves 'nothing'; `malabar services` lists what is served"],
  });
});

test('a decision is a release, and callers see it', async () => {
  const { lines } = await services('weight', 'shop.checkout', 'web-1', '7', '-m', 'new machine');
  expect(lines).toEqual(['malabar.discovery: release 1 is published, with 1 key']);
  await services('algorithm', 'shop.checkout', 'least_in_flight');
  await services('zone-weights', 'shop.checkout', 'east=east:9,west:1', 'west=west:1');
  await services('offline', 'shop.checkout', 'web-2');
  await eventually(async () => {
    const { services: all, offline } = await shown();
    expect(offline).toEqual(['web-2']);
    expect(all).toMatchObject([
      {
        instances: [{ id: 'web-1', weight: 7 }],
        policy: {
          algorithm: 'least_in_flight',
          zoneWeights: { east: { weights: { east: 9, west: 1 } }, west: { weights: { west: 1 } } },
        },
      },
    ]);
  });
  expect((await services('shop.checkout')).lines.at(-1)).toMatch(/web-2 .*offline$/);
  await services('online', 'shop.checkout', 'web-2');
  await services('zone-weights', 'shop.checkout');
  await eventually(async () => {
    const { services: all } = await shown();
    expect(all[0].instances).toHaveLength(2);
    expect(all[0].policy.zoneWeights).toEqual({});
  });
});

test.each([
  ['a weight over the most', ['weight', 'shop.checkout', 'web-1', '10001']],
  ['an algorithm that is none', ['algorithm', 'shop.checkout', 'fastest']],
  ['zone weights that are none', ['zone-weights', 'shop.checkout', 'east']],
  ['a part over 1', ['protect', 'shop.checkout', '2']],
])('%s ends with 2 and changes nothing', async (_, args) => {
  const { exitCode, notes } = await services(...args);
  expect({ exitCode, notes }).toEqual({
    exitCode: 2,
    notes: [expect.stringContaining('malabar: ')],
  });
});
