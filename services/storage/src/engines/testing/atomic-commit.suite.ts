import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import {
  allLog,
  allState,
  batch,
  type EngineUnderTest,
  entry,
  fresh,
  testWith,
} from './harness.js';

export function atomicCommit(engine: EngineUnderTest): void {
  const test = testWith(engine);

  describe('a commit', () => {
    test('applies appends, puts, deletes and drops together', async () => {
      const store = await fresh(engine);
      await store.commit(
        batch({ appends: [entry(1, 0, 'old'), entry(1, 5, 'kept')], state: { A: '1', B: '2' } }),
      );
      await store.commit(
        batch({
          appends: [entry(1, 9, 'new'), entry(2, 0, 'other shard')],
          state: { A: 'changed', B: undefined, C: '3' },
          drops: [{ shard: 1, firstSeq: 0 }],
        }),
      );
      expect(await allLog(store, 1)).toEqual(['1:5=kept', '1:9=new']);
      expect(await allLog(store, 2)).toEqual(['2:0=other shard']);
      expect(await allState(store)).toEqual(['A=changed', 'C=3']);
    });

    test('deletes and drops what is not there without complaint', async () => {
      const store = await fresh(engine);
      await store.commit(
        batch({ state: { A: '1', nothing: undefined }, drops: [{ shard: 9, firstSeq: 9 }] }),
      );
      expect(await allState(store)).toEqual(['A=1']);
    });

    test('that is durable is seen by the next read, although others read while it was made', async () => {
      const store = await fresh(engine);
      for (let n = 0; n < 100; n++) {
        const appends = n % 2 === 0 ? [entry(1, n, 'job')] : [];
        let durable = false;
        const others = (async () => {
          for (; !durable; await turn()) await store.get('A');
        })();
        await store.commit(batch({ appends, state: { A: String(n) } }));
        durable = true;
        const bytes = await store.get('A');
        expect(Buffer.from(bytes ?? []).toString()).toBe(String(n));
        await others;
      }
    });

    test('that is empty changes nothing', async () => {
      const store = await fresh(engine);
      await store.commit(batch({}));
      expect(await allState(store)).toEqual([]);
    });

    test('that puts thousands of records shows all of them', async () => {
      const store = await fresh(engine);
      const keys = Array.from({ length: 5000 }, (_, i) => `K${String(i).padStart(5, '0')}`);
      await store.commit(batch({ state: Object.fromEntries(keys.map((key) => [key, key])) }));
      expect(await allState(store)).toEqual(keys.map((key) => `${key}=${key}`));
      await store.commit(batch({ state: Object.fromEntries(keys.map((key) => [key, undefined])) }));
      expect(await allState(store)).toEqual([]);
    });

    test('is seen by every read after it, and by none before it', async () => {
      const store = await fresh(engine);
      for (let i = 0; i < 50; i++) {
        expect(await store.get('A')).toEqual(i === 0 ? undefined : Buffer.from(String(i - 1)));
        await store.commit(batch({ state: { A: String(i) }, appends: [entry(1, i, String(i))] }));
        expect(await allState(store)).toEqual([`A=${i}`]);
        expect((await store.readLog(1, 1000))?.firstSeq).toBe(i);
      }
    });

    test('may run while others read: they see all of it or nothing', async () => {
      const store = await fresh(engine);
      const both = (n: number) => batch({ state: { A: String(n), B: String(n) } });
      await store.commit(both(0));
      for (let i = 1; i < 50; i++) {
        const committed = store.commit(both(i));
        const seen = await Promise.all(Array.from({ length: 5 }, () => allState(store)));
        await committed;
        for (const state of seen)
          expect([
            [`A=${i - 1}`, `B=${i - 1}`],
            [`A=${i}`, `B=${i}`],
          ]).toContainEqual(state);
      }
    });
  });
}
