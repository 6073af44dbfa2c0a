import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { discovery, metrics } from '@malabar/contracts';
import { systemClock } from '@malabar/core';
import {
  connectKeeper,
  DiscoveryClient,
  type DiscoveryClientOptions,
} from '@malabar/keeper-client';
import { bind, connect, type RpcServer, registerScheme, serve } from '@malabar/rpc';
import { eventually, logToMemory, seededRandom, tempDir } from '@malabar/testkit';
import { expect, onTestFinished, test } from 'vitest';
import { describeBackends } from '../backends.suite.js';
import type { Discovery } from './discovery.js';
import { instance, policyFile, shown, stage } from './discovery.suite.js';
import { createDiscoveryService } from './service.js';

/** A keeper's discovery where clients reach it. */
async function serveKeeper(heart: Discovery, listen = '127.0.0.1:0'): Promise<RpcServer> {
  const service = createDiscoveryService(heart);
  const bindings = [bind(discovery.DiscoveryServiceDefinition, service)];
  const server = await serve({ listen, bindings, log: logToMemory().log });
  onTestFinished(() => server.close());
  return server;
}

function clientOf(
  servers: ReadonlyArray<{ address: string }>,
  options: Partial<DiscoveryClientOptions> = {},
) {
  const { log, entries } = logToMemory();
  const addresses = servers.map(({ address }) => address);
  const random = seededRandom(1);
  const remote = connectKeeper({ addresses, random });
  const common = { client: remote.discovery, zone: '', env: '', clock: systemClock, random, log };
  const client = new DiscoveryClient({ ...common, ...options });
  onTestFinished(async () => {
    await client.close();
    remote.close();
  });
  return Object.assign(client, { entries });
}

/** What a client knows of `shop`, as it hears of it. */
function follow(client: DiscoveryClient): string[][] {
  const heard: string[][] = [];
  client.watch('shop', ({ instances }) => heard.push(instances.map(({ id }) => id)));
  return heard;
}

const { MetricsServiceDefinition } = metrics;

const answerOf = (id: string) => ({
  processes: [{ instanceId: id, services: [], text: '', error: '' }],
});

/** A server of another contract that answers with its id, and its registration. */
async function runShop(client: DiscoveryClient, id: string) {
  const implementation = { gather: async () => answerOf(id) };
  const bindings = [bind(MetricsServiceDefinition, implementation)];
  const server = await serve({ listen: '127.0.0.1:0', bindings, log: logToMemory().log });
  onTestFinished(() => server.close());
  const addresses = { grpc: server.address, http: `${id}.example:80` };
  const registration = client.register([{ id, service: 'shop', addresses }]);
  return {
    server,
    async stop() {
      await registration.stop();
      await server.drain(1_000);
    },
  };
}

/** Who answers, of so many calls. */
async function answers(
  call: () => Promise<metrics.GatherResponse>,
  count: number,
): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (let at = 0; at < count; at++) {
    const id = (await call()).processes[0]?.instanceId ?? '';
    counts[id] = (counts[id] ?? 0) + 1;
  }
  return counts;
}

