import type { dispatcher } from '@malabar/contracts';
import { systemClock } from '@malabar/core';
import { eventually } from '@malabar/testkit';
import { afterAll, expect, test } from 'vitest';
import { CommandRuns, type Start } from './runs.js';

const PATH = process.env.PATH ?? '';
const all: CommandRuns[] = [];
afterAll(() => {
  for (const runs of all) runs.close();
});

function create(): CommandRuns {
  const runs = new CommandRuns({ clock: systemClock, node: 'web-1' });
  all.push(runs);
  return runs;
}

const ref = (jobId: string) => ({ queue: 'q', topic: 't', jobId });

function start(runs: CommandRuns, jobId: string, script: string, changes: Partial<Start> = {}) {
  const started: Start = {
    ...ref(jobId),
    attempt: 1,
    argv: ['/bin/sh', '-c', script],
    env: { PATH },
    timeoutMs: 60_000,
    graceMs: 200,
    outputBytesMax: 64 * 1024,
    onOutput: () => undefined,
    ...changes,
  };
  return runs.run(started, () => {});
}

async function read(pieces: AsyncIterable<dispatcher.WatchRunResponse>) {
  let text = '';
  let leftOut = 0;
  let ended: dispatcher.Run | undefined;
  for await (const piece of pieces) {
    text += Buffer.from(piece.output).toString();
    leftOut += piece.leftOut;
    ended ??= piece.ended;
  }
  return { text, leftOut, ended };
}

test('what runs is listed in front, and what has ended behind it, latest first', async () => {
  const runs = create();
  await start(runs, 'a', 'echo a');
  await start(runs, 'b', 'exit 3');
  const long = start(runs, 'c', 'echo up; sleep 100');
  await eventually(() => expect(runs.list()[0]?.outputBytes).toBe(3));
  expect(runs.list()).toMatchObject([
    { jobId: 'c', node: 'web-1', attempt: 1, endedAtMs: 0, ending: '' },
    { jobId: 'b', ending: 'exit code 3' },
    { jobId: 'a', ending: 'exit code 0', outputBytes: 2 },
  ]);
  expect(runs.list()[0]?.pid).toBeGreaterThan(1);
  runs.kill(ref('c'), 'killed by ann');
  expect(runs.list()[0]?.ending).toBe('is being killed: killed by ann');
  const { run, ending } = await long;
  expect(ending).toEqual({ kind: 'killed', reason: 'killed by ann' });
  expect(run.stop).toEqual({ by: 'person', reason: 'killed by ann' });
});

test('who watches sees what is kept, then what comes, then the end', async () => {
  const runs = create();
  const over = start(runs, 'a', 'echo first; read line; echo $line; exit 4', { input: undefined });
  await over;
  const { text, ended } = await read(runs.watch(ref('a')));
  expect(text).toBe('first\n\n');
  expect(ended).toMatchObject({ jobId: 'a', ending: 'exit code 4' });
  const live = start(runs, 'b', 'for i in 1 2 3 4 5; do echo line $i; sleep 0.05; done');
  const seen = read(runs.watch(ref('b')));
  await live;
  expect(await seen).toMatchObject({
    text: 'line 1\nline 2\nline 3\nline 4\nline 5\n',
    leftOut: 0,
    ended: { ending: 'exit code 0' },
  });
});

test('a watcher that does not read holds up nobody, and is told how much he has missed', async () => {
  const runs = create();
  const over = start(runs, 'a', 'head -c 50000000 /dev/zero');
  const slow = runs.watch(ref('a'));
  await over;
  const { text, leftOut } = await read(slow);
  expect(text.length).toBeLessThanOrEqual(256 * 1024);
  expect(text.length + leftOut).toBe(50_000_000);
});

test('a watcher who leaves is forgotten', async () => {
  const runs = create();
  const over = start(runs, 'a', 'echo up; sleep 100');
  for (let i = 0; i < 100; i++) {
    for await (const { output } of runs.watch(ref('a'))) {
      expect(Buffer.from(output).toString()).toBe('up\n');
      break;
    }
  }
  runs.kill(ref('a'), 'enough');
  await over;
});

test('one job has one run at a time: the next waits until nothing of the last is left', async () => {
  const runs = create();
  const first = start(runs, 'a', 'trap "" TERM; while :; do sleep 0.05; done', { timeoutMs: 100 });
  const second = start(runs, 'a', 'echo second', { attempt: 2 });
  expect(runs.list()).toHaveLength(1);
  expect((await first).ending.kind).toBe('timeout');
  expect((await second).ending).toEqual({ kind: 'exited', code: 0 });
  expect(runs.list().map(({ attempt }) => attempt)).toEqual([2, 1]);
});

test('a run that is not here, or has ended, cannot be killed', async () => {
  const runs = create();
  await start(runs, 'a', 'true');
  for (const jobId of ['a', 'b'])
    expect(() => runs.kill(ref(jobId), '')).toThrow(`job ${jobId} does not run here for q/t`);
  expect(() => runs.watch(ref('b'))).toThrow('does not run here');
});

test('of those that have ended a hundred are kept', async () => {
  const runs = create();
  for (let i = 0; i < 110; i++) await start(runs, `job-${i}`, '', { argv: ['no-such-program'] });
  const kept = runs.list();
  expect(kept).toHaveLength(100);
  expect(kept[0]).toMatchObject({
    jobId: 'job-109',
    pid: 0,
    ending: "not started: there is no program 'no-such-program' in PATH",
  });
});
