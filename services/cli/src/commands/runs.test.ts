import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig } from '@malabar/config';
import { type RunningProcess, start } from '@malabar/runtime';
import { eventually, tempDir } from '@malabar/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { memoryContext } from '../context.suite.js';
import { modules } from '../module.js';
import { run } from '../program.js';

const dir = tempDir('cli-runs');
const file = join(dir, 'malabar.yaml');
const LISTEN = {
  'log.level': 'error',
  'grpc.listen': '127.0.0.1:0',
  'ops.listen': '127.0.0.1:0',
  'dispatcher.drain': '100ms',
};
let bus: RunningProcess;
let other: RunningProcess;

beforeAll(async () => {
  for (const name of ['data', 'other']) mkdirSync(join(dir, name));
  writeFileSync(
    file,
    `
queues:
  reports:
    topics:
      build: { concurrency: 4, target: { command: { shell: 'cat; echo; sleep 100', on: web-2, grace: 200ms } } }
      draw: { target: { command: { shell: 'true', tag: gpu } } }
  both:
    topics:
      one: { target: { command: { shell: 'sleep 100', grace: 200ms, tag: batch } } }
      two: { target: { command: { shell: 'sleep 100', grace: 200ms, on: web-2 } } }
`,
  );
  const flags = {
    ...LISTEN,
    node: 'web-1',
    data: join(dir, 'data'),
    'dispatcher.tags': 'batch',
    'ingest.redis.listen': '127.0.0.1:0',
    'ingest.pepperbus.listen': '127.0.0.1:0',
    'ingest.http.listen': '127.0.0.1:0',
    'metrics.listen': '127.0.0.1:0',
  };
  bus = await start({ modules, config: loadConfig({ file, env: {}, flags }), configFile: file });
  other = await start({
    modules: modules.filter(({ name }) => name === 'dispatcher'),
    config: loadConfig({
      env: {},
      flags: {
        ...LISTEN,
        node: 'web-2',
        data: join(dir, 'other'),
        'addresses.keeper': bus.grpcAddress,
      },
    }),
  });
});

afterAll(async () => {
  await other?.stop();
  await bus?.stop();
});

async function malabar(...args: string[]) {
  const context = memoryContext();
  const exitCode = await run([...args, '--address', bus.grpcAddress], context);
  const { lines, notes, written } = context.terminal;
  return { exitCode, lines, notes, written };
}

async function push(queue: string, body: string): Promise<string> {
  const { lines } = await malabar('push', queue, body, '--json');
  return JSON.parse(lines[0] ?? '').results[0].jobId;
}

const state = async (topic: string, name: string): Promise<string[]> =>
  (await malabar('jobs', 'list', '--topic', topic, '--state', name)).lines;

test('a run is found on whichever dispatcher it is, watched and killed', async () => {
  const id = await push('reports', 'hello');
  await eventually(async () => {
    const { lines } = await malabar('runs');
    expect(lines[1]).toMatch(
      new RegExp(`^${id} +reports/build +1 +web-2 +\\d+ .*6 B +runs +/bin/sh`),
    );
  });
  const watching = malabar('runs', 'watch', id);
  const killed = await malabar('runs', 'kill', id, '-m', 'wrong day');
  expect(killed.lines).toEqual([
    'reports/build on web-2 is being killed: killed by local: wrong day',
  ]);
  expect(await watching).toMatchObject({
    exitCode: 0,
    written: 'hello\n',
    notes: [expect.stringMatching(/^killed: killed by local: wrong day, after /)],
  });
  await eventually(async () => {
    expect((await state('reports/build', 'dead'))[1]).toContain(
      'KILLED: killed: killed by local: wrong day: hello',
    );
  });
  const { runs } = JSON.parse((await malabar('runs', 'list', '--json')).lines[0] ?? '');
  expect(runs).toMatchObject([{ jobId: id, node: 'web-2', outputBytes: 6 }]);
});

test('a job of several commands needs its topic said', async () => {
  const id = await push('both', 'x');
  await eventually(async () => {
    const { lines } = await malabar('runs');
    expect(lines.filter((line) => line.startsWith(id))).toHaveLength(2);
  });
  const { exitCode, notes } = await malabar('runs', 'kill', id);
  expect(exitCode).toBe(2);
  expect(notes[0]).toMatch(/is run for both\/(one and both\/two|two and both\/one); name one/);
  for (const topic of ['both/one', 'both/two']) {
    expect((await malabar('runs', 'kill', id, '--topic', topic)).exitCode).toBe(0);
    await eventually(async () => expect(await state(topic, 'dead')).toHaveLength(2));
  }
});

test('a job that runs nowhere ends with 4', async () => {
  for (const verb of ['watch', 'kill']) {
    expect(await malabar('runs', verb, 'nothing')).toMatchObject({
      exitCode: 4,
      notes: ['malabar: job nothing runs nowhere as a command; `malabar runs` lists what runs'],
    });
  }
});

test('a tag that no dispatcher carries is a reason that queues and doctor show', async () => {
  await eventually(async () => {
    const { lines } = await malabar('queues', 'reports');
    expect(lines.find((line) => line.startsWith('reports/draw'))).toMatch(
      /no dispatcher carries the tag gpu$/,
    );
  });
  const { lines, exitCode } = await malabar('doctor');
  expect(exitCode).toBe(1);
  expect(lines.find((line) => line.includes('reports/draw'))).toContain(
    'no dispatcher carries the tag gpu -> give the tag gpu to a dispatcher (dispatcher.tags, node)',
  );
});

test('a dispatcher that is drained takes no more, and what it runs goes on', async () => {
  const id = await push('reports', 'before');
  await eventually(async () => {
    const { lines } = await malabar('dispatchers');
    expect(lines[1]).toMatch(/^web-1 +batch +1 +0 +takes deliveries$/);
    expect(lines[2]).toMatch(/^web-2 +- +2 +1 +takes deliveries$/);
  });
  const drained = await malabar('dispatchers', 'drain', 'web-2', '-m', 'new disk');
  expect(drained.lines).toEqual(['web-2 is drained; running on: 1 delivery']);
  await push('reports', 'after');
  await eventually(async () => {
    const { lines } = await malabar('queues', 'reports');
    expect(lines.find((line) => line.startsWith('reports/build'))).toMatch(
      /drained by local: new disk$/,
    );
  });
  const doctor = (await malabar('doctor')).lines.find((line) => line.includes('dispatcher web-2'));
  expect(doctor).toContain('drained by local: new disk -> malabar dispatchers resume web-2');
  expect((await malabar('runs')).lines[1]).toMatch(new RegExp(`^${id} .* runs `));
  expect((await malabar('dispatchers', 'resume', 'web-2')).lines).toEqual([
    'web-2 takes deliveries',
  ]);
  await eventually(async () => {
    const { lines } = await malabar('runs');
    expect(lines.filter((line) => / runs +\/bin\/sh/.test(line))).toHaveLength(2);
  });
});

test('a dispatcher that is not there ends with 4', async () => {
  expect(await malabar('dispatchers', 'drain', 'web-9')).toMatchObject({
    exitCode: 4,
    notes: ["malabar: there is no dispatcher 'web-9'; `malabar dispatchers` lists those there are"],
  });
});
