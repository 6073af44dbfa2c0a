import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '@malabar/core';
import { eventually, logToMemory, type MemoryLogger, tempDir } from '@malabar/testkit';
import { beforeEach, expect, test } from 'vitest';
import { value } from './formats/values.suite.js';
import { type Output, Outputs } from './outputs.js';
import type { Reload } from './reload.js';
import type { ValueFile } from './value-files.js';

let dir: string;
let log: ReturnType<typeof logToMemory<MemoryLogger>>;

beforeEach(() => {
  dir = tempDir('outputs');
  log = logToMemory();
});

const files = (port: number): ValueFile[] => [
  { name: 'redis', values: [value('port', 'int', String(port))] },
  { name: 'mysql', values: [value('host', 'string', 'h')] },
];

function output(name: string, more: Partial<Output> = {}): Output {
  return { path: join(dir, name), format: 'json', attributes: { mode: 0o640 }, ...more };
}

const outputs = (...all: Output[]) => new Outputs(all, { clock: systemClock, log: log.log });
const read = (name: string) => JSON.parse(readFileSync(join(dir, name), 'utf8'));
const shell = (script: string, timeoutMs = 10_000): Reload => ({
  argv: ['/bin/sh', '-c', script],
  timeoutMs,
});
/** A reload command that leaves a line each time, and one that then fails. */
const counting = (): Reload => shell(`echo run >> ${join(dir, 'runs')}`);
const failing = (): Reload =>
  shell(`echo run >> ${join(dir, 'runs')}; echo no such pool >&2; exit 3`);
const runs = () =>
  existsSync(join(dir, 'runs'))
    ? readFileSync(join(dir, 'runs'), 'utf8').split('\n').length - 1
    : 0;

test('a file has the values, and its mode whatever the umask', async () => {
  await outputs(output('a.json', { attributes: { mode: 0o664 } })).apply(files(1));
  expect(read('a.json')).toEqual({ redis: { port: 1 }, mysql: { host: 'h' } });
  expect(statSync(join(dir, 'a.json')).mode & 0o777).toBe(0o664);
  expect(readdirSync(dir)).toEqual(['a.json']);
});

test('a file gets only the names that it asks for', async () => {
  await outputs(output('a.json', { only: ['mysql'] })).apply(files(1));
  expect(read('a.json')).toEqual({ mysql: { host: 'h' } });
});

test('the same content is not written again, and nobody is reloaded', async () => {
  const kept = outputs(output('a.json', { reload: counting() }));
  await kept.apply(files(1));
  const { ino } = statSync(join(dir, 'a.json'));
  await kept.apply(files(1));
  expect(statSync(join(dir, 'a.json')).ino).toBe(ino);
  expect(runs()).toBe(1);
  await kept.apply(files(2));
  expect(statSync(join(dir, 'a.json')).ino).not.toBe(ino);
  expect(runs()).toBe(2);
});

test('a mode that somebody changed is mended without a reload', async () => {
  const kept = outputs(output('a.json', { reload: counting() }));
  await kept.apply(files(1));
  chmodSync(join(dir, 'a.json'), 0o666);
  await kept.apply(files(1));
  expect(statSync(join(dir, 'a.json')).mode & 0o777).toBe(0o640);
  expect(runs()).toBe(1);
});

test('a command that several files share runs once', async () => {
  const reload = counting();
  await outputs(output('a.json', { reload }), output('b.json', { reload })).apply(files(1));
  expect(runs()).toBe(1);
});

test('a file that cannot be written refuses, and no file is touched', async () => {
  const both = outputs(output('a.json'), output('sub/b.json'));
  mkdirSync(join(dir, 'sub'));
  await both.apply(files(1));
  rmSync(join(dir, 'sub'), { recursive: true });
  await expect(both.apply(files(2))).rejects.toThrow(
    `cannot write ${join(dir, 'sub/b.json')}: ENOENT`,
  );
  expect(read('a.json').redis.port).toBe(1);
  expect(readdirSync(dir)).toEqual(['a.json']);
});

test('a reload command that fails brings the old content back and says why', async () => {
  const path = join(dir, 'a.json');
  await outputs(output('a.json')).apply(files(1));
  const kept = outputs(output('a.json', { reload: failing() }));
  await expect(kept.apply(files(2))).rejects.toThrow(/^reload: .* ended with 3: no such pool$/);
  expect(read('a.json').redis.port).toBe(1);
  expect(statSync(path).mode & 0o777).toBe(0o640);
  // Once for the new content, once for the old one that came back.
  expect(runs()).toBe(2);
});

test('a file that is new stays though nobody can be reloaded yet', async () => {
  await outputs(output('a.json', { reload: failing() })).apply(files(1));
  expect(read('a.json').redis.port).toBe(1);
  expect(log.entries.map(({ message }) => message)).toContain('reload failed');
});

/** Neither gone nor dead with nobody to bury it. */
function isRunning(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

test('a command that hangs is ended with all that it started', async () => {
  await outputs(output('a.json')).apply(files(1));
  const pid = join(dir, 'pid');
  const hanging = shell(`sleep 600 & echo $! > ${pid}; wait`, 300);
  const kept = outputs(output('a.json', { reload: hanging }));
  await expect(kept.apply(files(2))).rejects.toThrow(/took longer than 300 ms/);
  const sleeper = Number(readFileSync(pid, 'utf8'));
  await eventually(() => expect(isRunning(sleeper)).toBe(false));
});

test('a command that leaves a daemon behind is not waited for', async () => {
  const pid = join(dir, 'pid');
  const daemon = shell(`sleep 600 & echo $! > ${pid}`);
  await outputs(output('a.json', { reload: daemon })).apply(files(1));
  process.kill(Number(readFileSync(pid, 'utf8')));
});

test('a command that is not there is a reason, not a crash', async () => {
  await outputs(output('a.json')).apply(files(1));
  const reload: Reload = { argv: ['/no/such/program'], timeoutMs: 1000 };
  const kept = outputs(output('a.json', { reload }));
  await expect(kept.apply(files(2))).rejects.toThrow(
    /\/no\/such\/program: did not start: .*ENOENT/,
  );
});

test('what a crash left beside the file is in no way', async () => {
  writeFileSync(join(dir, '.a.json.malabar'), 'half a fi');
  await outputs(output('a.json')).apply(files(1));
  expect(readdirSync(dir)).toEqual(['a.json']);
});
