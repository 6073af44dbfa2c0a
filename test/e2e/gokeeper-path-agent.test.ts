import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually, type Server, spawnServer } from '@malabar/testkit';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Bus, MALABAR, startBus } from '../harness/bus.js';
import { type CommandLine, commandLine } from '../harness/command.js';

let bus: Bus;
let malabar: CommandLine;
let agent: Server | undefined;
let folder: string;

/** Every test starts a process, on a machine that runs others. */
const SLOW = { timeoutMs: 60_000 };

beforeAll(async () => {
  bus = await startBus({ documents: 'queues: {}\n', mode: 'one-process' });
  malabar = commandLine(bus);
  folder = join(bus.dir, 'run');
  mkdirSync(folder);
  await malabar.ok('config', 'domain', 'shop', '--create');
  await publish('1');
});

afterEach(() => agent?.stop());
afterAll(() => bus?.stop());

const publish = (value: string) =>
  malabar.ok('config', 'set', 'shop', '/app.conf', 'DEFAULT', 'size', value, '--publish');

const soon = <T>(check: () => T | Promise<T>) => eventually(check, SLOW);

const written = (name = 'app.json') => JSON.parse(readFileSync(join(folder, name), 'utf8'));

/** Starts an agent by a file as deploy/examples/agent.yaml shows it; `limit` is one of the shell. */
async function start(config: object, limit = 'true'): Promise<void> {
  const file = join(bus.dir, 'agent.yaml');
  const keepers = [`127.0.0.1:${bus.ports.grpc.all}`];
  writeFileSync(file, JSON.stringify({ keepers, node: 'agent-1', ...config }));
  agent = await spawnServer({
    command: '/bin/sh',
    args: ['-c', `${limit}; exec "$@"`, 'sh', process.execPath, MALABAR, 'agent', '--config', file],
    ready: () => true,
  });
}

const outputs = (...all: object[]) => ({
  domains: { shop: { subscribe: ['/app.conf'], outputs: all } },
});

const refusal = async (): Promise<string> => {
  const { nodes } = await malabar.json<{ nodes: { id: string; refusal: string }[] }>(
    'config',
    'who',
    'shop',
  );
  return nodes.find(({ id }) => id === 'agent-1')?.refusal ?? '';
};

/** The agent runs what is released: files alone may be those of the one before it. */
const follows = async () =>
  expect(await malabar.ok('config', 'who', 'shop')).toMatch(/agent-1 .* ok$/m);

test('several files follow a domain, each in its form', async () => {
  const form = (format: string) => ({ file: join(folder, `app.${format}`), format, mode: '0600' });
  await start(outputs(form('json'), form('yaml'), form('ini'), form('php')));
  await soon(() => expect(existsSync(join(folder, 'app.php'))).toBe(true));
  expect(written()).toEqual({ app: { size: '1' } });
  expect(readFileSync(join(folder, 'app.yaml'), 'utf8')).toBe('app:\n  size: "1"\n');
  expect(statSync(join(folder, 'app.php')).mode & 0o777).toBe(0o600);
  await publish('2');
  await soon(() => expect(readFileSync(join(folder, 'app.ini'), 'utf8')).toContain('= 2'));
});

test('a reload command that fails refuses the release, and the old file is back', async () => {
  const file = join(folder, 'app.json');
  const reload = ['/bin/sh', '-c', `grep -q bad ${file} && { echo bad size >&2; exit 1; }; true`];
  await start(outputs({ file, format: 'json', reload }));
  await soon(follows);
  await publish('bad');
  await soon(async () => expect(await refusal()).toMatch(/^reload: .*bad size$/));
  expect(written().app.size).toBe('2');
  await publish('3');
  await soon(() => expect(written().app.size).toBe('3'));
  await soon(async () => expect(await refusal()).toBe(''));
});

test('a file that has no room refuses the release, and the old one stays', async () => {
  const file = join(folder, 'app.json');
  // The kernel lets this process write no file above 4 KiB, as if the disk were full.
  await start(outputs({ file, format: 'json' }), 'ulimit -f 8');
  await soon(follows);
  await publish('x'.repeat(10_000));
  await soon(async () => expect(await refusal()).toBe(`cannot write ${file}: EFBIG`));
  expect(written().app.size).toBe('3');
  await publish('4');
  await soon(() => expect(written().app.size).toBe('4'));
});

test('an agent ends with 0 at SIGTERM and leaves its files', async () => {
  await start(outputs({ file: join(folder, 'app.json'), format: 'json' }));
  await soon(() => expect(agent?.log()).toContain('configuration applied'));
  agent?.kill('SIGTERM');
  expect(await agent?.exited).toEqual({ code: 0, signal: null });
  expect(written().app.size).toBe('4');
});

test('--once writes and ends', async () => {
  const out = join(folder, 'once.json');
  const args = ['--domain', 'shop', '--subscribe', '/app.conf', '--format', 'json', '--out', out];
  expect((await malabar.run('agent', ...args, '--once', '--log-level', 'silent')).code).toBe(0);
  expect(written('once.json')).toEqual({ app: { size: '4' } });
  const nobody = ['--address', '127.0.0.1:1', '--timeout', '1s', '--once', '--log-level', 'silent'];
  expect((await malabar.run('agent', ...args, ...nobody)).code).toBe(3);
});

test('with the keeper down an agent starts from its snapshot', async () => {
  const file = join(folder, 'app.json');
  const settings = { ...outputs({ file, format: 'json' }), snapshot: join(bus.dir, 'snapshots') };
  await start(settings);
  const snapshot = join(bus.dir, 'snapshots', 'agent-1.snapshot');
  await soon(() => expect(existsSync(snapshot)).toBe(true));
  await agent?.stop();
  await bus.kill('all', 'SIGKILL');
  rmSync(file);
  await start(settings);
  await soon(() => expect(written().app.size).toBe('4'));
  await bus.start('all');
  await publish('5');
  await soon(() => expect(written().app.size).toBe('5'));
});
