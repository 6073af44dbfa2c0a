import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually, run, spawnServer, tempDir } from '@malabar/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SDK = join(ROOT, 'libs/sdk');
const TSX = join(ROOT, 'node_modules/tsx/dist/loader.mjs');
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc');

/** What the package may need, and what a shop has beside it to compile. */
const BESIDE = ['@grpc', '@bufbuild', '@types', 'undici-types'];

let shop: string;
const open: Array<{ stop(): Promise<void> }> = [];

/** The example as someone else has it: with the package that is published, and nothing else of ours. */
beforeAll(async () => {
  shop = tempDir('shop');
  const modules = join(shop, 'node_modules');
  for (const name of BESIDE) link(join(ROOT, 'node_modules', name), join(modules, name));
  const made = await run(process.execPath, [
    join(SDK, 'package.mjs'),
    join(modules, '@malabar/sdk'),
  ]);
  expect(made).toMatchObject({ code: 0, stderr: '' });
  const { dependencies } = JSON.parse(read(join(modules, '@malabar/sdk/package.json')));
  expect(Object.keys(dependencies)).toEqual(['@bufbuild/protobuf', '@grpc/grpc-js']);
  cpSync(join(modules, '@malabar/sdk/examples'), join(shop, 'src'), { recursive: true });
  writeFileSync(join(shop, 'package.json'), '{"type":"module"}');
});

afterAll(async () => {
  for (const one of open.reverse()) await one.stop();
});

function link(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  symlinkSync(from, to);
}

const read = (path: string): string => readFileSync(path, 'utf8');

const command = (script: string) => ['--import', TSX, join(shop, 'src', script)];

async function startShop(): Promise<Bus> {
  const bus = await startBus({ documents: 'queues: {}' });
  open.push(bus);
  const worker = await spawnServer({
    command: process.execPath,
    args: command('worker.ts'),
    env: { BUS: `127.0.0.1:${bus.ports.grpc.all}` },
    ready: (server) => server.log().includes('at work'),
  });
  open.push(worker);
  return bus;
}

test('ships what was paid and closes what was not, with the package as it is published', async () => {
  const bus = await startShop();
  const env = { BUS: `127.0.0.1:${bus.ports.grpc.all}` };
  const publish = async (event: string, order: number): Promise<string> => {
    const args = [...command('publish.ts'), event, `${order}`];
    const { stdout, stderr } = await run(process.execPath, args, { env });
    expect(stderr).toBe('');
    return stdout.trim();
  };
  const file = join(shop, 'src/orders.log');
  const log = () => (existsSync(file) ? read(file).split('\n') : []);
  // The worker makes its topics; a shop that is faster than that would be told so.
  await eventually(async () => {
    const { queues } = await bus.storage.listQueues({ queue: 'order_paid' });
    expect(queues[0]?.topics).toHaveLength(1);
  });
  const begun = Date.now();
  const id = await publish('order_create', 7);
  expect(await publish('order_create', 7)).toBe(id);
  await publish('order_create', 8);
  await publish('order_paid', 8);
  await eventually(() => expect(log()).toContain('order 8 shipped virtually'));
  await eventually(() => expect(log()).toContain('order 7 closed'), { timeoutMs: 30_000 });
  expect(Date.now() - begun).toBeGreaterThanOrEqual(10_000);
  await eventually(async () => {
    const { queues } = await bus.storage.listQueues({ queue: 'order_create' });
    expect(queues[0]?.topics[0]).toMatchObject({ done: 2, dead: 0 });
  });
  expect(log()).not.toContain('order 8 closed');
});

test('its malabar.yaml is what it exports', async () => {
  const { stdout } = await run(process.execPath, command('export.ts'));
  expect(read(join(SDK, 'examples/malabar.yaml'))).toContain(stdout);
});

test('its types need nothing but the package, and catch what is wrong', async () => {
  const options = {
    strict: true,
    noEmit: true,
    module: 'nodenext',
    target: 'es2023',
    types: ['node'],
    allowImportingTsExtensions: true,
  };
  const compile = async (): Promise<string> => {
    const file = join(shop, 'tsconfig.json');
    writeFileSync(file, JSON.stringify({ compilerOptions: options, include: ['src'] }));
    return (await run(process.execPath, [TSC, '-p', file], { timeoutMs: 120_000 })).stdout;
  };
  expect(await compile()).toBe('');
  const wrong = `
    import { connect } from '@malabar/sdk';
    import { type ShopEvents, tasks } from './tasks.ts';
    const malabar = connect<ShopEvents>();
    void malabar.publish('order_created', { order: 1 });
    void malabar.publish('order_create', { order: 'one' });
    void malabar.publish('order_create', { order: 1 }, { delay: 10 });
    tasks.register('order_paid', 'mail', ({ address }) => address);
  `;
  writeFileSync(join(shop, 'src/wrong.ts'), wrong);
  const faults = (await compile()).split('\n').filter((line) => line.includes('error'));
  expect(faults.map((line) => /\((\d+),/.exec(line)?.[1])).toEqual(['5', '6', '7', '8']);
});
