import { config } from '@malabar/contracts';
import { bind, connect, serve } from '@malabar/rpc';
import { eventually, FakeClock, logToMemory } from '@malabar/testkit';
import { expect, onTestFinished, test } from 'vitest';
import { describeBackends } from '../backends.suite.js';
import { createConfigService } from '../config/service.js';
import { ANN, set } from '../config/store.suite.js';
import { listNodes, type Peer } from './node-list.js';
import { asking, type Keeper, keeper, welcomed } from './sync.suite.js';

describeBackends('who', (place) => {
  test('shows what a node is, what it runs and since when', async () => {
    const clock = new FakeClock();
    const shop = await keeper((await place()).backend, { clock });
    await shop.publish([set('a', '1')]);
    const connectedAtMs = clock.now();
    const about = {
      component: 'till',
      hostname: 'h1',
      zone: 'a',
      client: 'test/1',
      tags: { env: 'x' },
    };
    const node = await welcomed(shop, 'n', about);
    await node.hear('notice');
    expect(shop.hub.nodes('shop')).toEqual([
      {
        ...about,
        id: 'n',
        domain: 'shop',
        keeperId: 'keeper-1',
        peer: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
        connectedAtMs,
        subscriptions: asking().subscriptions,
        release: 0,
        sinceMs: connectedAtMs,
        offered: 1,
        refusal: '',
        connected: true,
      },
    ]);
    await clock.advance(5_000);
    node.report(1);
    const runs = { release: 1, sinceMs: connectedAtMs + 5_000, offered: 1 };
    await eventually(() => expect(shop.hub.nodes('shop')).toMatchObject([runs]));
    expect(shop.hub.nodes('bank')).toEqual([]);
  });

  test('shows who refused what it is offered, and why, until it is offered something else', async () => {
    const shop = await keeper((await place()).backend);
    await shop.publish([set('a', '1')]);
    const node = await welcomed(shop, 'n');
    await node.hear('notice');
    node.report(1);
    await eventually(() => expect(shop.hub.nodes('shop')).toMatchObject([{ release: 1 }]));
    await shop.publish([set('a', '2')]);
    await node.hear('notice');
    node.report(2, `no ${'x'.repeat(2_000)}`);
    await eventually(() =>
      expect(shop.hub.nodes('shop')).toMatchObject([
        { release: 1, offered: 2, refusal: `no ${'x'.repeat(997)}` },
      ]),
    );
    await shop.rollback(1);
    expect(await node.hear('notice')).toMatchObject({ release: 3, config: undefined });
    expect(shop.hub.nodes('shop')).toMatchObject([{ release: 1, offered: 3, refusal: '' }]);
    const text = await shop.metrics.registry.metrics();
    expect(text).toContain('malabar_keeper_refusals_total 1');
    expect(text).toContain('malabar_keeper_nodes 1');
    expect(text).toContain('malabar_keeper_notices_total{kind="bare"} 1');
    expect(text).toContain('malabar_keeper_push_seconds_count 2');
  });

  test('sees a node leave at once, and forgets it after an hour', async () => {
    const clock = new FakeClock();
    const shop = await keeper((await place()).backend, { clock });
    await shop.publish([set('a', '1')]);
    const node = await welcomed(shop, 'n');
    await node.hear('notice');
    node.close();
    await eventually(() => expect(shop.hub.nodes('shop')).toMatchObject([{ connected: false }]));
    expect(shop.hub.size).toBe(0);
    const back = await welcomed(shop, 'n');
    await back.hear('notice');
    expect(shop.hub.nodes('shop')).toMatchObject([{ connected: true }]);
    back.close();
    await eventually(() => expect(shop.hub.size).toBe(0));
    await clock.advance(60 * 60_000 - 1);
    expect(shop.hub.nodes('shop')).toHaveLength(1);
    await clock.advance(1);
    expect(shop.hub.nodes('shop')).toEqual([]);
  });

  test('asks all keepers, and names those that do not answer', async () => {
    const { backend, another } = await place();
    const here = await keeper(backend);
    const there = await keeper(await another(), { keeperId: 'keeper-2' });
    await here.publish([set('a', '1')]);
    await eventually(() => expect(there.store.getDomain('shop').release).toBe(1));
    for (const id of ['b', 'moves']) await (await welcomed(here, id)).hear('notice');
    (await welcomed(there, 'a')).hear('notice');
    await eventually(() => expect(there.hub.nodes('shop')).toHaveLength(1));
    const peers = [await peer(there), { ...(await peer(there)), keeperId: 'keeper-3' }];
    await peers[1]?.stop();
    const all = { here: (domain: string) => here.hub.nodes(domain), peers: async () => peers };
    const listed = await listNodes(all, { domain: 'shop', onlyHere: false });
    expect(listed.nodes).toMatchObject([
      { id: 'a', keeperId: 'keeper-2' },
      { id: 'b', keeperId: 'keeper-1' },
      { id: 'moves', keeperId: 'keeper-1' },
    ]);
    expect(listed.silentKeepers).toEqual(['keeper-3']);
    const alone = await listNodes(all, { domain: '', onlyHere: true });
    expect(alone.nodes.map(({ id }) => id)).toEqual(['b', 'moves']);
    const blind = { ...all, peers: () => Promise.reject(new Error('no discovery')) };
    const { silentKeepers } = await listNodes(blind, { domain: 'shop', onlyHere: false });
    expect(silentKeepers).toEqual(['all others: discovery does not answer']);
  });

  test('shows a node that has gone to another keeper there only', async () => {
    const { backend, another } = await place();
    const here = await keeper(backend);
    const there = await keeper(await another(), { keeperId: 'keeper-2' });
    await here.publish([set('a', '1')]);
    await eventually(() => expect(there.store.getDomain('shop').release).toBe(1));
    const before = await welcomed(here, 'n');
    await before.hear('notice');
    before.close();
    await eventually(() => expect(here.hub.size).toBe(0));
    const peers = [await peer(there)];
    const all = { here: (domain: string) => here.hub.nodes(domain), peers: async () => peers };
    const list = async () => (await listNodes(all, { domain: 'shop', onlyHere: false })).nodes;
    expect(await list()).toMatchObject([{ keeperId: 'keeper-1', connected: false }]);
    await (await welcomed(there, 'n')).hear('notice');
    expect(await list()).toMatchObject([{ keeperId: 'keeper-2', connected: true }]);
  });
});

