import { describe, expect } from 'vitest';
import type { Engine } from '../../engine.js';
import { allLog, batch, type EngineUnderTest, entry, fresh, shown, testWith } from './harness.js';

const SEQ_MAX = 2 ** 48 - 1;

export function logOrder(engine: EngineUnderTest): void {
  const test = testWith(engine);

  /** Shard 1: 10, 20, 300; shard 2: nothing; shard 3: 0 and the last possible. */
  async function withShards(): Promise<Engine> {
    const store = await fresh(engine);
    await store.commit(
      batch({
        appends: [
          entry(3, SEQ_MAX, 'last'),
          entry(1, 10, 'a'),
          entry(1, 20, 'b'),
          entry(1, 300, 'c'),
          entry(3, 0, 'first'),
        ],
      }),
    );
    return store;
  }

  describe('readLog', () => {
    test.each([
      ['at a record', 1, 20, '1:20=b'],
      ['between two records', 1, 19, '1:10=a'],
      ['right behind a record', 1, 21, '1:20=b'],
      ['across a byte of the number', 1, 256, '1:20=b'],
      ['behind the last', 1, SEQ_MAX, '1:300=c'],
      ['at the last possible', 3, SEQ_MAX, '3:281474976710655=last'],
      ['at the first possible', 3, 0, '3:0=first'],
      ['beyond all numbers', 3, Number.MAX_SAFE_INTEGER, '3:281474976710655=last'],
    ])('%s gives the one that begins there or last before', async (_, shard, seq, found) => {
      expect(shown(await (await withShards()).readLog(shard, seq))).toBe(found);
    });

    test.each([
      ['before the first', 1, 9],
      ['in a shard without records between others', 2, 5],
      ['in a shard before all others', 0, SEQ_MAX],
      ['in a shard behind all others', 4, SEQ_MAX],
    ])('%s gives nothing', async (_, shard, seq) => {
      expect(await (await withShards()).readLog(shard, seq)).toBeUndefined();
    });
  });

  describe('nextLog', () => {
    test.each([
      ['at a record', 1, 20, '1:20=b'],
      ['between two records', 1, 11, '1:20=b'],
      ['across a byte of the number', 1, 21, '1:300=c'],
      ['before the first', 1, 0, '1:10=a'],
      ['at the last possible', 3, SEQ_MAX, '3:281474976710655=last'],
    ])('%s gives the first that begins there or behind', async (_, shard, seq, found) => {
      expect(shown(await (await withShards()).nextLog(shard, seq))).toBe(found);
    });

    test.each([
      ['behind the last, never another shard', 1, 301],
      ['in a shard without records between others', 2, 0],
      ['in a shard before all others', 0, 0],
      ['in a shard behind all others', 4, 0],
      ['beyond all numbers', 3, SEQ_MAX + 1],
    ])('%s gives nothing', async (_, shard, seq) => {
      expect(await (await withShards()).nextLog(shard, seq)).toBeUndefined();
    });
  });

  describe('the log', () => {
    test('forgets what was dropped and nothing else', async () => {
      const store = await withShards();
      await store.commit(batch({ drops: [{ shard: 1, firstSeq: 20 }] }));
      expect(await allLog(store, 1)).toEqual(['1:10=a', '1:300=c']);
      expect(shown(await store.readLog(1, 299))).toBe('1:10=a');
      expect(await allLog(store, 3)).toHaveLength(2);
    });

    test('of the largest shard number can be read in both directions', async () => {
      const store = await fresh(engine);
      await store.commit(batch({ appends: [entry(0xffff, 7, 'x')] }));
      expect(shown(await store.readLog(0xffff, 8))).toBe('65535:7=x');
      expect(shown(await store.nextLog(0xffff, 0))).toBe('65535:7=x');
    });

    test('keeps thousands of records apart and in order', async () => {
      const store = await fresh(engine);
      for (let i = 0; i < 40; i++) {
        const appends = Array.from({ length: 50 }, (_, j) => {
          const n = i * 50 + j;
          return entry(n % 3, n, 'x'.repeat((n * 37) % 700));
        });
        await store.commit(batch({ appends }));
      }
      const seqs = (await allLog(store, 1)).map((line) => Number(line.split(/[:=]/)[1]));
      expect(seqs).toEqual(Array.from({ length: 667 }, (_, i) => i * 3 + 1));
    });
  });
}
