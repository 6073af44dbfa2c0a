import { createHash } from 'node:crypto';
import { seededRandom } from '@malabar/testkit';
import { describe, expect } from 'vitest';
import { type BackendUnderTest, fresh, keys, put, testWith } from './harness.js';

const MIB = 1024 * 1024;

/** Bytes without any pattern. */
function noise(size: number): Buffer {
  const random = seededRandom(size);
  return Buffer.from(Array.from({ length: size }, () => random() * 256));
}

const digest = (bytes: Uint8Array | undefined): string | undefined =>
  bytes && `${bytes.length} ${createHash('sha1').update(bytes).digest('hex')}`;

export function values(backend: BackendUnderTest): void {
  const test = testWith(backend);

  describe('a value', () => {
    test.each([0, 1, 4096, 70_001, MIB])('of %d bytes comes back byte by byte', async (size) => {
      const store = await fresh(backend);
      const bytes = noise(size);
      await store.commit({ puts: [put('v', bytes)] });
      expect(digest((await store.get('v'))?.value)).toBe(digest(bytes));
      expect(digest((await store.list('v')).entries[0]?.value)).toBe(digest(bytes));
    });

    test('may fill a transaction, and one byte more is refused with the limit', async () => {
      const store = await fresh(backend);
      const most = store.bytesMax - 100;
      await store.commit({ puts: [put('v', Buffer.alloc(most))] });
      expect((await store.get('v'))?.value.length).toBe(most);
      const refused = store.commit({ puts: [put('v', Buffer.alloc(store.bytesMax + 1))] });
      await expect(refused).rejects.toMatchObject({
        code: 'TOO_LARGE',
        message: expect.stringContaining(`${store.bytesMax} bytes`),
      });
    });

    test('is not changed by whoever wrote it or read it', async () => {
      const store = await fresh(backend);
      const bytes = Buffer.from('before');
      await store.commit({ puts: [{ key: 'v', value: bytes }] });
      bytes.fill('x');
      (await store.get('v'))?.value.fill('y');
      expect((await store.get('v'))?.value.toString()).toBe('before');
    });
  });

  describe('a key', () => {
    test.each([
      ['a space', 'a b'],
      ['a path', 'a/../b'],
      ['a colon', 'a:b@c'],
      ['other letters', 'ключ'],
      ['a control character', '\u0001'],
      ['a NUL', 'a\u0000b'],
      ['an emoji', '😀'],
      ['1400 letters', 'k'.repeat(1400)],
    ])('with %s is found and listed as it is', async (_, key) => {
      const store = await fresh(backend);
      await store.commit({ puts: [put(key, 'here')] });
      expect((await store.get(key))?.value.toString()).toBe('here');
      expect(await keys(store, '')).toEqual([key]);
      await store.commit({ deletes: [key] });
      expect(await keys(store, '')).toEqual([]);
    });

    test('that is too long is refused', async () => {
      const store = await fresh(backend);
      const refused = store.commit({ puts: [put('k'.repeat(2000))] });
      await expect(refused).rejects.toMatchObject({ code: 'TOO_LARGE' });
    });
  });
}