describeBackends('a program', (place) => {
  test('is registered with what its client knows, and leaves when it stops', async () => {
    const { keeper } = await stage(await place());
    const client = clientOf([await serveKeeper(keeper)], { zone: 'east', env: 'prod' });
    const addresses = { http: 'a:80' };
    const registration = client.register([{ id: 'a', service: 'shop', addresses }]);
    await eventually(() => expect(shown(keeper, 'prod')).toEqual(['a']));
    expect(keeper.catalog.resolve(['shop'], 'prod')[0]?.instances).toMatchObject([
      { zone: 'east', env: 'prod', addresses, hostname: expect.stringMatching(/./) },
    ]);
    await registration.stop();
    expect(shown(keeper, 'prod')).toEqual([]);
    client.register([{ id: 'b', service: 'shop', addresses }]);
    await eventually(() => expect(shown(keeper, 'prod')).toEqual(['b']));
    await client.close();
    expect(shown(keeper, 'prod')).toEqual([]);
  });

  test('is registered anew when its instance was lost', async () => {
    const { keeper } = await stage(await place());
    const client = clientOf([await serveKeeper(keeper)]);
    client.register([{ id: 'a', service: 'shop', addresses: { http: 'a:80' } }], { ttlMs: 1_000 });
    await eventually(() => expect(shown(keeper)).toEqual(['a']));
    await keeper.registrar.deregister([{ service: 'shop', id: 'a' }]);
    await eventually(() => expect(shown(keeper)).toEqual(['a']));
  });

  test('moves to another keeper when its own stops', async () => {
    const { keeper, another } = await stage(await place());
    const second = await another();
    const servers = [await serveKeeper(keeper), await serveKeeper(second)];
    const client = clientOf(servers);
    const heard = follow(client);
    client.register([{ id: 'a', service: 'shop', addresses: { http: 'a:80' } }], { ttlMs: 1_000 });
    await eventually(() => expect(heard.at(-1)).toEqual(['a']));
    await servers[0]?.close();
    await second.registrar.register([instance('b')], 60_000);
    await eventually(() => expect(heard.at(-1)).toContain('b'));
    await servers[1]?.close();
    await serveKeeper(keeper, servers[0]?.address);
    await keeper.registrar.register([instance('c')], 60_000);
    await eventually(() => expect(heard.at(-1)).toContain('c'));
  });

  test('keeps to what it knows while no keeper answers, and says so once', async () => {
    const { keeper } = await stage(await place());
    const server = await serveKeeper(keeper);
    await keeper.registrar.register([instance('a')], 60_000);
    const client = clientOf([server]);
    const heard = follow(client);
    await eventually(() => expect(heard).toEqual([['a']]));
    await server.close();
    await eventually(() => expect(client.entries).toHaveLength(1));
    expect(await client.pick('shop', { scheme: 'grpc' })).toMatchObject({ id: 'a' });
    await keeper.registrar.register([instance('b')], 60_000);
    await serveKeeper(keeper, server.address);
    await eventually(() => expect(heard).toEqual([['a'], ['a', 'b']]));
    const warnings = client.entries.filter(({ level }) => level === 'warn');
    expect(warnings).toMatchObject([{ message: expect.stringContaining('keeper is away') }]);
  });

  test('starts with the list of its last life while no keeper answers', async () => {
    const { keeper } = await stage(await place());
    const server = await serveKeeper(keeper);
    await keeper.registrar.register([instance('a')], 60_000);
    const listFile = join(tempDir('client'), 'data', 'services');
    const first = clientOf([server], { listFile });
    const heard = follow(first);
    await eventually(() => expect(heard).toEqual([['a']]));
    await first.close();
    expect(statSync(listFile).mode & 0o777).toBe(0o600);
    expect(readdirSync(dirname(listFile))).toEqual(['services']);
    await server.close();
    expect(await clientOf([server], { listFile }).pick('shop', { scheme: 'grpc' })).toMatchObject({
      address: 'a.example:7400',
    });
    for (const [options, text, reason] of [
      [{ env: 'test' }, undefined, /is of env ''/],
      [{}, readFileSync(listFile, 'utf8').replace('"a"', '"b"'), /damaged/],
      [{}, 'what is this', /no list of this version/],
    ] as const) {
      if (text !== undefined) writeFileSync(listFile, text);
      const next = clientOf([server], { listFile, ...options });
      await expect(next.pick('shop')).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        message: expect.stringContaining('no shop is known: '),
      });
      expect(next.entries).toContainEqual(
        expect.objectContaining({
          level: 'warn',
          fields: expect.objectContaining({ reason: expect.stringMatching(reason) }),
        }),
      );
    }
  });

  test('follows one more service without losing sight of the others', async () => {
    const { keeper } = await stage(await place());
    const client = clientOf([await serveKeeper(keeper)]);
    const heard = follow(client);
    await eventually(() => expect(heard).toEqual([[]]));
    const till: number[] = [];
    const leave = client.watch('till', ({ instances }) => till.push(instances.length));
    await eventually(() => expect(till).toEqual([0]));
    await keeper.registrar.register([instance('a'), instance('t', { service: 'till' })], 60_000);
    await eventually(() => expect([heard.at(-1), till.at(-1)]).toEqual([['a'], 1]));
    leave();
    await keeper.registrar.register([instance('b'), instance('u', { service: 'till' })], 60_000);
    await eventually(() => expect(heard.at(-1)).toEqual(['a', 'b']));
    expect(till.at(-1)).toBe(1);
    expect(keeper.catalog.watchers).toBe(1);
  });

  test('picks by the policy, where calls are in flight too', async () => {
    const { keeper, policies } = await stage(await place());
    const client = clientOf([await serveKeeper(keeper)]);
    await keeper.registrar.register([instance('a'), instance('b')], 60_000);
    policies.publish(policyFile('shop', { DEFAULT: { algorithm: ['string', 'least_in_flight'] } }));
    const pick = () => client.pick('shop', { scheme: 'grpc' });
    await eventually(async () => {
      const [one, two] = [await pick(), await pick()];
      expect(new Set([one.id, two.id]).size).toBe(2);
      one.done();
      for (let at = 0; at < 5; at++) {
        const next = await pick();
        expect(next.id).toBe(one.id);
        next.done();
        next.done();
      }
      two.done();
    });
    await expect(client.pick('shop')).rejects.toThrow(/none of 2 shop takes calls by http/);
    await expect(client.pick('unknown')).rejects.toThrow(/the keeper knows no running unknown/);
    policies.publish(
      policyFile('shop', { a: { weight: ['int', '0'] }, b: { online: ['bool', 'false'] } }),
    );
    await eventually(() => expect(pick()).rejects.toThrow(/none of 1 shop takes calls/));
  });
});

