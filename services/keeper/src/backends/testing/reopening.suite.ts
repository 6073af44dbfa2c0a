import { describe, expect } from 'vitest';
import { type BackendUnderTest, opened, put, putAll, shown, testWith } from './harness.js';

export function reopening(backend: BackendUnderTest): void {
  const test = testWith(backend);

  describe('a backend that opens again', () => {
    test('has what was committed, and counts on', async () => {
      const place = await backend.place();
      const first = await opened(place.backend());
      const revision = await putAll(first, { a: '1', b: '2' });
      await first.close();
      const second = await opened(place.backend());
      expect(shown(await second.list(''))).toEqual(['a=1', 'b=2']);
      expect((await second.get('a'))?.revision).toBe(revision);
      const conditions = [{ key: 'a', revision }];
      expect(await second.commit({ conditions, puts: [put('a', '2')] })).toBeGreaterThan(revision);
    });

    test('refuses everything once it is closed, and closing twice is no fault', async () => {
      const place = await backend.place();
      const store = await opened(place.backend());
      await store.close();
      await store.close();
      const refusals = [
        () => store.get('a'),
        () => store.list(''),
        () => store.commit({ puts: [put('a')] }),
        () => store.grant(5000),
      ];
      for (const refusal of refusals)
        await expect(refusal()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    });
  });
}
