import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig } from '@malabar/config';
import { EtcdClient } from '@malabar/etcd';
import { type RunningProcess, start } from '@malabar/runtime';
import { type EtcdServer, etcdServer, freePort, needs, packages, tempDir } from '@malabar/testkit';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { memoryContext } from '../context.suite.js';
import { modules } from '../module.js';
import { run } from '../program.js';

const dir = tempDir('cli-peppercron');
let etcd: EtcdServer;
let client: EtcdClient;
let keeper: RunningProcess;

async function malabar(args: readonly string[], env: Record<string, string> = {}) {
  const context = memoryContext({ cwd: dir, env });
  const exitCode = await run([...args, '--address', keeper.grpcAddress], context);
  return { exitCode, lines: context.terminal.lines, notes: context.terminal.notes };
}

const migrate = (...args: string[]) =>
  malabar(['migrate', 'peppercron', '--etcd', `http://${etcd.address}`, ...args]);

/** Writes values below peppercron's prefix, as its own parts do. */
async function peppercronWrites(values: Record<string, unknown>): Promise<void> {
  const puts = Object.entries(values).map(([key, value]) => ({
    key: `/pepper/cron/${key}`,
    value: Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)),
  }));
  await client.commit({ puts });
}

const job = (name: string, fields: object = {}) => ({
  [`jobs/${name}`]: {
    ...{ name, dispatch_id: '', type: 0, times: 0, times_delay: 0, schedule: '0 30 2 * * *' },
    ...{ base_group_id: 0, timezone: 'Asia/Shanghai', executor_blocking: false, executor_type: 0 },
    ...{ executor_params: ['sh', '-c', 'php /srv/report.php'], executor_timeout: 0 },
    ...{ environment_variables: null, extras: null, tag: 'batch', retries: 0 },
    ...{ dependent_jobs: null, concurrency: 1, status: '', ...fields },
  },
});

/** The document of a schedule in the keeper's domain; undefined if there is none. */
async function documentOf(schedule: string): Promise<Record<string, unknown> | undefined> {
  const { lines } = await malabar(['config', 'get', 'malabar', '--json']);
  const { files } = JSON.parse(lines.join(''));
  const sections = files.flatMap((file: { sections: unknown[] }) => file.sections);
  const section = sections.find(({ name }: { name: string }) => name === schedule);
  return section && JSON.parse(section.entries[0].raw);
}

async function release(): Promise<number> {
  const { lines } = await malabar(['config', 'history', 'malabar', '--json']);
  return JSON.parse(lines.join('')).releases.length;
}

