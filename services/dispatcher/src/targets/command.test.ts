import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { common, keeper } from '@malabar/contracts';
import { systemClock } from '@malabar/core';
import type { Logger } from '@malabar/telemetry';
import { eventually, logToMemory, tempDir } from '@malabar/testkit';
import { afterAll, expect, test } from 'vitest';
import { attemptOf } from '../attempts.suite.js';
import { CommandRuns } from '../runs/runs.js';
import type { Attempt } from '../target.js';
import { createCommandTarget } from './command.js';

const { CRASH, DEAD, DONE, RELEASE, RETRY } = common.OutcomeKind;
const PATH = process.env.PATH ?? '';

const runs = new CommandRuns({ clock: systemClock, node: 'here' });
const { log, entries } = logToMemory<Logger>();
afterAll(() => runs.close());

function targetOf(script: string, changes: Partial<keeper.CommandTarget> = {}) {
  const target = keeper.CommandTarget.fromPartial({
    argv: ['/bin/sh', '-c', script],
    graceMs: 200,
    outputBytesMax: 64 * 1024,
    ...changes,
  });
  return createCommandTarget({ target, runs, log, environment: { PATH, HOME: '/home/bus' } });
}

function run(script: string, target: Partial<keeper.CommandTarget> = {}, attempt = attemptOf()) {
  return targetOf(script, target).deliver(attempt);
}

test('a program gets the body on its standard input, and its yes comes with its output', async () => {
  expect(await run('cat; echo " on stderr" >&2')).toMatchObject({
    kind: DONE,
    error: '',
    output: '{"order":"FB138"} on stderr\n',
    exitCode: 0,
  });
});

test('the environment is what the job says, PATH, HOME and what the target adds: nothing of ours', async () => {
  const job = {
    body: Buffer.from('x'),
    headers: { 'order-id': 'FB138', zero: 'a\0b', long: 'x'.repeat(200_000) },
    traceParent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  };
  const attempt = attemptOf({ jobs: [job] });
  const { output = '' } = await run('', { argv: ['env'], env: { MODE: 'fast' } }, attempt);
  expect(
    Object.fromEntries(
      output
        .trim()
        .split('\n')
        .map((line) => line.split(/=(.*)/s)),
    ),
  ).toEqual({
    PATH: expect.any(String),
    HOME: '/home/bus',
    MODE: 'fast',
    MALABAR_JOB_ID: attempt.deliveries[0]?.jobId,
    MALABAR_QUEUE: 'orders',
    MALABAR_TOPIC: 'ship',
    MALABAR_ATTEMPT: '1',
    MALABAR_HEADER_ORDER_ID: 'FB138',
    MALABAR_HEADERS_LEFT_OUT: '2',
    TRACEPARENT: job.traceParent,
  });
});

test('a part of a run on many nodes finds its node, its place and how many there are', async () => {
  const headers = { 'malabar-node': 'web-2', 'malabar-index': '1', 'malabar-total': '3' };
  const attempt = attemptOf({ jobs: [{ headers }] });
  const script = 'echo "$MALABAR_NODE $MALABAR_INDEX of $MALABAR_TOTAL"';
  expect((await run(script, {}, attempt)).output).toBe('web-2 1 of 3\n');
});

test.each([
  ['exit 0', DONE, ''],
  ['exit 3', DONE, ''],
  ['exit 4', DEAD, 'EXIT_4'],
  ['exit 5', RETRY, 'EXIT_5'],
  ['exit 75', RETRY, 'EXIT_75'],
  ['exit 127', RETRY, 'EXIT_127'],
  ['exit 137', CRASH, 'EXIT_137'],
  ['kill -SEGV $$', CRASH, 'SIGSEGV'],
])('%s is judged by the codes of the target', async (script, kind, errorCode) => {
  const verdict = await run(script, { doneCodes: [3], deadCodes: [4] });
  expect(verdict).toMatchObject({ kind, errorCode });
});

test('a failure says how the program ended and what it printed last', async () => {
  const { error } = await run('seq 1 100000; echo no stock; exit 3');
  expect(error).toMatch(/^exit code 3: 1\n2\n/);
  expect(error).toMatch(/bytes are left out here \.\.\.\]\n.*99999\n100000\nno stock$/s);
  expect(Buffer.byteLength(error)).toBeLessThanOrEqual(16 * 1024);
});

test('a program that does not exist is a failure that says so, and the topic backs off here', async () => {
  expect(await run('', { argv: ['no-such-program'] })).toMatchObject({
    kind: RETRY,
    errorCode: 'NOT_STARTED',
    error: "not started: there is no program 'no-such-program' in PATH",
    blocks: true,
  });
  expect(await run('true', { user: 'no-such-user' })).toMatchObject({
    errorCode: 'NOT_STARTED',
    error: "not started: there is no user 'no-such-user'",
    blocks: true,
  });
});

test('a program that ignores SIGTERM ends at its limit all the same, and the output so far is told', async () => {
  const script = 'trap "" TERM; echo half done; while :; do sleep 0.05; done';
  expect(await run(script, {}, attemptOf({ timeoutMs: 300 }))).toMatchObject({
    kind: RETRY,
    errorCode: 'TIMEOUT',
    error: 'stopped at its limit of 300 ms: half done',
  });
});

test('a cancelled attempt ends and is given back, also before it has begun', async () => {
  const target = targetOf('sleep 100');
  const one = attemptOf();
  const first = target.deliver(one);
  // The same delivery again: it waits for the first.
  const two: Attempt = { ...one };
  const second = target.deliver(two);
  await eventually(() =>
    expect(runs.list().filter(({ endedAtMs }) => endedAtMs === 0)).toHaveLength(1),
  );
  target.cancel?.(two, 'the dispatcher stops');
  target.cancel?.(one, 'its lease is lost');
  expect(await first).toMatchObject({ kind: RELEASE, error: 'its lease is lost' });
  expect(await second).toMatchObject({ kind: RELEASE, error: 'the dispatcher stops' });
});

test('closing ends what runs', async () => {
  const target = targetOf('sleep 100');
  const verdict = target.deliver(attemptOf());
  await eventually(() => expect(runs.list()[0]?.endedAtMs).toBe(0));
  await target.close();
  expect(await verdict).toMatchObject({ kind: RELEASE });
});

test('all output goes to a rotated file as well', async () => {
  const path = join(tempDir('command'), 'out.log');
  const file = { path, bytesMax: 100_000, files: 2 };
  const target = targetOf('head -c 300000 /dev/zero | tr "\\0" x', { file });
  for (let i = 0; i < 3; i++) expect((await target.deliver(attemptOf())).kind).toBe(DONE);
  await target.close();
  expect(readdirSync(join(path, '..')).sort()).toEqual(['out.log', 'out.log.1', 'out.log.2']);
  expect(readFileSync(`${path}.1`, 'utf8')).toMatch(/^x{100000,}$/);
});

test('a file that cannot be written stops no run, and the log says so', async () => {
  const file = { path: '/no/such/folder/out.log', bytesMax: 1000, files: 1 };
  expect((await run('echo fine', { file })).kind).toBe(DONE);
  expect(entries.filter(({ level }) => level === 'error')).toMatchObject([
    { message: 'cannot write the output of commands' },
  ]);
  expect(existsSync('/no')).toBe(false);
});
