import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig } from '@malabar/config';
import { type RunningProcess, start } from '@malabar/runtime';
import { eventually, freePort, tempDir } from '@malabar/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { memoryContext } from './context.suite.js';
import { startConsumer } from './demo/consumer.js';
import { modules } from './module.js';
import { run } from './program.js';
import type { MemoryTerminalOptions } from './terminal.suite.js';

const dir = tempDir('cli');
const file = join(dir, 'malabar.yaml');
let bus: RunningProcess;
let consumer: Awaited<ReturnType<typeof startConsumer>>;
let mended = false;

beforeAll(async () => {
  consumer = await startConsumer('http://127.0.0.1:0', () => (mended ? undefined : 'out of stock'));
  mkdirSync(join(dir, 'data'));
  writeFileSync(
    file,
    `data: ${JSON.stringify(join(dir, 'data'))}
log: { level: error }
grpc: { listen: "127.0.0.1:0" }
ops: { listen: "127.0.0.1:0" }
ingest:
  redis: { listen: "127.0.0.1:0" }
  pepperbus: { listen: "127.0.0.1:0" }
  http: { listen: "127.0.0.1:0" }
queues:
  orders:
    topics:
      held: { target: pull }
  failing:
    topics:
      ship:
        target: ${consumer.url}
        retry: { attempts: 2, backoff: fixed, min: 1ms, max: 1ms, jitter: 0 }
  unheard: { topics: {} }
  small:
    limits: { body: 10B }
    topics:
      held: { target: pull }
`,
  );
  const config = loadConfig({ file, env: {}, flags: {} });
  bus = await start({ modules, config, configFile: file });
});

afterAll(async () => {
  await bus?.stop();
  await consumer?.close();
});

async function malabar(args: string[], options: MemoryTerminalOptions = {}) {
  const context = memoryContext(options);
  const all = args[0] === 'config' ? args : [...args, '--address', bus.grpcAddress];
  const exitCode = await run(all, context);
  const { lines, notes } = context.terminal;
  return { exitCode, lines, notes, text: lines.join('\n') };
}

async function json(args: string[]) {
  const { exitCode, text, notes } = await malabar([...args, '--json']);
  expect({ exitCode, notes }).toEqual({ exitCode: 0, notes: [] });
  return JSON.parse(text);
}

test('a bus on another port than the settings say is found by its note in the data folder', async () => {
  const env = {
    MALABAR_DATA: join(dir, 'data'),
    MALABAR_GRPC_LISTEN: `127.0.0.1:${await freePort()}`,
  };
  const found = memoryContext({ env });
  expect(await run(['config', 'domains', '--json'], found)).toBe(0);
  expect(found.terminal.notes).toEqual([]);
  const named = memoryContext({ env: { ...env, MALABAR_ADDRESS: env.MALABAR_GRPC_LISTEN } });
  expect(await run(['queues'], named)).toBe(3);
});

test('a pushed job is counted, listed and shown', async () => {
  const { lines, exitCode } = await malabar([
    'push',
    'orders',
    '{"order":"A-1"}',
    '--header',
    'a=b',
  ]);
  expect(exitCode).toBe(0);
  const [id = ''] = lines;
  const { queues } = await json(['queues', 'orders']);
  expect(queues[0].topics[0]).toMatchObject({ topic: 'held', ready: 1 });
  const list = ['jobs', 'list', '--topic', 'orders/held', '--state', 'ready', '--body'];
  expect((await malabar(list)).text).toContain(id);
  expect(await json(['jobs', 'show', id])).toMatchObject({
    id,
    queue: 'orders',
    job: { body: '{"order":"A-1"}', headers: { a: 'b' } },
    deliveries: [{ topic: 'held', state: 'ready' }],
  });
});

test('every line of stdin is a job, and a page ends with how to go on', async () => {
  const input = 'one\ntwo\r\n\nthree';
  const { lines } = await malabar(['push', 'orders', '-', '--lines', '--delay', '1h'], { input });
  expect(lines).toHaveLength(3);
  const list = ['jobs', 'list', '--topic', 'orders/held', '--state', 'scheduled'];
  const page = await malabar([...list, '--limit', '2']);
  const [, cursor = ''] = /--cursor (\S+)/.exec(page.notes[0] ?? '') ?? [];
  const { deliveries, nextCursor } = await json([...list, '--cursor', cursor, '--body']);
  expect(deliveries).toMatchObject([{ job: { body: 'three' } }]);
  expect(nextCursor).toBe('');
});

test('a job with a known key is not pushed twice', async () => {
  const first = await malabar(['push', 'orders', 'x', '--unique', 'once']);
  const second = await malabar(['push', 'orders', 'y', '--unique', 'once']);
  expect(second.lines).toEqual([`${first.lines[0]} (known already, not pushed again)`]);
});

test('a dead delivery keeps every error and lives again after replay', async () => {
  const [id = ''] = (await malabar(['push', 'failing', 'x'])).lines;
  const list = ['jobs', 'list', '--topic', 'failing/ship', '--state', 'dead'];
  await eventually(async () => expect((await malabar(list)).text).toContain(id));
  const { text } = await malabar(['jobs', 'show', id]);
  expect(text).toMatch(/failing\/ship {2}dead {2}\(2 attempts\)/);
  expect(text.match(/out of stock/g)).toHaveLength(2);

  mended = true;
  const refused = await malabar(['jobs', 'replay', '--topic', 'failing/ship', '--all'], {
    answers: ['n'],
  });
  expect(refused).toMatchObject({ exitCode: 1, notes: ['malabar: nothing was replayed'] });
  expect((await malabar(['jobs', 'replay', '--topic', 'failing/ship', id])).lines).toEqual([
    '1 replayed',
  ]);
  const done = ['jobs', 'list', '--topic', 'failing/ship', '--state', 'done'];
  await eventually(async () => expect((await malabar(done)).text).toContain(id));

  const again = await malabar(['jobs', 'replay', '--topic', 'failing/ship', id]);
  expect(again.exitCode).toBe(4);
});

