import { eventually } from '@malabar/testkit';
import { describe, expect } from 'vitest';
import { type BackendUnderTest, fresh, opened, put, putAll, testWith, Watched } from './harness.js';

export function watching(backend: BackendUnderTest): void {
  const test = testWith(backend);

  describe('a watcher', () => {
    test('is told first what there is, then every change in the order of the commits', async () => {
      const store = await fresh(backend);
      await putAll(store, { a: '1', b: '1' });
      const watched = Watched.on(store);
      await watched.hears('reset a=1 b=1');
      await putAll(store, { a: '2', c: '1' });
      await store.commit({ puts: [put('b', '2')], deletes: ['a'] });
      await watched.hears('reset a=1 b=1', 'a=2 c=1', '-a b=2');
    });

    test('hears of its prefix only', async () => {
      const store = await fresh(backend);
      await putAll(store, { 'a/1': 'x', ab: 'x', b: 'x' });
      const watched = Watched.on(store, 'a/');
      await watched.hears('reset a/1=x');
      await putAll(store, { b: 'y', ab: 'y' });
      await putAll(store, { b: 'z', 'a/2': 'z' });
      await watched.hears('reset a/1=x', 'a/2=z');
    });

    test('misses nothing of what is committed while it begins', async () => {
      const store = await fresh(backend);
      const commits = Array.from({ length: 40 }, (_, i) => putAll(store, { [`k${i}`]: 'v' }));
      const watched = Watched.on(store);
      await Promise.all(commits);
      await eventually(() => expect(watched.state.size).toBe(40));
      expect(watched.heard.filter((line) => line.startsWith('reset'))).toHaveLength(1);
    });

    test('hears of revisions that only grow, each that of its commit', async () => {
      const store = await fresh(backend);
      const watched = Watched.on(store);
      await watched.hears('reset');
      const revisions: unknown[] = [];
      for (let i = 0; i < 20; i++) revisions.push(await putAll(store, { k: String(i) }));
      await eventually(() => expect(watched.revisions.slice(1)).toEqual(revisions));
    });

    test('hears nothing of a commit that was refused or changed nothing', async () => {
      const store = await fresh(backend);
      const watched = Watched.on(store);
      await watched.hears('reset');
      await store.commit({ conditions: [{ key: 'a', revision: 9 }], puts: [put('a')] });
      await store.commit({ deletes: ['nobody'] });
      await putAll(store, { end: '1' });
      await watched.hears('reset', 'end=1');
    });

    test('that has stopped hears nothing more, others go on', async () => {
      const store = await fresh(backend);
      const stopped = new Watched();
      const { stop } = store.watch('', stopped);
      const watched = Watched.on(store);
      await eventually(() =>
        expect([stopped.heard, watched.heard]).toEqual([['reset'], ['reset']]),
      );
      stop();
      await putAll(store, { a: '1' });
      await watched.hears('reset', 'a=1');
      expect(stopped.heard).toEqual(['reset']);
    });

    test('that stops at once hears nothing', async () => {
      const store = await fresh(backend);
      const stopped = new Watched();
      store.watch('', stopped).stop();
      const watched = Watched.on(store);
      await putAll(store, { a: '1' });
      await eventually(() => expect(watched.state.get('a')).toBe('1'));
      expect(stopped.heard).toEqual([]);
    });
  });

  testWith(backend, 'shared')('a watcher hears what another keeper commits', async () => {
    const place = await backend.place();
    const [one, other] = [await opened(place.backend()), await opened(place.backend())];
    const watched = Watched.on(one);
    await watched.hears('reset');
    await putAll(other, { a: '1' });
    await watched.hears('reset', 'a=1');
  });
}