describeBackends('a promotion', (place) => {
  test('is refused while a node of the canary refuses its release', async () => {
    const shop = await keeper((await place()).backend);
    shop.store.askNodes(async ({ domain }) => ({
      nodes: shop.hub.nodes(domain),
      silentKeepers: [],
    }));
    await shop.publish([set('a', '1')]);
    const node = await welcomed(shop, 'n');
    await node.hear('notice');
    node.report(1);
    await shop.publish([set('a', '2')], { canary: { nodeIds: ['n'], tags: {}, percent: 0 } });
    await node.hear('notice');
    node.report(2, 'the port is taken');
    await eventually(() =>
      expect(shop.hub.nodes('shop')).toMatchObject([{ refusal: 'the port is taken' }]),
    );
    const promotion = { domain: 'shop', release: 2, force: false };
    await expect(shop.store.promote(promotion, ANN)).rejects.toThrow('the port is taken');
    node.report(2);
    await eventually(() => expect(shop.hub.nodes('shop')).toMatchObject([{ release: 2 }]));
    await shop.store.promote(promotion, ANN);
    expect(shop.store.getDomain('shop')).toMatchObject({ release: 2 });
  });
});

/** What another keeper is to the one that asks. */
async function peer({ hub, store }: Keeper): Promise<Peer & { stop(): Promise<void> }> {
  const service = {
    ...createConfigService(store, () => ANN),
    listNodes: async ({ domain }: config.ListNodesRequest) => ({
      nodes: hub.nodes(domain),
      silentKeepers: [],
    }),
  };
  const bindings = [bind(config.ConfigServiceDefinition, service)];
  const server = await serve({ listen: '127.0.0.1:0', bindings, log: logToMemory().log });
  const client = connect(config.ConfigServiceDefinition, { address: server.address });
  const stop = async (): Promise<void> => {
    client.close();
    await server.close();
  };
  onTestFinished(stop);
  return { keeperId: hub.keeperId, config: client, stop };
}
