import { describe, expect } from 'vitest';
import type { Backend } from '../../backend.js';
import { type BackendUnderTest, fresh, keys, put, putAll, shown, testWith } from './harness.js';

/** In the order of their bytes. */
const EDGES = ['a', 'a/', 'a/b', 'a/b/c', 'a/c', 'a0', 'b', 'é', 'ｚ', '😀'];

export function reading(backend: BackendUnderTest): void {
  const test = testWith(backend);

  async function withEdges(): Promise<Backend> {
    const store = await fresh(backend);
    for (const key of [...EDGES].reverse()) await store.commit({ puts: [put(key, key)] });
    return store;
  }

  describe('reading', () => {
    test('a key that is not there is undefined', async () => {
      expect(await (await fresh(backend)).get('a')).toBeUndefined();
    });

    test('a key has the revision of the commit that wrote it', async () => {
      const store = await fresh(backend);
      const first = await putAll(store, { a: '1', b: '1' });
      const second = await putAll(store, { b: '2' });
      expect(second).toBeGreaterThan(first);
      expect(await store.get('a')).toEqual({ key: 'a', value: Buffer.from('1'), revision: first });
      expect(await store.get('b')).toEqual({ key: 'b', value: Buffer.from('2'), revision: second });
      expect(await store.list('')).toMatchObject({ revision: second });
    });

    test('an empty place lists nothing', async () => {
      expect((await (await fresh(backend)).list('')).entries).toEqual([]);
    });

    test('a listing comes in the order of the bytes, backwards in reverse', async () => {
      const store = await withEdges();
      expect(await keys(store, '')).toEqual(EDGES);
      expect(await keys(store, '', { reverse: true })).toEqual([...EDGES].reverse());
    });

    test('a prefix is no folder: it takes what begins with it and nothing else', async () => {
      const store = await withEdges();
      expect(await keys(store, 'a/')).toEqual(['a/', 'a/b', 'a/b/c', 'a/c']);
      expect(await keys(store, 'a/b')).toEqual(['a/b', 'a/b/c']);
      expect(await keys(store, 'é')).toEqual(['é']);
      expect(await keys(store, 'c')).toEqual([]);
    });

    test('a listing can be read in pieces, in both directions', async () => {
      const store = await withEdges();
      for (const reverse of [false, true]) {
        const seen: string[] = [];
        for (let after: string | undefined; ; after = seen.at(-1)) {
          const page = await keys(store, '', { limit: 3, after, reverse });
          if (page.length === 0) break;
          expect(page.length).toBeLessThanOrEqual(3);
          seen.push(...page);
        }
        expect(seen).toEqual(reverse ? [...EDGES].reverse() : EDGES);
      }
    });

    test.each([
      ['before the prefix', 'A', {}, ['a/', 'a/b', 'a/b/c', 'a/c']],
      ['behind the prefix', 'b', {}, []],
      ['that is not there', 'a/bb', {}, ['a/c']],
      ['before the prefix, in reverse', 'A', { reverse: true }, []],
      ['behind the prefix, in reverse', 'b', { reverse: true }, ['a/c', 'a/b/c', 'a/b', 'a/']],
    ])('a listing goes on behind a key %s', async (_, after, options, expected) => {
      expect(await keys(await withEdges(), 'a/', { after, ...options })).toEqual(expected);
    });

    test('a listing of many megabytes is whole and of one revision', async () => {
      const store = await fresh(backend);
      const value = Buffer.alloc(400_000, 'x');
      for (let i = 0; i < 20; i++) await store.commit({ puts: [put(`big/${i + 10}`, value)] });
      for (let i = 0; i < 10; i++)
        await store.commit({
          puts: Array.from({ length: 100 }, (_, j) => put(`big/small/${i}/${j}`)),
        });
      const listing = await store.list('big/');
      expect(listing.entries).toHaveLength(1020);
      expect(listing.entries.filter((entry) => entry.value.length === 400_000)).toHaveLength(20);
      expect(shown(await store.list('big/small/', { limit: 1 }))).toEqual(['big/small/0/0=']);
    });
  });
}
