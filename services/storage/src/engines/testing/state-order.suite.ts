import { describe, expect } from 'vitest';
import { after, expiryKey, idempotencyKey, topicPrefix } from '../../core/keys.js';
import type { Engine, Key, KeyRange } from '../../engine.js';
import { batch, type EngineUnderTest, fresh, testWith } from './harness.js';

/** In byte order. */
const EDGES: Key[] = [
  'A',
  'A\x00',
  'A\x00\x00',
  'A\x00\x01',
  'A\x00\xff',
  'A\x01',
  'A\x7f',
  'A\x80',
  'A\xff',
  'A\xff\x00',
  'A\xff\xff',
  'B',
];

async function keys(store: Engine, range: Partial<KeyRange>): Promise<Key[]> {
  const found = await store.scan({ start: 'A', end: 'Z', limit: 1000, ...range });
  return found.map(([key]) => key);
}

export function stateOrder(engine: EngineUnderTest): void {
  const test = testWith(engine);

  async function withEdges(): Promise<Engine> {
    const store = await fresh(engine);
    const shuffled = [...EDGES].sort((a, b) => (a.length * 7 + b.length * 3) % 5);
    await store.commit(batch({ state: Object.fromEntries(shuffled.map((key) => [key, key])) }));
    return store;
  }

  describe('state records', () => {
    test('come in the order of their bytes, 0x00 and 0xff included', async () => {
      expect(await keys(await withEdges(), {})).toEqual(EDGES);
    });

    test('come backwards in reverse', async () => {
      expect(await keys(await withEdges(), { reverse: true })).toEqual([...EDGES].reverse());
    });

    test('are each found by their key', async () => {
      const store = await withEdges();
      for (const key of EDGES) expect(await store.get(key)).toEqual(Buffer.from(key));
      expect(await store.get('A\x02')).toBeUndefined();
      expect(await store.get('A\xff\xff\xff')).toBeUndefined();
    });

    test('of a range begin with its start and end before its end, in both directions', async () => {
      const store = await withEdges();
      for (const start of [...EDGES, 'A\x02', '\x01'])
        for (const end of [...EDGES, 'A\x90', 'C']) {
          const inside = EDGES.filter((key) => key >= start && key < end);
          expect(await keys(store, { start, end })).toEqual(inside);
          expect(await keys(store, { start, end, reverse: true })).toEqual(inside.reverse());
        }
    });

    test('are at most as many as the limit, the nearest first', async () => {
      const store = await withEdges();
      expect(await keys(store, { limit: 0 })).toEqual([]);
      expect(await keys(store, { limit: 3 })).toEqual(EDGES.slice(0, 3));
      expect(await keys(store, { limit: 3, reverse: true })).toEqual(EDGES.slice(-3).reverse());
      expect(await keys(store, { end: 'A\xff', limit: 2, reverse: true })).toEqual([
        'A\x80',
        'A\x7f',
      ]);
    });

    test('of a prefix are all found with the end that the key layout makes for it', async () => {
      const store = await fresh(engine);
      const prefix = topicPrefix('S', 0xffff, 0xffff);
      const inside = [`${prefix}\x00\x00`, `${prefix}\x10`, `${prefix}\xff\xff\xff\xff\xff\xff`];
      const outside = [topicPrefix('S', 0xffff, 0xfffe), `${topicPrefix('T', 0, 0)}\x00`];
      const all = [...inside, ...outside].map((key) => [key, 'x']);
      await store.commit(batch({ state: Object.fromEntries(all) }));
      expect(await keys(store, { start: prefix, end: after(prefix) })).toEqual(inside);
    });

    test('may have the longest keys that the key layout makes', async () => {
      const store = await fresh(engine);
      const name = `${'界'.repeat(85)}x`;
      const longest = [idempotencyKey(0xffff, name), expiryKey(0xffff, 2 ** 48 - 1, name)];
      const others = [idempotencyKey(0xffff, `${name.slice(0, -1)}y`)];
      const all = [...longest, ...others].map((key) => [key, key]);
      await store.commit(batch({ state: Object.fromEntries(all) }));
      for (const key of [...longest, ...others])
        expect(await store.get(key)).toEqual(Buffer.from(key));
      expect(await keys(store, { start: 'E', end: 'F' })).toEqual([longest[1]]);
      expect(await keys(store, { start: 'K', end: 'L' })).toEqual([longest[0], others[0]]);
      const range = { start: longest[0], end: others[0] } as KeyRange;
      expect(await keys(store, { ...range, reverse: true })).toEqual([longest[0]]);
    });
  });
}
