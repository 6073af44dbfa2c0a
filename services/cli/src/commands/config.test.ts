import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig } from '@malabar/config';
import { type RunningProcess, start } from '@malabar/runtime';
import { tempDir } from '@malabar/testkit';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { memoryContext } from '../context.suite.js';
import { modules } from '../module.js';
import { run } from '../program.js';
import type { MemoryTerminalOptions } from '../terminal.suite.js';

const dir = tempDir('cli-config');
let bus: RunningProcess;
let domain: string;
let domains = 0;

beforeAll(async () => {
  const flags = {
    data: join(dir, 'data'),
    'log.level': 'error',
    'grpc.listen': '127.0.0.1:0',
    'ops.listen': '127.0.0.1:0',
  };
  const keeper = modules.filter(({ name }) => name === 'keeper');
  bus = await start({ modules: keeper, config: loadConfig({ env: {}, flags }) });
});

afterAll(() => bus?.stop());

beforeEach(async () => {
  domain = `shop-${++domains}`;
  await ok(['domain', domain, '--create', '--description', 'the web shop']);
});

async function malabar(args: string[], options: MemoryTerminalOptions = {}) {
  const context = memoryContext({ ...options, cwd: dir });
  const [name = '', ...rest] = args;
  const exitCode = await run(['config', name, '--address', bus.grpcAddress, ...rest], context);
  const { lines, notes } = context.terminal;
  return { exitCode, lines, notes, text: lines.join('\n') };
}

/** A command that must succeed without a word on stderr; its lines. */
async function ok(args: string[], options: MemoryTerminalOptions = {}): Promise<string[]> {
  const { exitCode, lines, notes } = await malabar(args, options);
  expect({ args, exitCode, notes }).toEqual({ args, exitCode: 0, notes: [] });
  return lines;
}

async function json(args: string[]) {
  return JSON.parse((await ok([...args, '--json'])).join('\n'));
}

/** A folder of files in the working directory. */
function folder(name: string, files: Record<string, string>): string {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(dir, name, path, '..'), { recursive: true });
    writeFileSync(join(dir, name, path), text);
  }
  return name;
}

const set = (...args: string[]) => ok(['set', domain, '/redis.conf', ...args]);
const get = async (...args: string[]) =>
  (await ok(['get', domain, '/redis.conf', ...args])).join('\n');

test('a domain is made once, shown, listed and changed', async () => {
  const again = await malabar(['domain', domain, '--create']);
  expect(again.exitCode).toBe(6);
  expect(again.notes[0]).toContain(domain);
  const changed = await json(['domain', domain, '--four-eyes', '--history', '9']);
  expect(changed.domain.settings).toEqual({
    system: '',
    description: 'the web shop',
    fourEyes: true,
    history: 9,
  });
  expect((await json(['domain', domain, '--no-four-eyes'])).domain.settings.fourEyes).toBe(false);
  expect((await ok(['domains'])).join('\n')).toContain(`${domain}  `);
  expect(await ok(['domain', domain])).toContain('release      none yet');
});

test('a domain that is not there ends with 4 and says where to look', async () => {
  const { exitCode, notes } = await malabar(['get', 'nothing']);
  expect(exitCode).toBe(4);
  expect(notes[0]).toMatch(/nothing.*`malabar config domains`/);
});

test('a change waits in the draft until it is published', async () => {
  expect(await set('DEFAULT', 'timeout', '300ms', '--type', 'duration')).toEqual([
    `${domain}: draft 1, made from release 0 by local`,
  ]);
  expect(await ok(['diff', domain])).toEqual([
    `--- ${domain} current`,
    `+++ ${domain} draft`,
    '@@ /redis.conf [DEFAULT] @@',
    '+timeout time.Duration = 300ms',
  ]);
  expect(await ok(['validate', domain])).toContain('1 change, would reach 0 nodes now');
  expect(await ok(['publish', domain, '-m', 'first'])).toEqual([
    `${domain}: release 1 is published, with 1 key`,
  ]);
  expect(await get('DEFAULT', 'timeout')).toBe('300ms');
  expect(await ok(['draft', domain])).toEqual([`${domain}: no draft`]);
  expect((await malabar(['publish', domain])).exitCode).toBe(4);
  const { current, releases } = await json(['history', domain]);
  expect(current).toBe(1);
  expect(releases).toMatchObject([
    { number: 1, note: 'first', author: 'local', state: 'published' },
  ]);
});

