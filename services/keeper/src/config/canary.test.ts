import { config } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { describeBackends } from '../backends.suite.js';
import { isInCanary } from './canary.js';
import { ANN, BOB, CAT, publishing, refusals, release, set, stage } from './store.suite.js';

const TEN_PERCENT = rule({ percent: 10 });

function rule(partial: Partial<config.CanaryRule>): config.CanaryRule {
  return { nodeIds: [], tags: {}, percent: 0, ...partial };
}

function node(partial: Partial<config.Node>): config.Node {
  return config.Node.fromPartial({ domain: 'shop', connected: true, ...partial } as config.Node);
}

const promotion = (force = false) => ({ domain: 'shop', release: 2, force });

describeBackends('a canary', (place) => {
  async function onTrial(canary = rule({ nodeIds: ['a'] })) {
    const all = await stage((await place()).backend);
    await all.publish([set('a', '1')]);
    await all.publish([set('a', '2')], { canary });
    return all;
  }

  test('gets a release that nobody else gets', async () => {
    const { store, values } = await onTrial(
      rule({ nodeIds: ['a'], tags: { env: 'test', az: '1' } }),
    );
    expect(store.getDomain('shop')).toMatchObject({
      release: 1,
      canary: { release: 2, rule: { nodeIds: ['a'] } },
    });
    const offered = (id: string, tags = {}) => store.offeredRelease('shop', { id, tags });
    expect(offered('a')).toBe(2);
    expect(offered('b')).toBe(1);
    expect(offered('b', { env: 'test', az: '1' })).toBe(2);
    expect(offered('b', { env: 'test' })).toBe(1);
    expect(await values()).toEqual(['a=1']);
    expect(await values({ $case: 'canary', value: true })).toEqual(['a=2']);
  });

  test('is promoted once a node runs its release and none refuses it', async () => {
    const { store, values } = await onTrial();
    const nodes = [
      node({ id: 'a', offered: 2, release: 2 }),
      node({ id: 'b', offered: 1, release: 1 }),
    ];
    store.askNodes(async () => ({ nodes, silentKeepers: [] }));
    const { release: made } = await store.promote(promotion(), BOB);
    expect(made).toMatchObject({ number: 2, state: config.ReleaseState.PUBLISHED });
    expect(store.getDomain('shop')).toMatchObject({ release: 2, canary: undefined });
    expect(await values()).toEqual(['a=2']);
  });

  test.each<[string, Partial<config.ListNodesResponse>, RegExp]>([
    [
      'a node refuses it',
      {
        nodes: [
          node({ id: 'a', offered: 2, release: 2 }),
          node({ id: 'c', offered: 2, release: 1, refusal: 'no such host' }),
        ],
      },
      /refused by c \(no such host\)/,
    ],
    [
      'a node has not applied it yet',
      { nodes: [node({ id: 'a', offered: 2, release: 1 })] },
      /not applied yet by a/,
    ],
    [
      'a keeper cannot be asked',
      { nodes: [node({ id: 'a', offered: 2, release: 2 })], silentKeepers: ['k2'] },
      /keepers do not answer: k2/,
    ],
    [
      'the only node of the canary has left',
      { nodes: [node({ id: 'a', offered: 2, release: 2, connected: false })] },
      /no node tries it/,
    ],
  ])('is not promoted while %s, unless forced', async (_, answer, reason) => {
    const { store } = await onTrial();
    store.askNodes(async () => ({ nodes: [], silentKeepers: [], ...answer }));
    await expect(store.promote(promotion(), BOB)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringMatching(reason),
    });
    expect(store.getDomain('shop').release).toBe(1);
    await store.promote(promotion(true), BOB);
    expect(store.getDomain('shop').release).toBe(2);
  });

  test('that is aborted leaves the release in force, and its number is not used again', async () => {
    const { store, publish, rollback } = await onTrial();
    const request = { domain: 'shop', release: 2, note: 'slow' };
    const { release: made } = await store.abort(request, BOB);
    expect(made).toMatchObject({ state: config.ReleaseState.ABORTED });
    expect(store.getDomain('shop')).toMatchObject({
      release: 1,
      canary: undefined,
      draft: undefined,
    });
    await expect(rollback(2)).rejects.toMatchObject({
      code: 'INVALID',
      message: 'release 2 was never given to everybody',
    });
    expect(await publish([set('a', '3')])).toBe(3);
  });

  test('that is aborted gives its draft back', async () => {
    const { store, publish, edit, publishDraft, values } = await stage((await place()).backend);
    await publish([set('a', '1')]);
    await edit([set('a', '2')]);
    await publishDraft(BOB, { canary: TEN_PERCENT });
    expect(store.getDomain('shop').draft).toBeUndefined();
    await store.abort({ domain: 'shop', release: 2, note: '' }, BOB);
    expect(store.getDomain('shop').draft).toMatchObject({ authors: ['ann'], baseRelease: 1 });
    await edit([set('b', '1')]);
    expect(await publishDraft(CAT)).toBe(3);
    expect(await values()).toEqual(['a=2', 'b=1']);
  });

  test('must end before anything else is released', async () => {
    const { store, publish, edit, publishDraft, rollback } = await onTrial();
    await edit([set('b', '1')]);
    const others = [publish([set('b', '1')]), publishDraft(BOB), rollback(1)];
    for (const error of await refusals(others)) {
      expect(error.code).toBe('CONFLICT');
      expect(error.message).toMatch(/release 2 is on trial .*: promote or abort it first/);
    }
    const wrong = { domain: 'shop', release: 1, note: '' };
    await expect(store.abort(wrong, ANN)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: 'release 1 is not on trial: release 2 is',
    });
  });

  test('has a rule that says whom it is for, within bounds', async () => {
    const { publish } = await stage((await place()).backend);
    const many = Array.from({ length: 1_001 }, (_, i) => `n${i}`);
    const rules = [
      {},
      { percent: 101 },
      { percent: Number.NaN },
      { nodeIds: many },
      { nodeIds: ['x'.repeat(300)] },
    ];
    const refused = rules.map((one) => publish([set('a', '1')], { canary: rule(one) }));
    for (const error of await refusals(refused)) expect(error.code).toMatch(/INVALID|TOO_LARGE/);
  });

  test('is shown whom it would reach', async () => {
    const { store, publish } = await stage((await place()).backend);
    await publish([set('a', '1')]);
    const nodes = [
      node({ id: 'a' }),
      node({ id: 'b', tags: { env: 'test' } }),
      node({ id: 'c', connected: false }),
    ];
    store.askNodes(async () => ({ nodes, silentKeepers: [] }));
    const reached = async (canary?: config.CanaryRule) =>
      (await store.validate({ domain: 'shop', operations: [set('a', '2')], canary }))
        .reachedNodeIds;
    expect(await reached()).toEqual(['a', 'b']);
    expect(await reached(rule({ tags: { env: 'test' } }))).toEqual(['b']);
    expect(await reached(rule({ nodeIds: ['a', 'c'] }))).toEqual(['a']);
  });
});

