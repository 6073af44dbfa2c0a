import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sync } from '@malabar/contracts';
import { connectKeeper } from '@malabar/keeper-client';
import { bind, local } from '@malabar/rpc';
import {
  cuttingProxy,
  eventually,
  FakeClock,
  freePort,
  seededRandom,
  tempDir,
} from '@malabar/testkit';
import { expect, onTestFinished, test } from 'vitest';
import { describeBackends } from '../backends.suite.js';
import { ANN, remove, set } from '../config/store.suite.js';
import { createSyncService } from './service.js';
import { type ClientNodeOptions, clientNode, type Keeper, keeper } from './sync.suite.js';

const following = ({ address }: Keeper): ClientNodeOptions => ({ addresses: [address] });

describeBackends('a program', (place) => {
  test('takes every release over and says so', async () => {
    const shop = await keeper((await place()).backend);
    await shop.publish([set('a', '1'), set('n', '3', 'int')]);
    const { client, seen } = clientNode('n', { ...following(shop), tags: { env: 'x' } });
    await client.ready();
    await shop.publish([set('a', '2')]);
    await eventually(() => expect(seen).toEqual(['1', '2']));
    const runs = {
      id: 'n',
      release: 2,
      tags: { env: 'x' },
      client: expect.stringMatching(/^malabar/),
    };
    await eventually(() => expect(shop.hub.nodes('shop')).toMatchObject([runs]));
  });

  test('works the same over a client of its own process', async () => {
    const shop = await keeper((await place()).backend);
    await shop.publish([set('a', '1')]);
    const binding = bind(sync.SyncServiceDefinition, createSyncService(shop.hub));
    const remote = connectKeeper({ addresses: [shop.address] });
    const services = { ...remote, sync: local<sync.SyncServiceDefinition>(binding) };
    const { client, seen } = clientNode('n', { services });
    await client.ready();
    await shop.publish([set('a', '2')]);
    await eventually(() => expect(seen).toEqual(['1', '2']));
    expect(shop.hub.nodes('shop')).toMatchObject([{ peer: 'local' }]);
    await client.close();
    await eventually(() => expect(shop.hub.size).toBe(0));
  });

  test('refuses a release whose callback throws, goes on as before, and takes the next', async () => {
    const shop = await keeper((await place()).backend);
    await shop.publish([set('a', '1')]);
    const onChange = (value: string): void => {
      if (value === '2') throw new Error('two is one too many');
    };
    const { client, seen, current } = clientNode('n', { ...following(shop), onChange });
    await client.ready();
    await shop.publish([set('a', '2')]);
    const refusal = 'two is one too many';
    await eventually(() => expect(shop.hub.nodes('shop')).toMatchObject([{ release: 1, refusal }]));
    expect(current()).toBe('1');
    await shop.publish([set('a', '3')]);
    await eventually(() =>
      expect(shop.hub.nodes('shop')).toMatchObject([{ release: 3, refusal: '' }]),
    );
    expect(seen).toEqual(['1', '3']);
  });

  test('that is busy with a release gets only the newest of those that come meanwhile', async () => {
    const shop = await keeper((await place()).backend);
    await shop.publish([set('a', '0')]);
    let go = (): void => {};
    const onChange = (value: string): Promise<void> | undefined =>
      value === '1' ? new Promise((resolve) => (go = resolve)) : undefined;
    const slow = clientNode('slow', { ...following(shop), onChange });
    const quick = clientNode('quick', following(shop));
    await slow.client.ready();
    await eventually(() => expect(shop.hub.nodes('shop').map((n) => n.release)).toEqual([1, 1]));
    for (let at = 1; at <= 50; at++) await shop.publish([set('a', String(at))]);
    await eventually(() => expect(quick.current()).toBe('50'));
    expect(slow.seen).toEqual(['0']);
    go();
    await eventually(() => expect(slow.seen).toEqual(['0', '1', '50']));
  });

  test('behind a network that stands still holds nobody up, and ends with the newest', async () => {
    const shop = await keeper((await place()).backend);
    await shop.publish([set('a', '0')]);
    const proxy = await cuttingProxy(shop);
    onTestFinished(() => proxy.stop());
    const slow = clientNode('slow', { addresses: [proxy.address] });
    const quick = clientNode('quick', following(shop));
    await eventually(() => expect(shop.hub.nodes('shop').map((n) => n.release)).toEqual([1, 1]));
    proxy.cut();
    for (let at = 1; at <= 200; at++) await shop.publish([set('a', String(at))]);
    await eventually(() => expect(quick.current()).toBe('200'));
    proxy.heal();
    await eventually(() => expect(slow.seen).toEqual(['0', '1', '200']));
  });

  test('gets a content that is too large for a notice', async () => {
    const shop = await keeper((await place()).backend);
    const large = 'x'.repeat(1024 * 1024);
    await shop.publish([set('a', large)]);
    const { client, current } = clientNode('n', following(shop));
    await client.ready();
    expect(current()).toHaveLength(large.length);
    await shop.publish([set('b', '1')]);
    await eventually(() => expect(shop.hub.nodes('shop')).toMatchObject([{ release: 2 }]));
  });

  test('subscribes to a further domain while it runs', async () => {
    const shop = await keeper((await place()).backend);
    await shop.publish([set('a', '1')]);
    await shop.store.ensureDomain('bank', {}, ANN);
    await shop.publish([set('b', '2')], { domain: 'bank', expectedRelease: 0 });
    const { client } = clientNode('n', following(shop));
    await client.ready();
    const bank = client.config.subscribe({ domain: 'bank', subscriptions: ['/app.conf'] });
    expect((await bank.ready).string('app', 'b')).toBe('2');
    expect(() => client.config.subscribe({ domain: 'bank', subscriptions: [] })).toThrow(/already/);
    await eventually(() => expect(shop.hub.nodes('')).toMatchObject([{ id: 'n' }, { id: 'n' }]));
  });

  test('waits for a domain that is not there yet, and says so once', async () => {
    const shop = await keeper((await place()).backend);
    const { client, logs } = clientNode('n', following(shop));
    await eventually(() =>
      expect(logs.filter(({ level }) => level === 'warn')).toMatchObject([
        { fields: { domain: 'shop', code: 'NOT_FOUND', reason: 'domain shop has no release yet' } },
      ]),
    );
    await shop.publish([set('a', '1')]);
    await client.ready();
  });
});