needs(describe, await packages.etcd())('malabar migrate peppercron', () => {
  beforeAll(async () => {
    etcd = await etcdServer();
    client = new EtcdClient({ endpoints: [etcd.address] });
  });

  afterAll(async () => {
    client?.close();
    await etcd?.stop();
  });

  beforeEach(async () => {
    const { entries } = await client.list('');
    if (entries.length > 0) await client.commit({ deletes: entries.map(({ key }) => key) });
    const flags = {
      data: join(tempDir('cli-peppercron'), 'data'),
      'log.level': 'error',
      'grpc.listen': '127.0.0.1:0',
      'ops.listen': '127.0.0.1:0',
    };
    const only = modules.filter(({ name }) => name === 'keeper');
    keeper = await start({ modules: only, config: loadConfig({ env: {}, flags }) });
    return () => keeper.stop();
  });

  test('a dry run shows old words, old reading, the new document and both fires, and writes nothing', async () => {
    await peppercronWrites({
      ...job('nightly', { executor_blocking: true, environment_variables: ['DB_PASSWORD=hush'] }),
      ...job('trap', { schedule: '*/5 * * * *' }),
      'agent/nodes/alive/n1': 'batch',
      'conf/global': { job_result_storage: { auth: 'hush too' } },
    });
    const before = await release();
    const { exitCode, lines, notes } = await migrate('--crontab', 'trap');
    const text = lines.join('\n');
    expect(exitCode).toBe(0);
    expect(text).toMatch(/^nightly {2}taken$/m);
    expect(text).toMatch(/^ {2}peppercron: 0 30 2 \* \* \* {2}Asia\/Shanghai$/m);
    expect(text).toMatch(
      /read as second 0, minute 30, hour 2, any day, .*; clocks of Asia\/Shanghai/,
    );
    expect(text).toMatch(/^ {4}cron: 0 30 2 \* \* \*\n {4}fields: 6\n {4}zone: Asia\/Shanghai$/m);
    expect(text).toMatch(/shell: php \/srv\/report\.php/);
    expect(text).toMatch(/paused: moved from peppercron; resume it/);
    expect(text).toMatch(
      /^ {2}\d{4}-\d\d-\d\dT02:30:00\+08:00 {2}\d{4}-\d\d-\d\dT02:30:00\+08:00$/m,
    );
    expect(text).toMatch(/read as second \*\/5, any minute/);
    expect(text).toMatch(/PEPPERCRON +HERE +AS A CRONTAB/);
    expect(text.match(/differs$/gm)).toHaveLength(5);
    expect(lines.at(-1)).toBe('2 jobs: 1 taken, 1 taken with warnings, 0 refused');
    expect(notes).toEqual([
      'not taken over: the global configuration (ports, MySQL, Redis): 1 key',
      'dispatcher.tags: batch, at peppercron on n1',
    ]);
    expect(`${text}${notes}`).not.toMatch(/hush/);
    expect(await release()).toBe(before);
  });

  test('--json says the same to programs, with times in their zone', async () => {
    await peppercronWrites({
      ...job('nightly', { environment_variables: ['DB_PASSWORD=hush'] }),
      ...job('broken', { executor_type: 2 }),
    });
    const { exitCode, lines } = await migrate('--json');
    expect(exitCode).toBe(2);
    expect(lines.join('')).not.toContain('hush');
    const plan = JSON.parse(lines.join(''));
    expect(plan.tags).toEqual({ batch: [] });
    expect(plan.summary).toEqual({ taken: 1, warned: 0, refused: 1 });
    expect(plan.jobs).toMatchObject([
      { job: 'broken', state: 'refused', schedules: [] },
      {
        job: 'nightly',
        key: '/pepper/cron/jobs/nightly',
        state: 'taken',
        peppercron: { schedule: '0 30 2 * * *', timezone: 'Asia/Shanghai' },
        schedules: [{ name: 'nightly', document: { fields: 6 } }],
      },
    ]);
    expect(plan.jobs[0].refusals.join()).toMatch(/executor_type 2 \(HTTP\)/);
    expect(plan.jobs[1].fires.here[0]).toMatch(/T02:30:00\+08:00$/);
  });

  test('applied, all are one release and paused, and again there is nothing to do', async () => {
    await peppercronWrites({
      ...job('parent'),
      ...job('child', { schedule: '', dependent_jobs: ['parent'] }),
    });
    const { exitCode, lines } = await migrate('--apply');
    expect(exitCode).toBe(0);
    expect(lines.slice(0, 2)).toEqual([
      '2 jobs: 1 taken, 1 taken with warnings, 0 refused',
      'new: child, parent',
    ]);
    expect(lines[2]).toMatch(/^malabar: release \d+ is published/);
    expect(await documentOf('child')).toMatchObject({
      after: { schedules: ['parent'], on: 'always', need: 'all' },
      paused: expect.stringMatching(/^moved from peppercron/),
    });
    const before = await release();
    expect(await migrate('--apply')).toMatchObject({
      exitCode: 0,
      lines: [expect.stringMatching(/^2 jobs/), 'here already: child, parent'],
    });
    expect(await release()).toBe(before);
  });

  test('what somebody has resumed is left alone, what waits is enabled, and no other pause is touched', async () => {
    await peppercronWrites({ ...job('a'), ...job('b'), ...job('c') });
    await migrate('--apply');
    expect((await malabar(['schedules', 'resume', 'a'])).exitCode).toBe(0);
    await malabar(['schedules', 'pause', 'b', '-m', 'not now']);
    expect((await migrate('--apply')).lines.at(-1)).toBe('here already: a, b, c');
    expect((await documentOf('a'))?.paused).toBeUndefined();
    const enabled = await migrate('--apply', '--enable');
    expect(enabled.lines).toEqual(expect.arrayContaining(['changed: c', 'here already: a, b']));
    expect((await documentOf('b'))?.paused).toBe('not now');
    expect((await documentOf('c'))?.paused).toBeUndefined();
  });

  test('another schedule of the same name stays, unless it is to be replaced', async () => {
    await peppercronWrites({ ...job('a'), ...job('b') });
    await migrate('--apply', '--job', 'a');
    await peppercronWrites(job('a', { schedule: '0 0 3 * * *' }));
    const before = await release();
    const refused = await migrate('--apply');
    expect(refused.exitCode).toBe(6);
    expect(refused.notes.join('\n')).toMatch(/here already with another content: a; nothing was/);
    expect(await release()).toBe(before);
    expect(await documentOf('b')).toBeUndefined();
    const replaced = await migrate('--apply', '--replace');
    expect(replaced.lines).toEqual(expect.arrayContaining(['new: b', 'changed: a']));
    expect(await documentOf('a')).toMatchObject({ cron: '0 0 3 * * *' });
  });

  test('one that is refused stops all, each reason is a line, and --skip-refused goes on without', async () => {
    await peppercronWrites({
      ...job('fine'),
      ...job('grpc', { executor_type: 1 }),
      ...job('below', { schedule: '', dependent_jobs: ['grpc'] }),
      'jobs/torn': '{"name": "torn"',
    });
    const refused = await migrate('--apply');
    expect(refused.exitCode).toBe(2);
    expect(refused.notes.filter((line) => line.startsWith('malabar: '))).toEqual([
      "malabar: job below: its parent 'grpc' is refused",
      'malabar: job grpc: executor_type 1 (gRPC) has no executor: agents die of it',
      'malabar: /pepper/cron/jobs/torn: its value is no JSON object',
    ]);
    expect(await documentOf('fine')).toBeUndefined();
    const taken = await migrate('--apply', '--skip-refused');
    expect(taken).toMatchObject({ exitCode: 0 });
    expect(taken.lines[0]).toBe('4 jobs: 1 taken, 0 taken with warnings, 3 refused');
    expect(taken.notes.filter((line) => line.startsWith('left out: '))).toHaveLength(3);
    expect(await documentOf('fine')).toBeDefined();
    expect(await documentOf('grpc')).toBeUndefined();
  });

  test('the file of --yaml is a piece of malabar.yaml that checks, and only its owner reads it', async () => {
    await peppercronWrites({
      ...job('nightly', { environment_variables: ['MODE=full'] }),
      ...job('trap', { schedule: '*/5 * * * *' }),
      ...job('grpc', { executor_type: 1 }),
    });
    const { notes } = await migrate('--yaml', 'moved.yaml', '--skip-refused');
    expect(notes).toContain('2 schedules in moved.yaml');
    const file = join(dir, 'moved.yaml');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const text = readFileSync(file, 'utf8');
    expect(text).toMatch(
      /# trap: \*\/5 \* \* \* \*\n {2}# read as second \*\/5.*\n {2}# warning: has five/,
    );
    expect(text).toMatch(/# refused: grpc: executor_type 1/);
    expect(text).toMatch(/MODE: full/);
    const checked = memoryContext({ cwd: dir });
    expect(await run(['config', 'check', file], checked)).toBe(0);
    expect(checked.terminal.lines.join('\n')).toMatch(/2 schedules/);
    const again = await migrate('--yaml', 'moved.yaml', '--skip-refused');
    expect(again).toMatchObject({
      exitCode: 2,
      notes: expect.arrayContaining([expect.stringMatching(/there is such a file already/)]),
    });
  });

  test('options that name what is not there, or contradict, are refused before anything happens', async () => {
    await peppercronWrites(job('a'));
    const said = async (...args: string[]) => {
      const { exitCode, notes } = await migrate(...args);
      return `${exitCode} ${notes.join(' ')}`;
    };
    expect(await said('--job', 'b')).toMatch(/^4 .*--job: peppercron has no job 'b'/);
    expect(await said('--crontab', 'b')).toMatch(/^4 .*--crontab/);
    expect(await said('--crontab', 'a')).toMatch(/^2 .*'0 30 2 \* \* \*' .* not five fields/);
    expect(await said('--rename', 'a')).toMatch(/^2 .*job=schedule/);
    expect(await said('--zone', 'Mars')).toMatch(/^2 .*--zone: 'Mars'/);
    expect(await said('--replicas', 'all')).toMatch(/^2 .*once, copies, nodes/);
    expect(await said('--replace')).toMatch(/^2 .*without --apply/);
  });

  test('an etcd without peppercron, one that is away and a wrong address are errors', async () => {
    expect(await migrate()).toMatchObject({ exitCode: 4 });
    const at = (address: string, ...more: string[]) =>
      malabar(['migrate', 'peppercron', '--etcd', address, '--timeout', '2s', ...more]);
    expect((await at('127.0.0.1:1')).exitCode).toBe(3);
    const secret = await at('http://root:hush@127.0.0.1:2379');
    expect(secret.exitCode).toBe(2);
    expect(secret.notes.join()).toMatch(/--user and --password-file/);
    expect(secret.notes.join()).not.toContain('hush');
    expect((await at('127.0.0.1')).notes.join()).toMatch(/not host:port/);
    expect((await at('http://a:1,https://b:1')).notes.join()).toMatch(/some members with https/);
    expect((await at('a:1', '--ca', 'x')).notes.join()).toMatch(/--ca is for an etcd with https/);
    expect((await at('a:1', '--password-file', 'x')).notes.join()).toMatch(/but no user/);
  });

  test('another member is asked when the first one is away', async () => {
    await peppercronWrites(job('a'));
    const etcds = `http://127.0.0.1:${await freePort()},http://${etcd.address}/`;
    const { exitCode } = await malabar(['migrate', 'peppercron', '--etcd', etcds]);
    expect(exitCode).toBe(0);
  });

  test('user and password come from the environment or a file, and are never shown', async () => {
    const guarded = await etcdServer();
    const root = new EtcdClient({ endpoints: [guarded.address] });
    try {
      const call = async (name: string, body: object) => {
        const url = `http://${guarded.address}/v3/auth/${name}`;
        const answer = await fetch(url, { method: 'POST', body: JSON.stringify(body) });
        expect(answer.ok).toBe(true);
      };
      const value = Buffer.from(JSON.stringify(job('a')['jobs/a']));
      await root.commit({ puts: [{ key: '/pepper/cron/jobs/a', value }] });
      await call('user/add', { name: 'root', password: 'hush' });
      await call('role/add', { name: 'root' });
      await call('user/grant', { user: 'root', role: 'root' });
      await call('enable', {});
      const args = ['migrate', 'peppercron', '--etcd', guarded.address];
      const env = { MALABAR_ETCD_USER: 'root', MALABAR_ETCD_PASSWORD: 'hush' };
      expect((await malabar(args, env)).exitCode).toBe(0);
      expect((await malabar(args)).exitCode).toBe(5);
      const wrong = await malabar(args, { ...env, MALABAR_ETCD_PASSWORD: 'hushed' });
      expect(wrong.exitCode).toBe(5);
      expect(wrong.notes.join()).not.toContain('hush');
      writeFileSync(join(dir, 'password'), 'hush\n');
      const file = ['--user', 'root', '--password-file', join(dir, 'password')];
      expect((await malabar([...args, ...file])).exitCode).toBe(0);
    } finally {
      root.close();
      await guarded.stop();
    }
  });
});
