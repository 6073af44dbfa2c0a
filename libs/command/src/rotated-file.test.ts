import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempDir } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { RotatedFile } from './rotated-file.js';

const read = (path: string): string => readFileSync(path, 'utf8');

test('a full file is put aside, and only so many are kept', async () => {
  const path = join(tempDir('rotated'), 'logs', 'run.log');
  const file = new RotatedFile({ path, bytesMax: 10, files: 2 });
  for (const text of ['aaaaaaaaaa', 'bbbbbbbbbb', 'cccccccccc', 'dddd']) {
    await file.write(Buffer.from(text));
    await file.close();
  }
  expect([read(path), read(`${path}.1`), read(`${path}.2`)]).toEqual([
    'dddd',
    'cccccccccc',
    'bbbbbbbbbb',
  ]);
  expect(existsSync(`${path}.3`)).toBe(false);
});

test('a file that is there is gone on with', async () => {
  const path = join(tempDir('rotated'), 'run.log');
  for (const text of ['one ', 'two']) {
    const file = new RotatedFile({ path, bytesMax: 100, files: 1 });
    await file.write(Buffer.from(text));
    await file.close();
  }
  expect(read(path)).toBe('one two');
});

test('much output is written whole, at the speed of the disk', async () => {
  const folder = tempDir('rotated');
  const file = new RotatedFile({ path: join(folder, 'run.log'), bytesMax: 1_000_000, files: 50 });
  const chunk = Buffer.alloc(64 * 1024, 'x');
  for (let i = 0; i < 100; i++) await file.write(chunk);
  await file.close();
  const bytes = readdirSync(folder).reduce((sum, name) => sum + read(join(folder, name)).length, 0);
  expect(bytes).toBe(100 * chunk.length);
});

test('a place that cannot be written is an error, not a crash', () => {
  const file = new RotatedFile({ path: '/proc/no/run.log', bytesMax: 10, files: 1 });
  expect(() => file.write(Buffer.from('x'))).toThrow('/proc/no');
});
