import { eventually } from '@malabar/testkit';
import { describe, expect } from 'vitest';
import {
  type BackendUnderTest,
  keys,
  opened,
  put,
  putAll,
  type TroubledPlace,
  testWith,
  Watched,
} from './harness.js';

/** Longer than any call may take. */
const ANSWER_MS = 6000;

export function outages(backend: BackendUnderTest): void {
  const test = testWith(backend, 'outages');
  const place = () => (backend.troubledPlace as () => Promise<TroubledPlace>)();

  describe('when the server is away', () => {
    test.each([
      ['that was killed', (on: TroubledPlace) => on.kill()],
      ['that cannot be reached', async (on: TroubledPlace) => on.cut()],
    ])('one %s, every call fails with UNAVAILABLE in time', async (_, trouble) => {
      const on = await place();
      const store = await opened(on.backend());
      const leaseId = await store.grant(60_000);
      await store.keepAlive(leaseId);
      await trouble(on);
      const calls = {
        get: store.get('a'),
        list: store.list('a'),
        commit: store.commit({ puts: [put('a')] }),
        grant: store.grant(5000),
        keepAlive: store.keepAlive(leaseId),
        revoke: store.revoke(leaseId),
        open: on.backend().open(),
      };
      const startedAt = performance.now();
      const outcomes = await Promise.allSettled(Object.values(calls));
      const refused = expect.objectContaining({ code: 'UNAVAILABLE' });
      for (const [i, name] of Object.keys(calls).entries())
        expect(outcomes[i], name).toMatchObject({ status: 'rejected', reason: refused });
      expect(performance.now() - startedAt).toBeLessThan(ANSWER_MS);
    });

    test('a watcher is told once that it is lost, and all that there is when it is back', async () => {
      const on = await place();
      const store = await opened(on.backend());
      await putAll(store, { a: '1', b: '1' });
      const watched = Watched.on(store);
      await watched.hears('reset a=1 b=1');
      await on.kill();
      await watched.hears('reset a=1 b=1', 'lost');
      await on.start();
      await watched.hears('reset a=1 b=1', 'lost', 'reset a=1 b=1');
      await putAll(store, { c: '1' });
      await watched.hears('reset a=1 b=1', 'lost', 'reset a=1 b=1', 'c=1');
    });

    test('what was acknowledged before kill -9 is there after it', async () => {
      const on = await place();
      const store = await opened(on.backend());
      const acknowledged: string[] = [];
      const writing = (async () => {
        for (let i = 100; ; i++) {
          await putAll(store, { [`k${i}`]: 'v' });
          acknowledged.push(`k${i}`);
        }
      })();
      await eventually(() => acknowledged.length > 30);
      await Promise.all([
        on.kill(),
        expect(writing).rejects.toMatchObject({ code: 'UNAVAILABLE' }),
      ]);
      await on.start();
      await eventually(async () =>
        expect(await keys(store, '')).toEqual(expect.arrayContaining(acknowledged)),
      );
    });
  });

  describe('a network that was cut', () => {
    test('costs a watcher no change, whatever happened meanwhile', async () => {
      const on = await place();
      const [store, other] = [await opened(on.backend()), await opened(on.untroubled())];
      const watched = Watched.on(store);
      await watched.hears('reset');
      on.cut();
      for (let i = 0; i < 20; i++) await putAll(other, { [`k${i}`]: 'v' });
      await other.commit({ deletes: ['k3'] });
      await eventually(() => expect(watched.heard).toContain('lost'));
      on.heal();
      await eventually(() => expect([...watched.state.keys()]).toHaveLength(19));
      await putAll(other, { end: '1' });
      await eventually(() => expect(watched.heard.at(-1)).toBe('end=1'));
    });

    test('and a history that was compacted meanwhile mean a new listing', async () => {
      const on = await place();
      const [store, other] = [await opened(on.backend()), await opened(on.untroubled())];
      const watched = Watched.on(store);
      await watched.hears('reset');
      on.cut();
      await putAll(other, { a: '1' });
      await putAll(other, { a: '2', b: '1' });
      await on.compact();
      await eventually(() => expect(watched.heard).toContain('lost'));
      on.heal();
      await eventually(() => expect(watched.heard.at(-1)).toBe('reset a=2 b=1'));
    });

    test('lets a lease end that could not be kept alive', async () => {
      const on = await place();
      const [store, other] = [await opened(on.backend()), await opened(on.untroubled())];
      const leaseId = await store.grant(2000);
      await store.commit({ puts: [put('l', '', leaseId)] });
      on.cut();
      await eventually(async () => expect(await keys(other, '')).toEqual([]));
      on.heal();
      await eventually(async () => expect(await store.keepAlive(leaseId)).toBe(false));
    });
  });
}