test('a value keeps its type, may be negative, and goes again', async () => {
  await set('web-1', 'port', '5', '--type', 'int', '--publish');
  await set('web-1', 'port', '-7', '--publish');
  expect(await get()).toContain('port int = -7');
  await ok(['unset', domain, '/redis.conf', 'web-1', 'port', '--publish']);
  expect((await malabar(['get', domain, '/redis.conf', 'web-1', 'port'])).exitCode).toBe(4);
});

test('a value that does not parse is refused by name, and nothing changes', async () => {
  const args = ['set', domain, '/redis.conf', 'DEFAULT', 'port', 'many', '--type', 'int'];
  const { exitCode, notes, lines } = await malabar([...args, '--publish']);
  expect({ exitCode, lines }).toEqual({ exitCode: 2, lines: [] });
  expect(notes).toHaveLength(1);
  expect(notes[0]).toMatch(/^malabar: \/redis.conf: \[DEFAULT\] port: .*many/);
  expect((await json(['domain', domain])).domain.release).toBe(0);
});

test('a secret is asked for, kept, and masked wherever one looks', async () => {
  const file = ['set', domain, '/redis.conf', 'DEFAULT', 'password'];
  await ok([...file, '--type', 'secret', '--publish'], { input: 'planted\n' });
  expect(await get('DEFAULT', 'password')).toBe('******');
  expect(await get('DEFAULT', 'password', '--reveal')).toBe('planted');
  writeFileSync(join(dir, 'secret.txt'), 'planted too\n');
  await ok([...file, '--value-file', 'secret.txt']);
  expect(await ok(['diff', domain])).toContain('# the secret is another one');
  await ok(['publish', domain]);
  expect(await get('DEFAULT', 'password', '--reveal')).toBe('planted too');
  const audit = (await ok(['audit', domain, '--changes'])).join('\n');
  expect(audit).toContain('password secret = ******');
  expect(audit).not.toContain('planted');
  expect(await ok(['rotate-key'])).toEqual([expect.stringMatching(/data keys? wrapped by/)]);
  expect(await get('DEFAULT', 'password', '--reveal')).toBe('planted too');
});

test('a write on something else than its author saw says who was first', async () => {
  await set('DEFAULT', 'a', '1', '--publish');
  const args = ['set', domain, '/redis.conf', 'DEFAULT', 'a', '2', '--publish', '--expect', '0'];
  const { exitCode, notes } = await malabar(args);
  expect(exitCode).toBe(6);
  expect(notes[0]).toMatch(/release 1.*local/);
  expect(await get('DEFAULT', 'a')).toBe('1');
});

test('files are imported with their tree and exported the same', async () => {
  const conf = folder('conf', {
    'redis.conf': 'timeout time.Duration = 300ms\n[web-1]\nport int = 6380\n',
    'redis.conf.schema.json': '{"keys":{"timeout":{"type":"time.Duration"}}}',
    'zy/global.conf': 'a = 1\n',
    'README.md': 'hello',
    '.git/x.conf': 'not = this\n',
  });
  const { notes, lines } = await malabar(['import', domain, conf, '--dry-run']);
  expect(notes).toEqual(['skipped: conf/README.md is no .conf file']);
  expect(lines).toContain('@@ /zy/global.conf [DEFAULT] @@');
  expect((await json(['domain', domain])).domain.draft).toBeUndefined();
  expect((await malabar(['import', domain, conf, '--publish', '-m', 'moved'])).exitCode).toBe(0);
  expect(await ok(['export', domain, 'out'])).toEqual(['3 files of release 1 in out']);
  expect(readFileSync(join(dir, 'out/zy/global.conf'), 'utf8')).toContain('a = 1');
  expect(readFileSync(join(dir, 'out/redis.conf.schema.json'), 'utf8')).toContain('timeout');
  await ok(['import', domain, 'out']);
  expect(await ok(['draft', domain])).toHaveLength(1);
});

test('an import with faults names file and line, and changes nothing', async () => {
  folder('broken', {
    'a.conf': 'fine = 1\n\nport int = many\n',
    'b.conf': 'x frob = 1\n',
  });
  const { exitCode, notes } = await malabar(['import', domain, 'broken', '--publish']);
  expect(exitCode).toBe(2);
  expect(notes).toEqual([
    expect.stringMatching(/^malabar: broken\/a.conf:3: .*many/),
    expect.stringMatching(/^malabar: broken\/b.conf:1: .*frob/),
  ]);
  expect((await json(['domain', domain])).domain).toMatchObject({ release: 0 });
});

