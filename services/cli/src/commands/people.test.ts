import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig } from '@malabar/config';
import { type RunningProcess, start } from '@malabar/runtime';
import { tempDir } from '@malabar/testkit';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { memoryContext } from '../context.suite.js';
import { modules } from '../module.js';
import { run } from '../program.js';
import type { MemoryTerminalOptions } from '../terminal.suite.js';

const PASSWORD = 'correct horse';

let bus: RunningProcess;
let home: string;
let env: Record<string, string>;

beforeAll(async () => {
  const flags = {
    data: tempDir('cli-people'),
    'log.level': 'silent',
    'grpc.listen': '127.0.0.1:0',
    'ops.listen': '127.0.0.1:0',
  };
  const keeper = modules.filter(({ name }) => name === 'keeper');
  bus = await start({ modules: keeper, config: loadConfig({ env: {}, flags }) });
  home = tempDir('home');
  env = { HOME: home };
  const users = ['users', 'set'];
  await ok([...users, 'ann', '--password-file', '-', '--grant', '*:admin'], { input: PASSWORD });
});

afterAll(() => bus?.stop());

/** Another person at another machine. */
beforeEach(() => {
  home = tempDir('home');
  env = { HOME: home };
});

async function malabar(args: string[], options: MemoryTerminalOptions = {}) {
  const context = memoryContext({ ...options, env, cwd: home });
  const exitCode = await run([...args, '--address', bus.grpcAddress], context);
  const { lines, notes } = context.terminal;
  return { exitCode, lines, notes, text: lines.join('\n') };
}

/** A command that must succeed; its stdout. */
async function ok(args: string[], options: MemoryTerminalOptions = {}): Promise<string> {
  const { exitCode, text, notes } = await malabar(args, options);
  expect({ args, exitCode, notes }).toMatchObject({ args, exitCode: 0 });
  return text;
}

async function json(args: string[], options: MemoryTerminalOptions = {}) {
  return JSON.parse(await ok([...args, '--json'], options));
}

const sessions = (): string => join(home, '.config', 'malabar', 'sessions.json');

const login = (user = 'ann', password = PASSWORD) =>
  ok(['login', '--user', user], { input: `${password}\n` });

test('without a login a laptop is local and may do everything', async () => {
  expect(await ok(['whoami'])).toBe('local: *:admin');
  expect(await ok(['logout'])).toBe('nobody was logged in');
});

test('a login is kept for its user only, and for this address only', async () => {
  expect(await login()).toMatch(/^logged in at 127\.0\.0\.1:\d+ as ann until \d{4}-/);
  expect(statSync(sessions()).mode & 0o777).toBe(0o600);
  expect(statSync(join(sessions(), '..')).mode & 0o777).toBe(0o700);
  expect(Object.keys(JSON.parse(readFileSync(sessions(), 'utf8')))).toEqual([bus.grpcAddress]);
  expect(await ok(['whoami'])).toMatch(/^ann: \*:admin, until /);
  expect(await ok(['logout'])).toBe(`logged out at ${bus.grpcAddress}`);
  expect(readFileSync(sessions(), 'utf8')).toBe('{}\n');
  expect((await json(['whoami'])).name).toBe('local');
});

test('a person is asked for name and password', async () => {
  await ok(['login'], { answers: ['ann', PASSWORD] });
  expect((await json(['whoami'])).name).toBe('ann');
});

test('a wrong login says what is wrong, in one line, without the password', async () => {
  const wrong = await malabar(['login', '--user', 'ann'], { input: 'open sesame' });
  expect(wrong.exitCode).toBe(5);
  expect(wrong.notes).toEqual(['malabar: wrong user or password']);
  const nobody = await malabar(['login'], { input: 'open sesame' });
  expect(nobody.exitCode).toBe(2);
  const empty = await malabar(['login', '--user', 'ann'], { input: '\n' });
  expect(empty.notes).toEqual(['malabar: the password is empty']);
  const file = await malabar(['login', '--user', 'ann', '--password-file', 'missing']);
  expect(file.notes).toEqual(['malabar: cannot read missing: ENOENT']);
});

test('a login needs a place to be kept', async () => {
  env = {};
  const { exitCode, notes } = await malabar(['login', '--user', 'ann'], { input: PASSWORD });
  expect({ exitCode, notes }).toEqual({
    exitCode: 1,
    notes: [
      'malabar: there is no place to keep the session: neither XDG_CONFIG_HOME nor HOME is set',
    ],
  });
});

