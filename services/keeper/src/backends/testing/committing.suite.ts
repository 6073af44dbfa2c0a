import { describe, expect } from 'vitest';
import type { Backend } from '../../backend.js';
import { type BackendUnderTest, fresh, put, putAll, shown, testWith } from './harness.js';

export function committing(backend: BackendUnderTest): void {
  const test = testWith(backend);

  describe('a commit', () => {
    test.each([
      ['absent, and it is', 'new', () => 0, true],
      ['absent, and it is there', 'key', () => 0, false],
      ['as it was read', 'key', (revision: number) => revision, true],
      ['as it was before', 'key', (revision: number) => revision - 1, false],
      ['there, and it is not', 'new', (revision: number) => revision, false],
    ])('with the condition that a key is %s', async (_, key, revisionOf, holds) => {
      const store = await fresh(backend);
      await putAll(store, { key: '0' });
      const revision = await putAll(store, { key: '1' });
      const conditions = [{ key, revision: revisionOf(revision) }];
      const committed = await store.commit({ conditions, puts: [put('done', 'yes')] });
      if (holds) expect(committed).toBeGreaterThan(revision);
      else expect(committed).toBeUndefined();
      expect((await store.get('done'))?.value.toString()).toBe(holds ? 'yes' : undefined);
    });

    test('fails on a key that was deleted and written again since it was read', async () => {
      const store = await fresh(backend);
      const revision = await putAll(store, { key: '1' });
      await store.commit({ deletes: ['key'] });
      expect(await store.commit({ conditions: [{ key: 'key', revision }] })).toBeUndefined();
      await putAll(store, { key: '1' });
      expect(await store.commit({ conditions: [{ key: 'key', revision }] })).toBeUndefined();
    });

    test('writes all of it or nothing', async () => {
      const store = await fresh(backend);
      await putAll(store, { a: '1', b: '1', c: '1' });
      const everything = { puts: [put('a', '2'), put('d', '2')], deletes: ['b', 'nobody'] };
      const refused = [{ key: 'c', revision: 0 }];
      expect(await store.commit({ ...everything, conditions: refused })).toBeUndefined();
      expect(shown(await store.list(''))).toEqual(['a=1', 'b=1', 'c=1']);
      await store.commit(everything);
      expect(shown(await store.list(''))).toEqual(['a=2', 'c=1', 'd=2']);
    });

    test('that deletes what is not there is none', async () => {
      const store = await fresh(backend);
      const revision = await putAll(store, { a: '1' });
      expect(await store.commit({ deletes: ['nobody'] })).toBe(revision);
      expect(await store.commit({ conditions: [{ key: 'a', revision }] })).toBe(revision);
    });

    test('of compare-and-set has exactly one winner, however many try at once', async () => {
      const store = await fresh(backend);
      let revision = 0;
      for (let round = 0; round < 10; round++) {
        const conditions = [{ key: 'leader', revision }];
        const tries = Array.from({ length: 12 }, (_, n) =>
          store.commit({ conditions, puts: [put('leader', String(n)), put(`won/${n}`)] }),
        );
        const won = (await Promise.all(tries)).flatMap((at, n) => (at === undefined ? [] : [n]));
        expect(won).toHaveLength(1);
        const leader = await store.get('leader');
        expect(leader?.value.toString()).toBe(String(won[0]));
        revision = leader?.revision as number;
      }
    });

    test('of many that count one number up loses none', async () => {
      const store = await fresh(backend);
      await Promise.all(Array.from({ length: 8 }, () => countUp(store, 10)));
      expect((await store.get('count'))?.value.toString()).toBe('80');
    });

    test('takes as many operations as the backend says', async () => {
      const store = await fresh(backend);
      const puts = Array.from({ length: store.operationsMax - 1 }, (_, i) => put(`n/${i}`));
      await store.commit({ conditions: [{ key: 'n/0', revision: 0 }], puts });
      expect((await store.list('n/')).entries).toHaveLength(puts.length);
    });

    test('of too many operations is refused, with the limit', async () => {
      const store = await fresh(backend);
      const puts = Array.from({ length: store.operationsMax + 1 }, (_, i) => put(`n/${i}`));
      await expect(store.commit({ puts })).rejects.toMatchObject({
        code: 'TOO_LARGE',
        message: expect.stringContaining(` ${store.operationsMax} `),
      });
      expect((await store.list('')).entries).toEqual([]);
    });

    test.each([
      ['that puts a key twice', { puts: [put('a'), put('a')] }],
      ['that puts and deletes a key', { puts: [put('a')], deletes: ['a'] }],
      ['without a key', { puts: [put('')] }],
    ])('%s is refused', async (_, transaction) => {
      const store = await fresh(backend);
      await expect(store.commit(transaction)).rejects.toMatchObject({ code: 'INVALID' });
    });
  });
}

async function countUp(store: Backend, times: number): Promise<void> {
  for (let done = 0; done < times; ) {
    const read = await store.get('count');
    const next = String(Number(read?.value ?? 0) + 1);
    const conditions = [{ key: 'count', revision: read?.revision ?? 0 }];
    if ((await store.commit({ conditions, puts: [put('count', next)] })) !== undefined) done++;
  }
}
