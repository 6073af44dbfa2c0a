import { discovery } from '@malabar/contracts';
import { bind, local } from '@malabar/rpc';
import { eventually } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { describeBackends, type Place } from '../backends.suite.js';
import { instance, policyFile, stage } from './discovery.suite.js';
import { createDiscoveryService } from './service.js';

const TTL_MS = 3_000;

/** A keeper as its clients see it. */
async function serving(place: Place) {
  const stages = await stage(place);
  const service = createDiscoveryService(stages.keeper);
  const client = local<typeof discovery.DiscoveryServiceDefinition>(
    bind(discovery.DiscoveryServiceDefinition, service),
  );
  const register = (...instances: discovery.Instance[]) =>
    client.register({ instances, ttlMs: TTL_MS });
  const follow = (services: string[], env = '') => {
    const stream = client.watch({ services, env })[Symbol.asyncIterator]();
    return async () => (await stream.next()).value?.service as discovery.Service;
  };
  return { ...stages, client, register, follow };
}

const ids = ({ instances }: discovery.Service): string[] => instances.map(({ id }) => id);

describeBackends('a watch', (place) => {
  test('tells each service at once and again when it changes, one without instances too', async () => {
    const { register, follow, client } = await serving(await place());
    await register(instance('a'));
    const next = follow(['shop', 'till']);
    expect(await next()).toMatchObject({ name: 'shop', instances: [{ id: 'a', weight: 100 }] });
    expect(await next()).toMatchObject({ name: 'till', instances: [] });
    const change = next();
    await register(instance('b', { service: 'till' }));
    expect(await change).toMatchObject({ name: 'till', instances: [{ id: 'b' }] });
    const left = next();
    await client.deregister({ instances: [{ service: 'shop', id: 'a' }] });
    expect(await left).toMatchObject({ name: 'shop', instances: [] });
  });

  test('that is read slowly gives the newest state only', async () => {
    const { register, follow, keeper } = await serving(await place());
    const next = follow(['shop']);
    const first = await next();
    for (const id of ['a', 'b', 'c']) await register(instance(id));
    const second = await next();
    expect([ids(first), ids(second)]).toEqual([[], ['a', 'b', 'c']]);
    expect(second.version).toBeGreaterThan(first.version);
    const third = next();
    await register(instance('d'));
    expect(ids(await third)).toHaveLength(4);
    expect(keeper.catalog.watchers).toBe(1);
  });

  test('is silent about renewals, other services and other envs', async () => {
    const { register, follow } = await serving(await place());
    await register(instance('a', { env: 'prod' }));
    const next = follow(['shop'], 'prod');
    await next();
    const change = next();
    await register(instance('a', { env: 'prod' }));
    await register(instance('x', { env: 'test' }));
    await register(instance('y', { service: 'till', env: 'prod' }));
    await register(instance('b', { env: 'prod', startedAtMs: 5 }));
    expect(ids(await change)).toEqual(['a', 'b']);
  });

  test('ends when the keeper stops, and with its reader', async () => {
    const { keeper, client, follow } = await serving(await place());
    for await (const _ of client.watch({ services: ['shop'], env: '' })) break;
    await eventually(() => expect(keeper.catalog.watchers).toBe(0));
    const next = follow(['shop']);
    await next();
    const end = next();
    await keeper.stop();
    expect(await end).toBeUndefined();
    await expect(follow(['shop'])()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});

describeBackends('the policy', (place) => {
  test('reaches those who follow a service, as soon as its release is in force', async () => {
    const { register, follow, policies } = await serving(await place());
    await register(instance('a'), instance('b'), instance('c'));
    const next = follow(['shop', 'till']);
    expect(await next()).toMatchObject({ policy: { algorithm: 2, protectBelow: 0.5 } });
    await next();
    const change = next();
    policies.publish(
      policyFile('shop', {
        DEFAULT: {
          algorithm: ['string', 'smooth_weighted'],
          zone_weights: ['json', '{"east": {"east": 90, "west": 10}}'],
        },
        a: { weight: ['int', '7'] },
        b: { online: ['bool', 'false'] },
        c: { weight: ['int', '0'] },
      }),
    );
    expect(await change).toMatchObject({
      name: 'shop',
      instances: [
        { id: 'a', weight: 7 },
        { id: 'c', weight: 0 },
      ],
      policy: {
        algorithm: discovery.Algorithm.SMOOTH_WEIGHTED,
        zoneWeights: { east: { weights: { east: 90, west: 10 } } },
      },
    });
    const back = next();
    policies.publish();
    expect(await back).toMatchObject({ instances: [{ weight: 100 }, { id: 'b' }, { id: 'c' }] });
  });
});

describeBackends('what is no instance', (place) => {
  test.each<[string, Partial<discovery.Instance>, RegExp]>([
    ['a service with a slash', { service: 'shop/x' }, /"shop\/x" is no name of a service/],
    ['a service that is a path', { service: '..' }, /"\.\." is no name/],
    ['no service', { service: '' }, /"" is no name/],
    ['no id', { id: '' }, /instance of shop: "" is no name/],
    ['an id with a slash', { id: 'a/b' }, /"a\/b" is no name/],
    ['an id of 129 characters', { id: 'x'.repeat(129) }, /1 to 128 of/],
    ['a zone with a blank', { zone: 'far east' }, /zone of instance a of shop: "far east"/],
    ['an env with a line break', { env: 'a\nb' }, /env of instance a/],
    ['no address', { addresses: {} }, /has no address/],
    ['an address with a blank', { addresses: { grpc: 'a b:1' } }, /'a b:1' is no address for grpc/],
    ['a long tag', { tags: { t: 'x'.repeat(1_025) } }, /tags of .*, t: 1025 characters/],
    ['a long hostname', { hostname: 'x'.repeat(2_000) }, /hostname of/],
    [
      'many tags',
      { tags: Object.fromEntries(Array.from({ length: 65 }, (_, at) => [`t${at}`, ''])) },
      /65 entries; 64 are allowed/,
    ],
    [
      'much metadata',
      {
        metadata: Object.fromEntries(
          Array.from({ length: 20 }, (_, at) => [`m${at}`, 'x'.repeat(1_000)]),
        ),
      },
      /bytes; 16384 are allowed/,
    ],
  ])('is refused, and nothing with it is registered: %s', async (_, parts, message) => {
    const { register, client } = await serving(await place());
    const refused = register(instance('good'), { ...instance('a'), ...parts });
    await expect(refused).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringMatching(message),
    });
    expect((await client.resolve({ services: [], env: '*' })).services).toEqual([]);
  });

  test('is refused in numbers too', async () => {
    const { register, client } = await serving(await place());
    const many = Array.from({ length: 33 }, (_, at) => instance(`a${at}`));
    const invalid = { code: 'INVALID', message: expect.stringContaining('33 instances') };
    await expect(register(...many)).rejects.toMatchObject(invalid);
    await expect(client.deregister({ instances: many })).rejects.toMatchObject(invalid);
    const services = Array.from({ length: 257 }, (_, at) => `s${at}`);
    await expect(client.resolve({ services, env: '' })).rejects.toThrow(/257 services/);
    const watch = client.watch({ services: [], env: '' })[Symbol.asyncIterator]();
    await expect(watch.next()).rejects.toMatchObject({ code: 'INVALID' });
    const name = { services: ['a/b'], env: '' };
    await expect(client.resolve(name)).rejects.toMatchObject({ code: 'INVALID' });
  });
});
