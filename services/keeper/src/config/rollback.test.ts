import { config } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { describeBackends } from '../backends.suite.js';
import { publishing, refusals, release, remove, removeFile, set, stage } from './store.suite.js';

describeBackends('a rollback', (place) => {
  async function history() {
    const all = await stage((await place()).backend);
    await all.publish([
      set('a', ' padded "and" `odd` \u00e4\ud83d\ude00 ', 'string'),
      set('password', 'hunter2', 'secret'),
      set('b', '1', 'int', '/b.conf'),
    ]);
    await all.publish([set('a', 'x'), set('password', 'other'), set('b', '2', '', '/b.conf')]);
    await all.publish([removeFile('/b.conf'), remove('a')]);
    return all;
  }

  test('of a domain brings back the exact bytes of all its files', async () => {
    const { store, rollback } = await history();
    const bytes = async (number: number) =>
      (await store.content('shop', number)).map((file) => config.ConfigFile.encode(file).finish());
    const plain = async (number: number) =>
      store.unseal('shop', await store.content('shop', number));
    expect(await rollback(1)).toBe(4);
    expect(await bytes(4)).toEqual(await bytes(1));
    expect(await plain(4)).toEqual(await plain(1));
    expect(await rollback(2)).toBe(5);
    expect(await bytes(5)).toEqual(await bytes(2));
    const [made] = await store.listReleases({ domain: 'shop', before: 0, limit: 1 });
    expect(made).toMatchObject({ number: 5, base: 4, restores: 2, files: 2, keys: 3 });
  });

  test('of one file leaves the others as they are', async () => {
    const { values, rollback } = await history();
    expect(await rollback(1, '/b.conf')).toBe(4);
    expect(await values()).toEqual(['password=******', 'b=1']);
    expect(await rollback(2, '/app.conf')).toBe(5);
    expect(await values()).toEqual(['a=x', 'password=******', 'b=1']);
  });

  test('to a release without the file takes the file away', async () => {
    const { values, rollback } = await history();
    await rollback(2);
    expect(await rollback(3, '/b.conf')).toBe(5);
    expect(await values(release(5))).toEqual(['a=x', 'password=******']);
  });

  test('that changes nothing, or nothing that there is, is refused', async () => {
    const { rollback } = await history();
    const [same, unknown, future, zero] = await refusals([
      rollback(3),
      rollback(1, '/no.conf'),
      rollback(9),
      rollback(0),
    ]);
    expect(same).toMatchObject({ code: 'INVALID', message: 'nothing differs from release 3' });
    expect(unknown).toMatchObject({ code: 'NOT_FOUND' });
    expect(future).toMatchObject({ code: 'NOT_FOUND' });
    expect(zero).toMatchObject({ code: 'NOT_FOUND' });
  });

  test('of one file is refused where the rest cannot do without it', async () => {
    const { store, publish, rollback } = await stage((await place()).backend);
    await publish([set('a', '1')]);
    await publish([set('b', '1', '', '/base.conf')]);
    const parent = { file: '/app.conf', parent: '/base.conf' };
    await publish([{ operation: { $case: 'setParent', value: parent } }]);
    await expect(rollback(1, '/base.conf')).rejects.toMatchObject({ code: 'INVALID' });
    const direct = publishing({ expectedRelease: 3, operations: [removeFile('/base.conf')] });
    await expect(store.publish(direct, { name: 'ann', from: '' })).rejects.toMatchObject({
      code: 'INVALID',
    });
  });
});
