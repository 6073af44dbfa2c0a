import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually } from '@malabar/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';
import { type CommandLine, commandLine } from '../harness/command.js';
import { type Follower, nodeProgram } from '../harness/nodes.js';

const CROWD = fileURLToPath(new URL('../compat/keeper-nodes/crowd.ts', import.meta.url));
const NODES = 50;
const PATIENCE = { timeoutMs: 60_000 };
const EXIT = { notAllowed: 5, refused: 6 };

interface Node {
  id: string;
  release: number;
  offered: number;
  refusal: string;
}

let bus: Bus;
let malabar: CommandLine;
let crowd: Follower;

beforeAll(async () => {
  bus = await startBus({ documents: 'systems: { shop: {} }\nqueues: {}\n' });
  malabar = commandLine(bus);
  await malabar.ok('config', 'domain', 'shop', '--create', '--system', 'shop');
  writeFileSync(join(bus.dir, 'app.conf'), 'size int = 1\npassword secret = first secret\n');
  await malabar.ok('config', 'import', 'shop', 'app.conf', '--publish');
  crowd = await nodeProgram(CROWD, [
    `127.0.0.1:${bus.ports.grpc.all}`,
    'shop',
    '/app.conf',
    `${NODES}`,
  ]);
  await runs((nodes) => expect(nodes.filter(({ release }) => release === 1)).toHaveLength(NODES));
});

afterAll(async () => {
  await crowd?.stop();
  await bus?.stop();
});

const set = (key: string, value: string) =>
  malabar.ok('config', 'set', 'shop', '/app.conf', 'DEFAULT', key, value);

/** Waits until the list of nodes is as it should be. */
function runs(check: (nodes: Node[]) => void): Promise<void> {
  return eventually(async () => {
    check((await malabar.json<{ nodes: Node[] }>('config', 'who', 'shop')).nodes);
  }, PATIENCE);
}

const on = (nodes: Node[], release: number): string[] =>
  nodes.filter((node) => node.release === release).map(({ id }) => id);

/** What the nodes have printed of a release: who took it over. */
const tookOver = (release: number): string[] =>
  (crowd.lines() as { nodeId: string; release: number }[])
    .filter((line) => line.release === release)
    .map(({ nodeId }) => nodeId)
    .sort();

const content = async (state: string) =>
  (await malabar.json<{ files: object[] }>('config', 'get', 'shop', '--reveal', '--state', state))
    .files;

test('a canary reaches a tenth of fifty nodes and the one that is named, and nobody else', async () => {
  await set('size', '2');
  await set('broken_on', 'node-07');
  const rule = ['--canary-percent', '10', '--canary-nodes', 'node-07'];
  const { reachedNodeIds } = await malabar.json<{ reachedNodeIds: string[] }>(
    'config',
    'validate',
    'shop',
    ...rule,
  );
  await malabar.ok('config', 'publish', 'shop', ...rule);
  expect(reachedNodeIds).toContain('node-07');
  expect(reachedNodeIds.length).toBeGreaterThan(1);
  expect(reachedNodeIds.length).toBeLessThan(15);
  await runs((nodes) => {
    expect(nodes.find(({ id }) => id === 'node-07')).toMatchObject({
      release: 1,
      offered: 2,
      refusal: 'no room for 2 on node-07',
    });
    const reached = reachedNodeIds.filter((id) => id !== 'node-07');
    expect(on(nodes, 2).sort()).toEqual(reached.sort());
    expect(on(nodes, 1)).toHaveLength(NODES - reached.length);
  });
});

test('a node that refuses stops the promotion, by name and with its reason', async () => {
  const { code, stderr } = await malabar.run('config', 'promote', 'shop');
  expect(code).toBe(EXIT.refused);
  expect(stderr).toContain('node-07');
  expect(stderr).toContain('no room for 2 on node-07');
  expect(await malabar.ok('config', 'who', 'shop')).toMatch(
    /node-07 .* refuses 2: no room for 2 on node-07/,
  );
});

test('an aborted canary is taken back from all who had it, and is a draft again', async () => {
  expect(await malabar.ok('config', 'abort', 'shop', '-m', 'node-07 has no room')).toBe(
    'shop: release 2 is aborted, with 3 keys',
  );
  await runs((nodes) => {
    expect(on(nodes, 1)).toHaveLength(NODES);
    expect(nodes.every(({ refusal }) => refusal === '')).toBe(true);
  });
  expect(await malabar.ok('config', 'diff', 'shop')).toContain('+broken_on string = node-07');
  await malabar.ok('config', 'discard', 'shop');
});

test('a canary of a tag that all accept is promoted to everybody', async () => {
  await set('size', '3');
  await set('password', 'second secret');
  await malabar.ok('config', 'publish', 'shop', '--canary-tag', 'rack=3');
  await runs((nodes) => expect(on(nodes, 3)).toHaveLength(NODES / 5));
  expect(tookOver(3).map((id) => Number(id.slice(5)) % 5)).toEqual(Array(NODES / 5).fill(3));
  await malabar.ok('config', 'promote', 'shop');
  await runs((nodes) => expect(on(nodes, 3)).toHaveLength(NODES));
});

test('a rollback brings the exact old values, secrets too', async () => {
  const before = await content('1');
  expect(await content('current')).not.toEqual(before);
  await malabar.ok('config', 'rollback', 'shop', '1', '-m', 'size 3 is too much');
  expect(await content('current')).toEqual(before);
  await runs((nodes) => expect(on(nodes, 4)).toHaveLength(NODES));
  const last = (crowd.lines() as { release: number; values: object }[]).at(-1);
  expect(last).toMatchObject({ release: 4, values: { size: '1', password: 'first secret' } });
});

test('where four eyes are asked for, an author does not publish his own draft', async () => {
  const ann = await person('ann', 'shop:operator');
  const ben = await person('ben', 'shop:operator');
  await malabar.ok('config', 'domain', 'shop', '--four-eyes');
  await ann.ok('config', 'set', 'shop', '/app.conf', 'DEFAULT', 'size', '4');
  const { code, stderr } = await ann.run('config', 'publish', 'shop');
  expect(code).toBe(EXIT.notAllowed);
  expect(stderr).toMatch(/ann/);
  const direct = ['config', 'set', 'shop', '/app.conf', 'DEFAULT', 'size', '5', '--publish'];
  expect((await ben.run(...direct)).code).toBe(EXIT.notAllowed);
  expect(await ben.ok('config', 'publish', 'shop', '-m', 'looked at it')).toContain(
    'release 5 is published',
  );
  expect(await malabar.ok('config', 'history', 'shop')).toMatch(
    /5 {2}in force .* ben .* \(edited by ann\) looked at it/,
  );
  await runs((nodes) => expect(on(nodes, 5)).toHaveLength(NODES));
});

/** A user with a token. */
async function person(name: string, grant: string): Promise<CommandLine> {
  await malabar.ok('users', 'set', name, '--grant', grant);
  const { text } = await malabar.json<{ text: string }>('tokens', 'create', '--user', name);
  return malabar.as(text);
}