test('a damaged session file is named, and nothing of it shown', async () => {
  await login();
  writeFileSync(sessions(), '{"secret-text');
  const { notes } = await malabar(['whoami']);
  expect(notes).toEqual([
    `malabar: cannot read the sessions in ${sessions()}: it is no JSON; remove it and log in again`,
  ]);
});

test('users are made, changed, disabled and deleted', async () => {
  await login();
  const set = ['users', 'set', 'bob', '--grant', 'shop:developer', '--grant', '*:viewer'];
  expect(await ok([...set, '--password'], { answers: ['bobs', 'bobs'] })).toBe(
    'bob: shop:developer *:viewer',
  );
  expect((await json(['users', 'list'])).users).toContainEqual({
    name: 'bob',
    grants: 'shop:developer *:viewer',
    disabled: false,
  });
  expect(await ok(['users', 'set', 'bob', '--grant', 'shop:operator'])).toBe('bob: shop:operator');
  expect(await ok(['users', 'disable', 'bob'])).toBe('bob: shop:operator, disabled');
  expect(await ok(['users', 'list'])).toMatch(/bob +shop:operator +disabled/);
  expect(await ok(['users', 'enable', 'bob'])).toBe('bob: shop:operator');
  expect(await ok(['users', 'delete', 'bob', '--yes'])).toBe('bob: deleted');
  expect((await malabar(['users', 'disable', 'bob'])).exitCode).toBe(4);
});

test('what a user may not do ends with 5, what is wrong with 2', async () => {
  await login();
  await ok(['users', 'set', 'eve', '--password-file', '-'], { input: 'eves' });
  const twice = await malabar(['users', 'set', 'eve', '--password'], { answers: ['a', 'b'] });
  expect(twice.notes).toEqual(['malabar: the two passwords differ']);
  const king = await malabar(['users', 'set', 'eve', '--grant', 'shop:king']);
  expect(king.exitCode).toBe(2);
  expect(king.notes[0]).toContain('with node, viewer, developer, operator, admin');
  const last = await malabar(['users', 'delete', 'ann', '--yes']);
  expect(last.exitCode).toBe(2);
  expect(last.notes[0]).toContain('nobody would be admin of * any more');
  await login('eve', 'eves');
  const refused = await malabar(['users', 'set', 'eve', '--grant', '*:admin']);
  expect(refused.exitCode).toBe(5);
  expect(await ok(['users', 'list'])).not.toContain('ann');
});

test('a program comes in with a token that is shown once', async () => {
  await login();
  const create = ['tokens', 'create', '--note', 'CI', '--grant', 'shop:viewer'];
  const made = await malabar([...create, '--expires', '90d']);
  expect(made.text).toMatch(/^mlb_[0-9a-f]{20}_[\w-]{43}$/);
  expect(made.notes[0]).toMatch(/^token [0-9a-f]{20} of ann: until .*; it is not shown again$/);
  const list = await ok(['tokens', 'list']);
  expect(list).toMatch(/ann +shop:viewer +\d{4}-.* CI/);
  expect(list).not.toContain(made.text.replace(/^mlb_[^_]+_/, ''));
  env = { ...env, MALABAR_TOKEN: made.text };
  expect(await json(['whoami'])).toMatchObject({ name: 'ann', grants: ['shop:viewer'] });
  env = { HOME: home };
  await ok(['tokens', 'revoke', made.text.split('_')[1] as string]);
  env = { ...env, MALABAR_TOKEN: made.text };
  const refused = await malabar(['whoami']);
  expect(refused.exitCode).toBe(5);
  expect(refused.notes[0]).toMatch(/^malabar: the token has been revoked; /);
});

test('a token goes into a file for its owner, and out of it', async () => {
  await login();
  const file = join(home, 'ci.token');
  const made = await malabar(['tokens', 'create', '--out', file, '--json']);
  expect(made.text).not.toContain('mlb_');
  expect(readFileSync(file, 'utf8')).toMatch(/^mlb_/);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  await ok(['logout']);
  expect((await json(['whoami', '--token-file', file])).name).toBe('ann');
});

test.each([
  ['some-bus-token', 'MALABAR_TOKEN is no user token'],
  ['mls_abc.def', 'the session token is cut or misspelt'],
])('MALABAR_TOKEN=%j is refused', async (token, message) => {
  env = { ...env, MALABAR_TOKEN: token };
  const { notes } = await malabar(['whoami']);
  expect(notes[0]).toContain(message);
  expect(notes[0]).not.toContain(token);
});
