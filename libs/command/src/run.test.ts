import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '@malabar/core';
import { eventually, tempDir } from '@malabar/testkit';
import { afterAll, expect, test } from 'vitest';
import type { Ending } from './ending.js';
import { LastWill } from './last-will.js';
import { OutputKeeper } from './output-keeper.js';
import { type CommandOptions, runCommand } from './run.js';

const PATH = process.env.PATH ?? '';
const lastWill = new LastWill();
afterAll(() => lastWill.close());

function start(script: string, options: Partial<CommandOptions> = {}) {
  const output = new OutputKeeper(64 * 1024);
  const command = runCommand({
    argv: ['/bin/sh', '-c', script],
    env: { PATH },
    timeoutMs: 20_000,
    graceMs: 200,
    clock: systemClock,
    lastWill,
    onOutput: (chunk) => void output.push(chunk),
    ...options,
  });
  return { ...command, output };
}

async function endingOf(script: string, options?: Partial<CommandOptions>): Promise<Ending> {
  return start(script, options).ended;
}

const isAlive = (pid: number): boolean => existsSync(`/proc/${pid}`);
const number = (text: string): number => Number(text.trim());

test('a program gets its input and environment and gives its output and exit code', async () => {
  const { ended, output } = start('cat; echo " $GREETING" >&2; exit 3', {
    input: Buffer.from('hello'),
    env: { PATH, GREETING: 'world' },
  });
  expect(await ended).toEqual({ kind: 'exited', code: 3 });
  expect(output.text()).toBe('hello world\n');
});

test('a program that does not read its input is not disturbed by it', async () => {
  const input = Buffer.alloc(4 * 1024 * 1024);
  expect(await endingOf('exit 0', { input })).toEqual({ kind: 'exited', code: 0 });
});

test('a program that does not exist, cannot be run or has no folder is told apart', async () => {
  const argv = ['no-such-program'];
  expect(await endingOf('', { argv })).toEqual({
    kind: 'not-started',
    reason: "there is no program 'no-such-program' in PATH",
  });
  const text = join(tempDir('command'), 'text');
  writeFileSync(text, 'true', { mode: 0o644 });
  expect(await endingOf('', { argv: [text] })).toMatchObject({
    reason: `${text} is not executable`,
  });
  expect(await endingOf('true', { directory: '/no/such' })).toMatchObject({
    reason: 'there is no folder /no/such',
  });
});

test('a limit ends a program that ignores SIGTERM, with its children', async () => {
  const script = 'trap "" TERM; (trap "" TERM; sleep 100) & echo $!; while :; do sleep 1; done';
  const { ended, output } = start(script, { timeoutMs: 300 });
  expect(await ended).toEqual({ kind: 'timeout', timeoutMs: 300 });
  await eventually(() => expect(isAlive(number(output.text()))).toBe(false));
});

test('a program that is asked to stop may end in its own way, and was killed all the same', async () => {
  const { ended, output, kill } = start(
    'trap "echo bye; exit 0" TERM; echo up; while :; do sleep 0.05; done',
    {
      graceMs: 10_000,
    },
  );
  await eventually(() => expect(output.text()).toBe('up\n'));
  kill('ann said so');
  expect(await ended).toEqual({ kind: 'killed', reason: 'ann said so' });
  // Some shells say `Terminated` of their `sleep`, before or behind it.
  expect(output.text()).toMatch(/^bye$/m);
});

test('grandchildren that hold the output open do not hold up the run, and end with it', async () => {
  const { ended, output } = start('(trap "" TERM; sleep 100) & echo $!; exit 0');
  expect(await ended).toEqual({ kind: 'exited', code: 0 });
  await eventually(() => expect(isAlive(number(output.text()))).toBe(false));
});

test('a program that a signal ends has died of it; a shell says 137 of its child', async () => {
  expect(await endingOf('kill -SEGV $$')).toEqual({ kind: 'died', signal: 'SIGSEGV' });
  expect(await endingOf('exit 137')).toEqual({ kind: 'exited', code: 137 });
});

test('of a gigabyte of output the beginning and the end are kept, and memory stays small', async () => {
  const before = process.memoryUsage().rss;
  let highest = 0;
  const { ended, output } = start(
    'echo first; head -c 1073741824 /dev/zero | tr "\\0" x; echo; echo last',
    {
      timeoutMs: 120_000,
      onOutput(chunk) {
        output.push(chunk);
        highest = Math.max(highest, process.memoryUsage.rss());
        return undefined;
      },
    },
  );
  expect(await ended).toEqual({ kind: 'exited', code: 0 });
  expect(output.total).toBe(1_073_741_824 + 12);
  const text = output.text();
  expect(text).toMatch(
    /^first\nx+\n\[\.\.\. 1,073,676,300 bytes are left out here \.\.\.\]\nx+\nlast\n$/,
  );
  expect(highest - before).toBeLessThan(256 * 1024 * 1024);
});

test('a reader that is slow slows the program down instead of filling the memory', async () => {
  let waiting = 0;
  let most = 0;
  const { ended } = start('head -c 3000000 /dev/zero', {
    onOutput({ length }) {
      waiting += length;
      most = Math.max(most, waiting);
      return new Promise((resolve) => setImmediate(resolve)).then(() => {
        waiting -= length;
      });
    },
  });
  expect(await ended).toEqual({ kind: 'exited', code: 0 });
  // What is in the pipe when the program ends comes all at once.
  expect(most).toBeLessThan(256 * 1024);
});

test('a relative program is found in its own folder', async () => {
  const directory = tempDir('command');
  const { ended } = start('', { argv: ['/bin/sh', '-c', 'pwd > where'], directory });
  await ended;
  expect(readFileSync(join(directory, 'where'), 'utf8').trim()).toBe(directory);
});

test.runIf(process.getuid?.() === 0)(
  'a program has the rights and the home of its user',
  async () => {
    const { ended, output } = start('id -un; id -gn; echo $HOME', {
      user: 'nobody',
      group: 'daemon',
    });
    expect(await ended).toEqual({ kind: 'exited', code: 0 });
    expect(output.text()).toBe('nobody\ndaemon\n/nonexistent\n');
    const byNumber = start('id -u; id -g', { user: '4711' });
    await byNumber.ended;
    expect(byNumber.output.text()).toBe('4711\n4711\n');
  },
);

test.each([
  [{ user: 'no-such-user' }, "there is no user 'no-such-user'"],
  [{ group: 'no-such-group' }, "there is no group 'no-such-group'"],
])('nothing starts as %j', async (options, reason) => {
  const expected = process.getuid?.() === 0 || 'user' in options ? reason : 'only root can';
  expect(await endingOf('true', options)).toMatchObject({
    kind: 'not-started',
    reason: expect.stringContaining(expected),
  });
});
