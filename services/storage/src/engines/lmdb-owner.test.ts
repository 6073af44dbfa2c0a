import { lstatSync, readlinkSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { tempDir } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { createLmdbEngine } from './lmdb.js';
import { takeOwnership } from './lmdb-owner.js';
import { childEnd, startChild } from './testing/child.js';

const inUse = (pid: number | undefined) => ({
  code: 'UNAVAILABLE',
  message: expect.stringMatching(new RegExp(`in use by .*\\b${pid}\\b`)),
});

test('a store that another process has is refused, naming it, until that one is dead', async () => {
  const path = join(tempDir('owner'), 'store');
  const child = startChild('commit-child.ts', [path, '1000000']);
  await new Promise((resolve) => child.stdout?.once('data', resolve));
  const second = createLmdbEngine({ path });
  await expect(second.open()).rejects.toMatchObject(inUse(child.pid));
  await second.close();
  child.kill('SIGKILL');
  await childEnd(child);
  expect(lstatSync(join(path, 'owner')).isSymbolicLink()).toBe(true);
  const third = createLmdbEngine({ path });
  expect(await third.open()).toBe(2);
  await third.close();
});

test('a store that this process has is refused to a second engine', async () => {
  const path = join(tempDir('owner'), 'store');
  const first = createLmdbEngine({ path });
  await first.open();
  const second = createLmdbEngine({ path });
  await expect(second.open()).rejects.toMatchObject(inUse(process.pid));
  await second.close();
  await first.commit({ appends: [], state: new Map([['A', Buffer.of(1)]]), drops: [] });
  await first.close();
  await second.open();
  await second.close();
});

test.each([
  ['a process that is gone', (own: string) => own.replace(/^\d+/, '4194305')],
  ['an earlier process with the same id', (own: string) => own.replace(/ \d+ /, ' 1 ')],
  ['another boot or container', (own: string) => own.replace(/ \w+ (\w+)$/, ' 00000000 $1')],
  ['nobody knows whom', () => 'x'],
])('what %s left is taken over', (_, changed) => {
  const folder = tempDir('owner');
  const link = join(folder, 'owner');
  takeOwnership(folder);
  const target = changed(readlinkSync(link));
  unlinkSync(link);
  symlinkSync(target, link);
  const owner = takeOwnership(folder);
  expect(readlinkSync(link)).toMatch(new RegExp(`^${process.pid} `));
  owner.release();
  expect(() => readlinkSync(link)).toThrow('ENOENT');
});

test('an owner that was replaced leaves its successor alone', () => {
  const folder = tempDir('owner');
  const first = takeOwnership(folder);
  unlinkSync(join(folder, 'owner'));
  const second = takeOwnership(folder);
  first.release();
  expect(() => takeOwnership(folder)).toThrow('in use');
  second.release();
});

test('an owner is named in less than 60 bytes', () => {
  const folder = tempDir('owner');
  takeOwnership(folder);
  expect(readlinkSync(join(folder, 'owner')).length).toBeLessThan(60);
});
