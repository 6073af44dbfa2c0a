import { performance } from 'node:perf_hooks';
import type { config } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { describeBackends } from '../backends.suite.js';
import { ANN, publishing, refusals, release, set, stage } from './store.suite.js';

const MIB = 1024 * 1024;

/** `keys` keys in `files` files. */
function many(keys: number, files: number, value = 'value'): config.Operation[] {
  return Array.from({ length: keys }, (_, i) =>
    set(`key_${i}`, `${value} ${i}`, 'string', `/app/${i % files}.conf`),
  );
}

describeBackends('within its limits', (place, kind) => {
  async function timed<T>(what: string, run: () => Promise<T>): Promise<T> {
    const start = performance.now();
    const answer = await run();
    console.log(`${what} on ${kind}: ${Math.round(performance.now() - start)} ms`);
    return answer;
  }

  test('10,000 keys in 1,000 files are one release, and a change of all of them the next', async () => {
    const here = await place();
    const { store, publish, rollback } = await stage(here.backend);
    const operations = many(10_000, 1_000);
    expect(await timed('10,000 keys', () => publish(operations))).toBe(1);
    const again = many(10_000, 1_000, 'other');
    expect(await timed('10,000 changes', () => publish(again))).toBe(2);
    expect(await timed('a rollback of them', () => rollback(1))).toBe(3);
    const { store: cold } = await stage(await here.another());
    const files = await timed('reading them', () => cold.content('shop', 3));
    expect(files).toEqual(await store.content('shop', 1));
    const [made] = await store.listReleases({ domain: 'shop', before: 0, limit: 1 });
    expect(made).toMatchObject({ keys: 10_000, files: 1_000 });
  });

  test('values of 1 MiB are kept and read as they are', async () => {
    const here = await place();
    const { publish } = await stage(here.backend);
    const values = Array.from({ length: 8 }, (_, i) => String(i).repeat(MIB));
    const operations = values.map((value, i) => set(`k${i}`, value));
    expect(await timed('8 values of 1 MiB', () => publish(operations))).toBe(1);
    const { store } = await stage(await here.another());
    const [file] = await timed('reading them', () => store.content('shop', 1));
    expect(file?.sections[0]?.entries.map(({ raw }) => raw)).toEqual(values);
  });

  test('one more, or a larger one, is refused with the limit named, and nothing is done', async () => {
    const { store, publish, edit } = await stage((await place()).backend);
    const attempts: [config.Operation[], RegExp][] = [
      [many(10_001, 10), /10,001 keys; keeper\.limits\.keys is 10,000/],
      [many(1_001, 1_001), /1,001 files; keeper\.limits\.files is 1,000/],
      [[set('a', 'x'.repeat(1.1 * MIB))], /value of 1\.1 MiB; keeper\.limits\.value is 1 MiB/],
      [[set('a', '\u00e4'.repeat(0.55 * MIB))], /value of 1\.1 MiB/],
      [large(13), /bytes in all; a domain may have 12582912/],
    ];
    for (const [operations, limit] of attempts) {
      for (const error of await refusals([publish(operations), edit(operations)])) {
        expect(error.message).toMatch(limit);
      }
    }
    expect(store.getDomain('shop')).toMatchObject({ nextRelease: 1, draft: undefined });
  });

  test('a domain of the largest size is one release', async () => {
    const { publish, values } = await stage((await place()).backend);
    expect(await timed('11 MiB', () => publish(large(11)))).toBe(1);
    expect((await values(release(1))).length).toBe(11);
  });
});

/** Megabytes, each in a value of its own. */
function large(count: number): config.Operation[] {
  return Array.from({ length: count }, (_, i) => set('a', 'x'.repeat(MIB), '', `/${i}.conf`));
}

describeBackends('a request', (place) => {
  test('has its own bounds', async () => {
    const { store, publish } = await stage((await place()).backend);
    const put = (domain: string, history = 0, description = '') =>
      store.putDomain(
        {
          domain,
          settings: { system: '', description, fourEyes: false, history },
          settingsRevision: 0,
        },
        ANN,
      );
    const operation = set('a', '1');
    const calls = [
      publish([operation], { note: 'x'.repeat(1_001) }),
      publish(Array.from({ length: 20_001 }, () => operation)),
      put('a', 100_001),
      put('a', 0, 'x'.repeat(1_001)),
    ];
    for (const error of await refusals(calls)) {
      expect(error).toMatchObject({
        code: 'TOO_LARGE',
        message: expect.stringMatching(/the limit is/),
      });
    }
    for (const error of await refusals(
      ['', '..', 'a/b', 'x'.repeat(129)].map((name) => put(name)),
    )) {
      expect(error.code).toBe('INVALID');
    }
  });

  test('with a name that leads elsewhere is refused', async () => {
    const { store } = await stage((await place()).backend);
    const names = ['../app.conf', '/../app.conf', '/a//b.conf', '/.a.conf', '/app.txt', 'app.conf'];
    const bad = names.map((file) => set('a', '1', '', file));
    const slash = { file: '/app.conf', section: 'a/b', key: 'k', type: '', raw: '' };
    bad.push({ operation: { $case: 'setKey', value: slash } }, set('a/b', '1'), set('..', '1'));
    for (const operation of bad) {
      const request = publishing({ operations: [operation] });
      await expect(store.publish(request, ANN)).rejects.toMatchObject({ code: 'INVALID' });
    }
    expect(store.getDomain('shop').nextRelease).toBe(1);
  });
});
