import { readlinkSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { tempDir } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { takeOwnership } from './owner.js';

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