describeBackends('a lost notice', (place) => {
  test('is healed by the next reminder', async () => {
    const clock = new FakeClock();
    const shop = await keeper((await place()).backend, { clock, reconcileMs: 30_000 });
    await shop.publish([set('a', '1')]);
    const services = connectKeeper({ addresses: [shop.address], ownConnection: true });
    let losing = false;
    async function* lossy(...args: Parameters<typeof services.sync.sync>) {
      for await (const response of services.sync.sync(...args)) if (!losing) yield response;
    }
    const { client, seen } = clientNode('n', {
      services: { ...services, sync: { sync: lossy } },
      clock,
    });
    onTestFinished(() => services.close());
    await client.ready();
    losing = true;
    await shop.publish([set('a', '2')]);
    await eventually(async () => {
      expect(await shop.metrics.registry.metrics()).toContain('notices_total{kind="content"} 2');
    });
    losing = false;
    await clock.advance(30_000);
    await eventually(() => expect(seen).toEqual(['1', '2']));
  });
});

describeBackends('a keeper that goes away', (place) => {
  test('is left for another one; the node runs on, and nothing is sent twice', async () => {
    const { backend, another } = await place();
    const one = await keeper(backend);
    await one.publish([set('a', '1')]);
    const two = await keeper(await another(), { keeperId: 'keeper-2' });
    const random = (): number => 0;
    const { client, seen, logs } = clientNode('n', {
      services: connectKeeper({ addresses: [one.address, two.address], random }),
    });
    await client.ready();
    expect(one.hub.size).toBe(1);
    await one.stop();
    await eventually(() => expect(two.hub.nodes('shop')).toMatchObject([{ release: 1 }]));
    await eventually(async () => {
      expect(await two.metrics.registry.metrics()).toContain('notices_total{kind="bare"} 1');
    });
    await two.publish([set('a', '2')]);
    await eventually(() => expect(seen).toEqual(['1', '2']));
    const away = logs.filter(({ message }) => message.includes('is away'));
    expect(away).toMatchObject([{ level: 'warn' }]);
  });

  test('without a word is left when it has been silent for two periods', async () => {
    const { backend, another } = await place();
    const one = await keeper(backend, { reconcileMs: 200 });
    await one.publish([set('a', '1')]);
    const two = await keeper(await another(), { keeperId: 'keeper-2', reconcileMs: 200 });
    const proxy = await cuttingProxy(one);
    onTestFinished(() => proxy.stop());
    const services = connectKeeper({ addresses: [proxy.address, two.address], random: () => 0 });
    const { client, logs } = clientNode('n', { services });
    await client.ready();
    proxy.cut();
    await eventually(() => expect(two.hub.nodes('shop')).toMatchObject([{ release: 1 }]));
    const reasons = logs.map(({ fields }) => fields.reason);
    expect(reasons).toContain('the keeper has said nothing for 400 ms');
  });

  test('is asked for again at a bounded pace, with jitter, by however many nodes', async () => {
    const clock = new FakeClock();
    const shop = await keeper((await place()).backend);
    await shop.publish([set('a', '1')]);
    const { listen, calls } = { listen: shop.address, calls: [] as number[] };
    const random = seededRandom(7);
    const services = connectKeeper({ addresses: [shop.address] });
    const counted = {
      ...services,
      sync: {
        sync: (...args: Parameters<typeof services.sync.sync>) => {
          calls.push(clock.now());
          return services.sync.sync(...args);
        },
      },
    };
    const nodes = Array.from({ length: 50 }, (_, at) =>
      clientNode(`n${at}`, { services: counted, clock, random }),
    );
    await Promise.all(nodes.map(({ client }) => client.ready()));
    await shop.stop();
    calls.length = 0;
    for (let second = 0; second < 60; second++) await clock.advance(1_000);
    expect(calls.length).toBeLessThan(50 * 60);
    expect(new Set(calls).size).toBeGreaterThan(calls.length / 4);
    const again = await keeper((await place()).backend, { listen });
    await again.publish([set('a', '2')], {
      expectedRelease: again.store.getDomain('shop').release,
    });
    const wait = { timeoutMs: 60_000 };
    await eventually(async () => {
      await clock.advance(1_000);
      expect(again.hub.size).toBe(50);
    }, wait);
    services.close();
  });

  test('is no reason not to start: the snapshot is there at once, and corrected later', async () => {
    const { backend } = await place();
    const listen = `127.0.0.1:${await freePort()}`;
    const snapshotFile = join(tempDir('snapshot'), 'node.snapshot');
    const first = await keeper(backend, { listen });
    await first.publish([set('a', '1'), set('password', 'open sesame', 'secret')]);
    const before = clientNode('n', { addresses: [listen], snapshotFile });
    await before.client.ready();
    await before.client.close();
    await first.stop();
    const after = clientNode('n', { addresses: [listen], snapshotFile });
    await after.client.ready();
    expect(after.seen).toEqual(['1']);
    expect(after.logs).toContainEqual(
      expect.objectContaining({
        fields: expect.objectContaining({ source: 'snapshot', release: 1 }),
      }),
    );
    await first.publish([set('a', '2'), remove('password')]);
    await keeper(backend, { listen });
    await eventually(() => expect(after.seen).toEqual(['1', '2']));
    await eventually(() => expect(readFileSync(snapshotFile, 'utf8')).not.toContain('open sesame'));
    expect(statSync(snapshotFile).mode & 0o777).toBe(0o600);
  });
});