test('dead jobs are discarded by topic and age, after a look at how many', async () => {
  mended = false;
  const [id = ''] = (await malabar(['push', 'failing', 'y'])).lines;
  const list = ['jobs', 'list', '--topic', 'failing/ship', '--state', 'dead'];
  await eventually(async () => expect((await malabar(list)).text).toContain(id));
  const all = ['jobs', 'discard', '--topic', 'failing/ship', '--state', 'dead'];
  expect((await malabar([...all, '--older', '7d', '--dry-run'])).lines).toEqual([
    '0 would be discarded, 1 stay',
  ]);
  expect((await malabar([...all, '--older', '7d', '--yes'])).lines).toEqual([
    '0 discarded, 1 stay dead',
  ]);
  const refused = await malabar(all, { answers: ['n'] });
  expect(refused).toMatchObject({ exitCode: 1, notes: ['malabar: nothing was discarded'] });
  expect((await malabar([...all, '--yes', '-m', 'a test'])).lines).toEqual([
    '1 discarded, 0 stay dead',
  ]);
  const { text } = await malabar(['jobs', 'show', id]);
  expect(text).toMatch(/failing\/ship {2}discarded/);
  expect(text).toMatch(/DISCARDED: discarded by .*: a test/);
  mended = true;
});

test('with a debounce the last event of a row takes the place of the one before', async () => {
  const push = (body: string) =>
    malabar(['push', 'orders', body, '--unique', 'row', '--debounce', '1h', '--max-wait', '2h']);
  const [first = ''] = (await push('1')).lines;
  const [second = ''] = (await push('2')).lines;
  expect((await malabar(['jobs', 'show', first])).text).toContain(
    `REPLACED: job ${second} took its place`,
  );
});

test('an event says which tasks get it, and is refused if none does', async () => {
  const params = '{"order":"FB138"}';
  const { exitCode, lines } = await malabar([
    'event',
    'publish',
    'orders',
    params,
    '--delay',
    '1h',
  ]);
  expect({ exitCode, tasks: lines[1] }).toEqual({ exitCode: 0, tasks: 'for held' });
  const { job } = await json(['jobs', 'show', lines[0] ?? '']);
  expect(job).toMatchObject({ contentType: 'application/json', body: params });
  const published = await json(['event', 'publish', 'orders', '--unique', 'first']);
  expect(published).toMatchObject({ tasks: ['held'], results: [{ duplicate: false }] });
  expect(await malabar(['event', 'publish', 'unheard'])).toMatchObject({
    exitCode: 4,
    notes: [expect.stringContaining("no task is registered for the event 'unheard'")],
  });
  expect(await malabar(['event', 'publish', 'nothing'])).toMatchObject({ exitCode: 4 });
  expect(await malabar(['event', 'publish', 'orders', 'order=1'])).toMatchObject({ exitCode: 2 });
});

test('a wrong name ends with 4 and says where to look', async () => {
  expect(await malabar(['push', 'nothing', 'x'])).toMatchObject({ exitCode: 4 });
  expect(await malabar(['queues', 'nothing'])).toMatchObject({
    exitCode: 4,
    notes: ["malabar: queue 'nothing' does not exist; `malabar queues` lists those there are"],
  });
  const unknown = '0198f0a2-6b1c-7000-8000-ffffffffffff';
  expect(await malabar(['jobs', 'show', unknown])).toMatchObject({ exitCode: 4 });
  expect(await malabar(['jobs', 'show', 'frob'])).toMatchObject({ exitCode: 2 });
});

test('a body over the limit of its queue ends with 2', async () => {
  const { exitCode, notes } = await malabar(['push', 'small', 'eleven byte']);
  expect(exitCode).toBe(2);
  expect(notes[0]).toMatch(/small/);
});

test('the store of a running bus verifies clean', async () => {
  expect(await json(['verify'])).toMatchObject({ problems: [] });
});

test('the doctor finds every service well, and its release', async () => {
  const { findings } = JSON.parse((await malabar(['doctor', '--json'])).text);
  const bad = findings.filter((each: { ok: boolean; subject: string }) => !each.ok);
  expect(bad.filter((each: { subject: string }) => each.subject !== 'file descriptors')).toEqual(
    [],
  );
  const subjects = findings.map((each: { subject: string }) => each.subject);
  for (const service of ['keeper', 'storage', 'ingest', 'dispatcher', 'configuration release']) {
    expect(subjects).toContain(service);
  }
});

test('a checked file is counted, a broken one is told by line', async () => {
  expect((await malabar(['config', 'check', file])).lines).toEqual([
    `${file}: ok, 4 queues, 3 topics`,
  ]);
  const broken = join(dir, 'broken.yaml');
  writeFileSync(broken, 'queues:\n  orders:\n    topics:\n      a: { target: pull, frob: 1 }\n');
  const { exitCode, notes } = await malabar(['config', 'check', broken]);
  expect(exitCode).toBe(2);
  expect(notes[0]).toContain(`${broken}:4:`);
});