test('what gokeeper would have read otherwise is a warning with its line', async () => {
  folder('odd', { 'odd.conf': 'a = 1\nu = http://x/#frag\n' });
  const { exitCode, notes } = await malabar(['import', domain, 'odd']);
  expect(exitCode).toBe(0);
  expect(notes).toEqual([expect.stringMatching(/^warning: odd\/odd.conf:2: .*u/)]);
});

test('the effective values say where each comes from', async () => {
  folder('inherit', {
    'redis.conf': 'timeout int = 1\nretries int = 3\n',
    'zy/redis.conf': 'timeout int = 2\n[blue]\nretries int = 4\n[web-1]\ntimeout int = 5\n',
  });
  await ok(['import', domain, 'inherit', '--publish']);
  const args = ['effective', domain, '--subscribe', '/zy/redis.conf/blue', '--node', 'web-1'];
  const { lines, notes } = await malabar(args);
  expect(lines.slice(1)).toEqual([
    'redis  retries  int   4      /zy/redis.conf [blue]',
    'redis  timeout  int   5      /zy/redis.conf [web-1]',
  ]);
  expect(notes).toEqual(['2 values of release 1']);
});

test('a canary is promoted or taken back, and a rollback brings the old values', async () => {
  await set('DEFAULT', 'a', '1', '--publish');
  await set('DEFAULT', 'a', '2');
  expect(await ok(['publish', domain, '--canary-percent', '10', '--canary-tag', 'zone=b'])).toEqual(
    [`${domain}: release 2 is a canary for zone=b; 10 %, with 1 key`],
  );
  expect(await get('DEFAULT', 'a')).toBe('1');
  expect(await get('DEFAULT', 'a', '--state', 'canary')).toBe('2');
  expect(await ok(['abort', domain, '-m', 'no'])).toEqual([
    `${domain}: release 2 is aborted, with 1 key`,
  ]);
  await set('DEFAULT', 'a', '3');
  await ok(['publish', domain, '--canary-nodes', 'web-1']);
  expect(await ok(['promote', domain, '--force'])).toEqual([
    `${domain}: release 3 is published, with 1 key`,
  ]);
  expect(await get('DEFAULT', 'a')).toBe('3');
  await ok(['rollback', domain, '1']);
  expect(await get('DEFAULT', 'a')).toBe('1');
  expect((await malabar(['promote', domain])).exitCode).toBe(4);
  expect((await ok(['history', domain])).join('\n')).toContain('(restores 1)');
  expect(await ok(['who', domain])).toHaveLength(1);
});

test('a schema binds to its file, a parent to another', async () => {
  await set('DEFAULT', 'port', '1', '--type', 'int', '--publish');
  writeFileSync(join(dir, 's.json'), '{"keys":{"port":{"type":"int","minimum":1000}}}');
  const refused = await malabar(['schema', domain, '/redis.conf', 's.json', '--publish']);
  expect(refused.exitCode).toBe(2);
  expect(refused.notes[0]).toContain('port');
  await ok(['set', domain, '/base.conf', 'DEFAULT', 'b', '1', '--publish']);
  await ok(['parent', domain, '/redis.conf', '/base.conf', '--publish']);
  const { config } = { config: await json(['effective', domain, '--subscribe', '/redis.conf']) };
  expect(config.files[0].values.map(({ key }: { key: string }) => key)).toEqual(['b', 'port']);
});

test('typed access is generated in every language', async () => {
  await set('DEFAULT', 'timeout', '1s', '--type', 'duration', '--publish');
  for (const lang of ['ts', 'php', 'go', 'python']) {
    const { written } = await json(['generate', '--lang', lang, '--domain', domain, '--out', lang]);
    const code = written.map((path: string) => readFileSync(path, 'utf8')).join('');
    expect(code).toMatch(/timeout/i);
  }
  const args = ['generate', '--lang', 'cobol', '--domain', domain, '--out', 'x'];
  expect((await malabar(args)).notes[0]).toContain("'cobol' is none of ts, php, go, python");
});

test('a discarded draft is gone, and so is a deleted domain', async () => {
  await set('DEFAULT', 'a', '1');
  await ok(['discard', domain]);
  expect((await malabar(['discard', domain])).exitCode).toBe(4);
  expect(await malabar(['delete', domain], { input: '' })).toMatchObject({ exitCode: 2 });
  expect(await malabar(['delete', domain], { answers: ['n'] })).toMatchObject({ exitCode: 1 });
  await ok(['delete', domain, '--yes']);
  expect((await malabar(['domain', domain])).exitCode).toBe(4);
});