describeBackends('four eyes', (place) => {
  const fourEyes = async () => stage((await place()).backend, { settings: { fourEyes: true } });

  test('let nobody publish what he has edited himself', async () => {
    const { edit, publishDraft } = await fourEyes();
    await edit([set('a', '1')], ANN);
    await edit([set('b', '1')], BOB);
    for (const editor of [ANN, BOB]) {
      await expect(publishDraft(editor)).rejects.toMatchObject({
        code: 'FORBIDDEN',
        message: expect.stringContaining(`${editor.name} has edited this`),
      });
    }
    expect(await publishDraft(CAT)).toBe(1);
  });

  test('let nobody publish past the draft', async () => {
    const { store } = await fourEyes();
    const direct = publishing({ operations: [set('a', '1')] });
    await expect(store.publish(direct, ANN)).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });

  test('look at a promotion as well', async () => {
    const { store, edit, publishDraft } = await fourEyes();
    await edit([set('a', '1')]);
    await publishDraft(BOB);
    await edit([set('a', '2')]);
    await publishDraft(BOB, { canary: TEN_PERCENT });
    await expect(store.promote(promotion(true), ANN)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await store.promote(promotion(true), BOB);
    expect(store.getDomain('shop').release).toBe(2);
  });

  test('need not look again at what they have released once', async () => {
    const { edit, publishDraft, rollback, values } = await fourEyes();
    await edit([set('a', '1')]);
    await publishDraft(BOB);
    await edit([set('a', '2')]);
    await publishDraft(BOB);
    expect(await rollback(1)).toBe(3);
    expect(await values(release(3))).toEqual(['a=1']);
  });
});

test('a percentage takes that part of all nodes, and others for the next release', () => {
  const ids = Array.from({ length: 5_000 }, (_, i) => `10.0.${i >> 8}.${i & 255}:80`);
  const chosen = (number: number, percent: number) =>
    new Set(ids.filter((id) => isInCanary(rule({ percent }), number, { id, tags: {} })));
  const ten = chosen(7, 10);
  expect(ten.size).toBeGreaterThan(400);
  expect(ten.size).toBeLessThan(600);
  expect(chosen(7, 10)).toEqual(ten);
  const twenty = chosen(7, 20);
  expect([...ten].every((id) => twenty.has(id))).toBe(true);
  expect([...chosen(8, 10)].filter((id) => ten.has(id)).length).toBeLessThan(150);
  expect(chosen(7, 0).size).toBe(0);
  expect(chosen(7, 100).size).toBe(ids.length);
});