describeBackends('gRPC to a service of the keeper', (place) => {
  test('spreads by the policy, follows weights, arrivals and departures, and loses no call', async () => {
    const { keeper, policies } = await stage(await place());
    const server = await serveKeeper(keeper);
    const provider = clientOf([server]);
    const shops = [await runShop(provider, 'a'), await runShop(provider, 'b')];
    const consumer = clientOf([server]);
    const address = { directory: consumer.directory(), service: 'shop' };
    const client = connect(MetricsServiceDefinition, { address });
    onTestFinished(() => client.close());
    const call = () => client.gather({});
    await eventually(async () => expect(await answers(call, 10)).toEqual({ a: 5, b: 5 }));

    policies.publish(
      policyFile('shop', {
        DEFAULT: { algorithm: ['string', 'smooth_weighted'] },
        a: { weight: ['int', '30'] },
        b: { weight: ['int', '10'] },
      }),
    );
    await eventually(async () => expect(await answers(call, 20)).toEqual({ a: 15, b: 5 }));

    let calling = true;
    let answered = 0;
    const callers = Array.from({ length: 4 }, async () => {
      while (calling) answered += (await call()).processes.length;
    });
    shops.push(await runShop(provider, 'c'));
    await eventually(async () => expect(await answers(call, 30)).toHaveProperty('c'));
    for (const shop of shops.splice(0, 2)) await shop.stop();
    const before = answered;
    await eventually(() => expect(answered).toBeGreaterThan(before + 20));
    calling = false;
    await Promise.all(callers);
    expect(await answers(call, 5)).toEqual({ c: 5 });
    await server.close();
    expect(await answers(call, 5)).toEqual({ c: 5 });
  });

  test('has an address of its own, malabar:///shop', async () => {
    const { keeper } = await stage(await place());
    const provider = clientOf([await serveKeeper(keeper)]);
    await runShop(provider, 'a');
    onTestFinished(registerScheme('malabar', provider.directory()));
    const client = connect(MetricsServiceDefinition, { address: 'malabar:///shop' });
    onTestFinished(() => client.close());
    expect(await eventually(() => client.gather({}))).toEqual(answerOf('a'));
  });
});
