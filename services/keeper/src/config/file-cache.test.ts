import type { config } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { FileCache } from './file-cache.js';

const file = (path: string): config.ConfigFile => ({ path, sections: [], schema: '', parent: '' });

test('what was used longest ago goes first once there are too many bytes', () => {
  const cache = new FileCache(100);
  for (const path of ['a', 'b', 'c']) cache.set(path, file(path), 40);
  expect([cache.get('a'), cache.bytes]).toEqual([undefined, 80]);
  cache.get('b');
  cache.set('d', file('d'), 40);
  expect(['b', 'c', 'd'].map((id) => cache.get(id)?.path)).toEqual(['b', undefined, 'd']);
});

test('what is set again counts once', () => {
  const cache = new FileCache(100);
  for (let i = 0; i < 5; i++) cache.set('a', file('a'), 40);
  expect(cache.bytes).toBe(40);
});

test('what is larger than the cache is not kept', () => {
  const cache = new FileCache(100);
  cache.set('a', file('a'), 101);
  expect([cache.get('a'), cache.bytes]).toEqual([undefined, 0]);
});
