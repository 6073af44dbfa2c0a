import { FakeClock } from '@malabar/testkit';
import { expect, test } from 'vitest';
import type { Backend, Transaction } from '../backend.js';
import { describeBackends } from '../backends.suite.js';
import { keys, lastPart } from '../keys.js';
import { faultyBackend, hastyClock } from './faulty-backend.suite.js';
import { ANN, BOB, release, set, stage } from './store.suite.js';

const RIPE_MS = 10 * 60_000;

async function count(backend: Backend, prefix: string): Promise<number> {
  return (await backend.list(prefix)).entries.length;
}

const blobs = (backend: Backend) => count(backend, keys.blobs('shop'));
const loose = (backend: Backend) => count(backend, keys.allLoose);

describeBackends('sweeping', (place) => {
  async function swept(options: { history?: number; operationsMax?: number } = {}) {
    const { backend } = await place();
    const clock = new FakeClock();
    const { history = 3, operationsMax = backend.operationsMax } = options;
    const small = faultyBackend(backend, { fault: 'fails', at: 0, operationsMax });
    return { backend, clock, ...(await stage(small, { clock, history })) };
  }

  test('keeps the releases of the history with all their content', async () => {
    const { backend, store, publish, values } = await swept();
    for (let i = 1; i <= 8; i++) await publish([set('a', `${i}`)]);
    expect(await blobs(backend)).toBe(8);
    await store.sweep();
    const kept = await store.listReleases({ domain: 'shop', before: 0, limit: 0 });
    expect(kept.map(({ number }) => number)).toEqual([8, 7, 6]);
    expect(await blobs(backend)).toBe(3);
    expect(await values(release(6))).toEqual(['a=6']);
    await expect(values(release(5))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('a release that is not kept cannot be restored, also before it is swept', async () => {
    const { publish, rollback } = await swept();
    for (let i = 1; i <= 5; i++) await publish([set('a', `${i}`)]);
    await expect(rollback(2)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await rollback(3)).toBe(6);
  });

  test('keeps what is in force and what the draft is made from, however old', async () => {
    const { store, publish, edit, values } = await swept({ history: 2 });
    await publish([set('a', '1')]);
    await edit([set('b', '1')]);
    await publish([set('a', '2')]);
    for (let i = 3; i <= 7; i++) {
      await publish([set('a', `${i}`)], { canary: { nodeIds: ['x'], tags: {}, percent: 0 } });
      await store.abort({ domain: 'shop', release: i, note: '' }, ANN);
    }
    await store.sweep();
    const kept = await store.listReleases({ domain: 'shop', before: 0, limit: 0 });
    expect(kept.map(({ number }) => number)).toEqual([7, 6, 2, 1]);
    expect(await values()).toEqual(['a=2']);
    expect(await values({ $case: 'draft', value: true })).toEqual(['a=1', 'b=1']);
  });

  test('a blob that other releases share stays', async () => {
    const { backend, store, publish, values } = await swept({ history: 1 });
    await publish([set('a', '1'), set('b', '1', '', '/b.conf')]);
    await publish([set('a', '2')]);
    await store.sweep();
    expect(await blobs(backend)).toBe(2);
    expect(await values()).toEqual(['a=2', 'b=1']);
  });

  test('takes what drafts have let go of, once it has lain for a while', async () => {
    const { backend, clock, store, publish, edit } = await swept();
    await publish([set('a', '1')]);
    await edit([set('a', '2')]);
    await edit([set('a', '3')]);
    await store.sweep();
    expect([await blobs(backend), await loose(backend)]).toEqual([3, 1]);
    clock.advanceSync(RIPE_MS);
    await store.sweep();
    expect([await blobs(backend), await loose(backend)]).toEqual([2, 0]);
    await store.discardDraft({ domain: 'shop', draftRevision: 2 }, ANN);
    clock.advanceSync(RIPE_MS);
    await store.sweep();
    expect([await blobs(backend), await loose(backend)]).toEqual([1, 0]);
  });

  test('takes what a crashed publish has left, in transactions of any size', async () => {
    const { backend } = await place();
    const files = Array.from({ length: 30 }, (_, i) => set('a', '1', '', `/${i}.conf`));
    const dying = faultyBackend(backend, { fault: 'dies before', at: 5, operationsMax: 12 });
    const broken = await stage(dying, { clock: hastyClock() });
    await expect(broken.publish(files)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(await blobs(backend)).toBeGreaterThan(20);
    const later = { now: () => hastyClock().now() + RIPE_MS + 12_000, after: () => () => {} };
    const small = faultyBackend(backend, { fault: 'fails', at: 0, operationsMax: 6 });
    const { store } = await stage(small, { clock: later });
    await store.sweep();
    expect([await blobs(backend), await loose(backend)]).toEqual([0, 0]);
  });

  test('never takes a blob that a publish has written but not yet named', async () => {
    const { backend } = await place();
    const clock = new FakeClock();
    const first = await stage(backend, { clock });
    await first.publish([set('a', '1')]);
    await first.edit([set('a', '2')]);
    await first.store.discardDraft({ domain: 'shop', draftRevision: 1 }, ANN);
    clock.advanceSync(RIPE_MS);
    // The content of the discarded draft again; the sweeper comes just before the commit that names it.
    let sweeps = 0;
    const meeting: Backend = Object.create(backend, {
      commit: {
        value: async (transaction: Transaction) => {
          if (named(transaction) && sweeps++ === 0) await first.store.sweep();
          return backend.commit(transaction);
        },
      },
    });
    for (const method of ['get', 'list', 'watch'] as const) {
      Object.defineProperty(meeting, method, { value: backend[method].bind(backend) });
    }
    Object.defineProperty(meeting, 'operationsMax', { value: 6 });
    const second = await stage(meeting, { clock });
    expect(await second.publish([set('a', '2')])).toBe(2);
    expect(sweeps).toBe(2);
    const third = await stage(backend);
    expect(await third.values(release(2))).toEqual(['a=2']);
    await third.store.sweep();
    expect(await third.values(release(2))).toEqual(['a=2']);
  });

  test('two keepers that sweep at once are in nobody\u2019s way', async () => {
    const here = await place();
    const one = await stage(here.backend, { history: 2 });
    const two = await stage(await here.another(), { history: 2 });
    const publishing = (async () => {
      for (let i = 1; i <= 20; i++) await one.publish([set('a', `${i}`)]);
    })();
    for (let i = 0; i < 10; i++) await Promise.all([one.store.sweep(), two.store.sweep()]);
    await publishing;
    await one.store.sweep();
    expect(await one.values(release(19))).toEqual(['a=19']);
    expect(await one.values()).toEqual(['a=20']);
    expect(await blobs(here.backend)).toBe(2);
  });

  test('a deleted domain leaves nothing but its audit, and goes on counting', async () => {
    const { backend, clock, store, publish, edit, values } = await swept();
    for (let i = 1; i <= 3; i++) await publish([set('a', `${i}`)]);
    await edit([set('b', '1')]);
    const gone = { domain: 'shop', expectedRelease: 2 };
    await expect(store.deleteDomain(gone, BOB)).rejects.toMatchObject({ code: 'CONFLICT' });
    await store.deleteDomain({ ...gone, expectedRelease: 3 }, BOB);
    expect(() => store.getDomain('shop')).toThrow('there is no domain shop');
    clock.advanceSync(RIPE_MS);
    await store.sweep();
    const left = (await backend.list('')).entries.map(({ key }) => key.split('/')[0]);
    expect(new Set(left)).toEqual(new Set(['audit', 'audit-of', 'tombstone']));
    await store.ensureDomain('shop', {}, ANN);
    expect(store.getDomain('shop')).toMatchObject({ release: 0, nextRelease: 4 });
    expect(await publish([set('a', '9')])).toBe(4);
    expect(await values()).toEqual(['a=9']);
  });

  test('a domain that is made again before the sweep loses its old releases all the same', async () => {
    const { backend, store, publish, values } = await swept();
    await publish([set('a', '1')]);
    await publish([set('a', '2')]);
    await store.deleteDomain({ domain: 'shop', expectedRelease: 2 }, BOB);
    await store.ensureDomain('shop', {}, ANN);
    await expect(values(release(2))).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await publish([set('a', '2')]);
    await store.sweep();
    expect(await values()).toEqual(['a=2']);
    expect(await blobs(backend)).toBe(1);
    const { entries } = await backend.list(keys.releases('shop'));
    expect(entries.map(({ key }) => Number(lastPart(key)))).toEqual([3]);
  });
});

function named({ puts = [] }: Transaction): boolean {
  return puts.some(({ key }) => key.startsWith('release/'));
}
