import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { tempDir } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { createLmdbEngine } from './lmdb.js';
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
