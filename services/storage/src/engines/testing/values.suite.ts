import { createHash } from 'node:crypto';
import { describe, expect } from 'vitest';
import { batch, type EngineUnderTest, fresh, testWith } from './harness.js';

const MIB = 1024 * 1024;

/** Bytes without any pattern, the same for the same size. */
function noise(size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  let value = size + 1;
  for (let i = 0; i < size; i++) {
    value = (Math.imul(value, 1_103_515_245) + 12_345) >>> 0;
    bytes[i] = value >>> 16;
  }
  return bytes;
}

const hash = (bytes: Uint8Array | undefined): string | undefined =>
  bytes && `${bytes.length} ${createHash('sha1').update(bytes).digest('hex')}`;

export function values(engine: EngineUnderTest): void {
  const test = testWith(engine);

  describe('a value', () => {
    test.each([
      ['0 bytes', 0],
      ['1 byte', 1],
      ['just below a page', 4000],
      ['a page', 4096],
      ['many pages', 70_001],
      ['1 MiB', MIB],
      ['just below 16 MiB', 16 * MIB - 1],
      ['16 MiB', 16 * MIB],
      ['more than 16 MiB', 17 * MIB],
    ])(
      'of %s comes back byte by byte, as a record of the log and of the state',
      async (_, size) => {
        const store = await fresh(engine);
        const bytes = noise(size);
        await store.commit(
          batch({ appends: [{ shard: 1, firstSeq: 1, bytes }], state: { V: bytes } }),
        );
        expect(hash(await store.get('V'))).toBe(hash(bytes));
        expect(hash((await store.readLog(1, 1))?.bytes)).toBe(hash(bytes));
        expect(hash((await store.nextLog(1, 0))?.bytes)).toBe(hash(bytes));
        const [found] = await store.scan({ start: 'V', end: 'W', limit: 1 });
        expect(hash(found?.[1])).toBe(hash(bytes));
      },
    );

    test('of any size replaces one of any other size', async () => {
      const store = await fresh(engine);
      for (const size of [10, 50_000, 0, 3 * MIB, 200, 4096, 8192, 1]) {
        await store.commit(batch({ state: { A: 'before', V: noise(size), W: 'behind' } }));
        expect(hash(await store.get('V'))).toBe(hash(noise(size)));
        expect(await store.get('W')).toEqual(Buffer.from('behind'));
      }
    });
  });
}
