import { describe, expect } from 'vitest';
import { batch, type EngineUnderTest, fresh, testWith } from './harness.js';

export function buffers(engine: EngineUnderTest): void {
  const test = testWith(engine);

  describe('memory', () => {
    test.each([
      ['small', 50],
      ['of several pages', 40_000],
      ['large', 17 * 1024 * 1024],
    ])('of a value (%s) stays as it was read, whatever is committed later', async (_, size) => {
      const store = await fresh(engine);
      const before = Buffer.alloc(size, 1);
      await store.commit(
        batch({ appends: [{ shard: 1, firstSeq: 1, bytes: before }], state: { V: before } }),
      );
      const read = [
        await store.get('V'),
        (await store.readLog(1, 1))?.bytes,
        (await store.nextLog(1, 1))?.bytes,
        (await store.scan({ start: 'V', end: 'W', limit: 1 }))[0]?.[1],
      ];
      await store.commit(batch({ state: { V: undefined }, drops: [{ shard: 1, firstSeq: 1 }] }));
      for (let i = 2; i < 8; i++) {
        const bytes = Buffer.alloc(size, i);
        await store.commit(
          batch({ appends: [{ shard: 1, firstSeq: i, bytes }], state: { V: bytes } }),
        );
        await store.get('V');
      }
      for (const bytes of read) expect(Buffer.compare(bytes as Uint8Array, before)).toBe(0);
    });

    test('of a scan does not overlap', async () => {
      const store = await fresh(engine);
      const state = Object.fromEntries(
        Array.from({ length: 500 }, (_, i) => [`K${String(i).padStart(3, '0')}`, `value ${i}`]),
      );
      await store.commit(batch({ state }));
      const found = await store.scan({ start: 'K', end: 'L', limit: 1000 });
      for (const [, value] of found.slice(1)) value.fill(0);
      expect(Buffer.from(found[0]?.[1] ?? []).toString()).toBe('value 0');
      expect(await store.get('K001')).toEqual(Buffer.from('value 1'));
    });

    test('handed in may be used again when the commit has resolved', async () => {
      const store = await fresh(engine);
      const shared = Buffer.alloc(100_000);
      for (let i = 1; i <= 20; i++) {
        shared.fill(i);
        const bytes = shared.subarray(0, i * 5000);
        await store.commit(
          batch({ appends: [{ shard: 1, firstSeq: i, bytes }], state: { [`V${i}`]: bytes } }),
        );
      }
      shared.fill(0xee);
      for (let i = 1; i <= 20; i++) {
        const expected = Buffer.alloc(i * 5000, i);
        expect(Buffer.compare((await store.get(`V${i}`)) as Uint8Array, expected)).toBe(0);
        expect(Buffer.compare((await store.readLog(1, i))?.bytes as Uint8Array, expected)).toBe(0);
      }
    });
  });
}
