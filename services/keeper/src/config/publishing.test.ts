import { expect, test } from 'vitest';
import { describeBackends } from '../backends.suite.js';
import {
  ANN,
  BOB,
  CAT,
  DRAFT,
  publishing,
  refusals,
  release,
  remove,
  removeFile,
  set,
  stage,
} from './store.suite.js';

describeBackends('the release store', (place) => {
  test('a draft is edited, looked at and published as one release', async () => {
    const { store, edit, publishDraft, values } = await stage((await place()).backend);
    await edit([set('timeout', '3', 'int'), set('hosts', 'a,b', '[]string')]);
    await edit([set('timeout', '5')], BOB);
    expect(store.getDomain('shop')).toMatchObject({
      release: 0,
      draft: { revision: 2, baseRelease: 0, authors: ['ann', 'bob'] },
    });
    expect(await values(DRAFT)).toEqual(['hosts=a,b', 'timeout=5']);
    const diff = await store.diff({ domain: 'shop', from: undefined, to: { state: DRAFT } });
    expect(diff.map(({ key, after }) => [key, after?.raw])).toEqual([
      ['hosts', 'a,b'],
      ['timeout', '5'],
    ]);
    expect(await publishDraft(CAT, { note: 'first' })).toBe(1);
    expect(store.getDomain('shop')).toMatchObject({ release: 1, draft: undefined, nextRelease: 2 });
    const [made] = await store.listReleases({ domain: 'shop', before: 0, limit: 0 });
    expect(made).toMatchObject({
      number: 1,
      author: 'cat',
      editors: ['ann', 'bob'],
      note: 'first',
      keys: 2,
      files: 1,
    });
  });

  test('operations are published at once, whatever the draft is', async () => {
    const { store, publish, edit, values } = await stage((await place()).backend);
    await publish([set('a', '1')]);
    await edit([set('b', '2')]);
    expect(await publish([set('a', '3')])).toBe(2);
    expect(await values()).toEqual(['a=3']);
    expect(store.getDomain('shop').draft).toMatchObject({ baseRelease: 1 });
  });

  test('a batch with one fault changes nothing, and every fault is named', async () => {
    const { store, publish, edit } = await stage((await place()).backend);
    await publish([set('a', '1', 'int')]);
    const bad = [set('b', '2'), set('a', 'soon'), remove('c'), removeFile('/no.conf')];
    for (const error of await refusals([publish(bad), edit(bad)])) {
      expect(error).toMatchObject({ code: 'INVALID' });
      expect(error.message).toMatch(/a: "soon" is not an int/);
      expect(error.message).toMatch(/c: there is no such key/);
      expect(error.message).toMatch(/\/no\.conf: there is no such file/);
    }
    expect(store.getDomain('shop')).toMatchObject({ release: 1, nextRelease: 2, draft: undefined });
  });

  test('who has seen an older release loses the race and hears who was first', async () => {
    const { store, publish, rollback } = await stage((await place()).backend);
    await publish([set('a', '1')]);
    await publish([set('a', '2')]);
    const stale = publishing({ expectedRelease: 1, operations: [set('a', '3')] });
    const first = /^release 2 by ann at \d{4}-\d\d-\d\dT.*Z came first; you saw 1$/;
    await expect(store.publish(stale, BOB)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringMatching(first),
    });
    const back = { domain: 'shop', toRelease: 1, path: '', expectedRelease: 1, note: '' };
    await expect(store.rollback(back, BOB)).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await rollback(1)).toBe(3);
  });

  test('who has seen an older draft loses the race and hears who was first', async () => {
    const { store, edit, publishDraft } = await stage((await place()).backend);
    await edit([set('a', '1')]);
    await edit([set('a', '2')], BOB);
    const stale = { domain: 'shop', operations: [set('a', '3')], draftRevision: 1, baseRelease: 0 };
    const first = /^draft revision 2 by bob at .* came first; you saw 1$/;
    const late = [
      store.editDraft(stale, CAT),
      store.discardDraft({ domain: 'shop', draftRevision: 1 }, CAT),
      store.publish(publishing({ draftRevision: 1 }), CAT),
    ];
    for (const error of await refusals(late)) {
      expect(error).toMatchObject({ code: 'CONFLICT', message: expect.stringMatching(first) });
    }
    await publishDraft(CAT);
    await expect(store.editDraft({ ...stale, draftRevision: 2 }, CAT)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: 'the draft was published or discarded; you saw its revision 2',
    });
  });

  test('a discarded draft is gone, and its revision is never used again', async () => {
    const { store, edit } = await stage((await place()).backend);
    await edit([set('a', '1')]);
    await store.discardDraft({ domain: 'shop', draftRevision: 1 }, ANN);
    expect(store.getDomain('shop').draft).toBeUndefined();
    expect(await edit([set('a', '2')])).toMatchObject({ revision: 2 });
  });

  test('a draft that a release has overtaken takes it over before it is published', async () => {
    const { store, publish, edit, publishDraft, values } = await stage((await place()).backend);
    await publish([set('a', '1'), set('b', '1'), set('c', '1')]);
    await edit([set('a', '2'), remove('c')], BOB);
    await publish([set('b', '2'), set('d', '1', '', '/other.conf')]);
    await expect(publishDraft(CAT)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringMatching(/release 2 by ann .* made from release 1: edit it with base/),
    });
    expect(await edit([])).toMatchObject({ baseRelease: 2, authors: ['bob', 'ann'] });
    expect(await publishDraft(CAT)).toBe(3);
    expect(await values()).toEqual(['a=2', 'b=2', 'd=1']);
    expect(store.getDomain('shop').draft).toBeUndefined();
  });

  test('a draft that changes what a release has changed does not take it over', async () => {
    const { publish, edit } = await stage((await place()).backend);
    await publish([set('a', '1')]);
    await edit([set('a', '2')], BOB);
    await publish([set('a', '3')]);
    await expect(edit([])).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringMatching(
        /release 2 by ann .*changes the same: \/app\.conf \[DEFAULT\] a/,
      ),
    });
  });

  test('what is in force already makes no release', async () => {
    const { store, publish, edit, publishDraft } = await stage((await place()).backend);
    await publish([set('a', '1')]);
    const again = publishing({ expectedRelease: 1, operations: [set('a', '1')] });
    expect(await store.publish(again, BOB)).toMatchObject({
      release: { number: 1, author: 'ann' },
      warnings: [{ message: 'nothing differs from release 1' }],
    });
    await edit([set('a', '1')]);
    await expect(publishDraft(BOB)).rejects.toMatchObject({ code: 'INVALID' });
    expect(store.getDomain('shop').nextRelease).toBe(2);
  });

  test('a draft may be wrong while it is edited, but not published', async () => {
    const { store, edit, publishDraft } = await stage((await place()).backend);
    const orphan = {
      operation: { $case: 'setParent', value: { file: '/app.conf', parent: '/base.conf' } },
    } as const;
    await edit([set('a', '1'), orphan]);
    const missing = /\/app\.conf parent: the parent \/base\.conf is not a file of this domain/;
    const seen = await store.validate({ domain: 'shop', operations: [], canary: undefined });
    expect(seen.faults).toMatchObject([{ file: '/app.conf', key: 'parent' }]);
    expect(seen.changes).toHaveLength(2);
    await expect(publishDraft(BOB)).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringMatching(missing),
    });
    await edit([set('b', '1', '', '/base.conf')]);
    expect(await publishDraft(BOB)).toBe(1);
  });

  test('an added rule refuses a release of its domain, and no other', async () => {
    const { store, publish } = await stage((await place()).backend);
    const fault = { file: '/app.conf', section: 'DEFAULT', key: 'a', line: 0, message: 'too much' };
    store.addValidator('shop', (files) => (files.length > 1 ? [fault] : []));
    await store.ensureDomain('other', {}, ANN);
    const two = [set('a', '1'), set('b', '1', '', '/b.conf')];
    await expect(publish(two)).rejects.toMatchObject({
      code: 'INVALID',
      message: '/app.conf [DEFAULT] a: too much',
    });
    expect(await publish([set('a', '1')])).toBe(1);
    const elsewhere = publishing({ domain: 'other', operations: two });
    expect(await store.publish(elsewhere, ANN)).toMatchObject({ release: { number: 1 } });
  });

  test('a listener hears of a release once the view has it, and not of drafts', async () => {
    const { store, publish, edit } = await stage((await place()).backend);
    const heard: number[] = [];
    const stop = store.onChange((domain) => heard.push(store.getDomain(domain).release));
    await edit([set('b', '1')]);
    await publish([set('a', '1')]);
    await publish([set('a', '2')]);
    stop();
    await publish([set('a', '3')]);
    expect(heard).toEqual([1, 2]);
  });

  test('another keeper sees a release and reads its content', async () => {
    const here = await place();
    const one = await stage(here.backend);
    const two = await stage(await here.another());
    await one.publish([set('a', '1')]);
    await expect.poll(() => two.store.getDomain('shop').release).toBe(1);
    expect(await two.values(release(1))).toEqual(['a=1']);
  });

  test('what is not there is said to be not there', async () => {
    const { store, values, rollback, publish } = await stage((await place()).backend);
    await publish([set('a', '1')]);
    const missing = [
      values(release(7)),
      values(DRAFT),
      values({ $case: 'canary', value: true }),
      values(undefined, '/no.conf'),
      rollback(7),
      store.publish(publishing({ domain: 'no', operations: [set('a', '1')] }), ANN),
    ];
    for (const error of await refusals(missing)) expect(error.code).toBe('NOT_FOUND');
    expect(await values({ $case: 'empty', value: true })).toEqual([]);
  });
});