describeBackends('a snapshot that cannot be used', (place) => {
  test.each([
    ['is damaged', 'the key', (bytes: Buffer) => bytes.fill(0x41, bytes.length - 10)],
    ['does not open with this key', 'another key', (bytes: Buffer) => bytes],
  ])('because it %s is named, ignored, and replaced', async (reason, key, damage) => {
    const shop = await keeper((await place()).backend);
    await shop.publish([set('a', '1')]);
    const snapshotFile = join(tempDir('snapshot'), 'node.snapshot');
    const before = clientNode('n', { ...following(shop), snapshotFile, snapshotKey: 'the key' });
    await before.client.ready();
    await before.client.close();
    writeFileSync(snapshotFile, damage(readFileSync(snapshotFile)));
    const options = { ...following(shop), snapshotFile, snapshotKey: key };
    const after = clientNode('n', options);
    await after.client.ready();
    await after.client.close();
    const errors = after.logs.filter(({ level }) => level === 'error');
    expect(errors).toMatchObject([
      { message: 'snapshot ignored', fields: { reason: expect.stringContaining(reason) } },
    ]);
    await shop.stop();
    const again = clientNode('n', options);
    await again.client.ready();
    expect(again.seen).toEqual(['1']);
  });
});

describeBackends('an override file', (place) => {
  test("wins over the keeper's values, is seen by who, and can be taken back", async () => {
    const shop = await keeper((await place()).backend);
    await shop.publish([set('a', '1')]);
    const overrideFile = join(tempDir('override'), 'override.yaml');
    writeFileSync(overrideFile, 'shop:\n  app:\n    a: 99\n');
    const clock = new FakeClock();
    const { client, seen } = clientNode('n', { ...following(shop), overrideFile, clock });
    await client.ready();
    const tags = { 'malabar.override': 'app/a' };
    await eventually(async () => {
      await clock.advance(200);
      expect(shop.hub.nodes('shop')).toMatchObject([{ release: 1, tags }]);
    });
    await shop.publish([set('a', '2')]);
    await eventually(async () => {
      await clock.advance(100);
      expect(shop.hub.nodes('shop')).toMatchObject([{ release: 2, tags }]);
    });
    expect(seen).toEqual(['99']);
    writeFileSync(overrideFile, '');
    await eventually(async () => {
      await clock.advance(2_000);
      expect(seen).toEqual(['99', '2']);
    });
    await eventually(() => expect(shop.hub.nodes('shop')).toMatchObject([{ tags: {} }]));
  });
});
