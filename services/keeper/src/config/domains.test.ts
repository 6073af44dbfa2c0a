import { expect, test } from 'vitest';
import { describeBackends } from '../backends.suite.js';
import { ANN, BOB, refusals, set, stage } from './store.suite.js';

const SETTINGS = { system: 'shop-team', description: 'The shop', fourEyes: false, history: 5 };

describeBackends('a domain', (place) => {
  test('is made once, and its settings are compared and set', async () => {
    const { store } = await stage((await place()).backend);
    const put = (settingsRevision: number, by = ANN, settings = SETTINGS) =>
      store.putDomain({ domain: 'pay', settings, settingsRevision }, by);
    expect(await put(0)).toMatchObject({ name: 'pay', settings: SETTINGS, settingsRevision: 1 });
    await expect(put(0, BOB)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: 'there is a domain pay already',
    });
    expect(await put(1, BOB, { ...SETTINGS, history: 7 })).toMatchObject({ settingsRevision: 2 });
    await expect(put(1)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringMatching(/^settings revision 2 by bob at .*Z came first; you saw 1$/),
    });
    const { entries } = await store.listAudit({ domain: 'pay', cursor: '', limit: 1 });
    expect(entries[0]?.note).toBe(
      'system shop-team, four eyes off, history 7; before: system shop-team, four eyes off, history 5',
    );
    expect(store.listDomains().map(({ name }) => name)).toEqual(['pay', 'shop']);
  });

  test('that two make at the same moment is made by one of them', async () => {
    const here = await place();
    const [one, two] = [await stage(here.backend), await stage(await here.another())];
    const outcomes = await Promise.allSettled(
      [one, two].map(({ store }) =>
        store.putDomain({ domain: 'pay', settings: SETTINGS, settingsRevision: 0 }, ANN),
      ),
    );
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    await Promise.all([one, two].map(({ store }) => store.ensureDomain('pay', {}, ANN)));
    expect(one.store.getDomain('pay')).toMatchObject({ settingsRevision: 1 });
  });

  test('that the bus needs cannot be deleted', async () => {
    const { store } = await stage((await place()).backend);
    const own = ['malabar', 'malabar.people'];
    for (const domain of own) await store.ensureDomain(domain, {}, ANN);
    const gone = own.map((domain) => store.deleteDomain({ domain, expectedRelease: 0 }, ANN));
    for (const error of await refusals(gone)) expect(error.code).toBe('INVALID');
  });

  test('that is gone is gone at every keeper, and its listeners hear of it', async () => {
    const here = await place();
    const [one, two] = [await stage(here.backend), await stage(await here.another())];
    await one.publish([set('a', '1')]);
    const heard: string[] = [];
    two.store.onChange((domain) => heard.push(domain));
    await expect.poll(() => two.store.getDomain('shop').release).toBe(1);
    await one.store.deleteDomain({ domain: 'shop', expectedRelease: 1 }, ANN);
    await expect.poll(() => two.store.domains.has('shop')).toBe(false);
    expect(heard.at(-1)).toBe('shop');
    expect(two.store.offeredRelease('shop', { id: 'a', tags: {} })).toBe(0);
  });
});
