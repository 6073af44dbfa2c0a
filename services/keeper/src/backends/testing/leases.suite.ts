import { eventually } from '@malabar/testkit';
import { describe, expect } from 'vitest';
import type { Backend } from '../../backend.js';
import { type BackendUnderTest, keys, opened, put, putAll, testWith, Watched } from './harness.js';

const TTL_MS = 2000;

export function leases(backend: BackendUnderTest): void {
  const test = testWith(backend);

  async function leased(): Promise<{
    store: Backend;
    leaseId: string;
    pass(ms: number): Promise<void>;
    reopened(): Promise<Backend>;
  }> {
    const place = await backend.place();
    const store = await opened(place.backend());
    const leaseId = await store.grant(TTL_MS);
    await store.commit({ puts: [put('l/1', 'x', leaseId), put('l/2', 'x', leaseId), put('kept')] });
    const reopened = () => opened(place.backend());
    return { store, leaseId, pass: place.pass, reopened };
  }

  describe('a lease', () => {
    test('takes its keys with it when nobody keeps it alive, in one change', async () => {
      const { store, leaseId, pass } = await leased();
      const watched = Watched.on(store);
      await watched.hears('reset kept= l/1=x l/2=x');
      await pass(TTL_MS);
      await watched.hears('reset kept= l/1=x l/2=x', '-l/1 -l/2');
      expect(await keys(store, '')).toEqual(['kept']);
      expect(await store.keepAlive(leaseId)).toBe(false);
    });

    test('lives on as long as it is kept alive', async () => {
      const { store, leaseId, pass } = await leased();
      const startedAt = performance.now();
      while (performance.now() - startedAt < 1.5 * TTL_MS) {
        await pass(TTL_MS / 2);
        expect(await store.keepAlive(leaseId)).toBe(true);
        if ((await store.get('l/1')) === undefined) throw new Error('it has ended');
      }
    });

    test('that is revoked takes its keys with it at once, and again is no fault', async () => {
      const { store, leaseId } = await leased();
      await store.revoke(leaseId);
      expect(await keys(store, '')).toEqual(['kept']);
      expect(await store.keepAlive(leaseId)).toBe(false);
      await store.revoke(leaseId);
      await store.revoke('4711');
    });

    test('that has ended takes no more keys', async () => {
      const { store, leaseId } = await leased();
      await store.revoke(leaseId);
      const late = store.commit({ puts: [put('a'), put('l/3', 'x', leaseId)] });
      await expect(late).rejects.toMatchObject({ code: 'NOT_FOUND' });
      expect(await keys(store, '')).toEqual(['kept']);
    });

    test('leaves a key alone that was written again without it, or with another', async () => {
      const { store, leaseId } = await leased();
      const other = await store.grant(60_000);
      await putAll(store, { 'l/1': 'mine' });
      await store.commit({ puts: [put('l/2', 'theirs', other)] });
      await store.revoke(leaseId);
      expect(await keys(store, 'l/')).toEqual(['l/1', 'l/2']);
      await store.revoke(other);
      expect(await keys(store, 'l/')).toEqual(['l/1']);
    });

    test('forgets a key that was deleted', async () => {
      const { store, leaseId } = await leased();
      await store.commit({ deletes: ['l/1'] });
      await putAll(store, { 'l/1': 'again' });
      await store.revoke(leaseId);
      expect(await keys(store, 'l/')).toEqual(['l/1']);
    });

    test('of many that end together takes all keys', async () => {
      const place = await backend.place();
      const store = await opened(place.backend());
      for (let i = 0; i < 30; i++) {
        const leaseId = await store.grant(TTL_MS);
        await store.commit({ puts: [put(`n/${i}`, '', leaseId)] });
      }
      const stays = await store.grant(60_000);
      await store.commit({ puts: [put('n/stays', '', stays)] });
      await place.pass(TTL_MS);
      await eventually(async () => expect(await keys(store, 'n/')).toEqual(['n/stays']));
    });

    test('outlives its keeper once: it is renewed when the backend opens again, then ends', async () => {
      const { store, leaseId, pass, reopened } = await leased();
      await store.close();
      const again = await reopened();
      expect(await keys(again, 'l/')).toEqual(['l/1', 'l/2']);
      expect(await again.keepAlive(leaseId)).toBe(true);
      await pass(TTL_MS);
      await eventually(async () => expect(await keys(again, '')).toEqual(['kept']));
    });
  });
}
