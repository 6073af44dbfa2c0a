import type { discovery } from '@malabar/contracts';
import { eventually } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { describeBackends, type Place } from '../backends.suite.js';
import type { Discovery } from './discovery.js';
import { instance, policyFile, shown, stage } from './discovery.suite.js';
import { recordKey } from './keys.js';
import { Registrar } from './registrar.js';

const TTL_MS = 3_000;

/** Time passes on every kind of backend until it is so. */
function inTime(place: Place, fact: () => unknown): Promise<unknown> {
  return eventually(
    async () => {
      await place.clock.advance(100);
      await fact();
    },
    { timeoutMs: 30_000 },
  );
}

const shop = (keeper: Discovery): discovery.Service =>
  keeper.catalog.resolve(['shop'], '')[0] as discovery.Service;

const revisionOf = async ({ backend }: Place, id: string): Promise<number | undefined> =>
  (await backend.get(recordKey({ service: 'shop', id })))?.revision;

describeBackends('an instance', (place) => {
  test('is listed from its registration until it leaves, on every keeper', async () => {
    const { keeper, another } = await stage(await place());
    const second = await another();
    expect(await keeper.registrar.register([instance('a')], TTL_MS)).toBe(TTL_MS / 3);
    expect(shown(keeper)).toEqual(['a']);
    await eventually(() => expect(shown(second)).toEqual(['a']));
    await second.registrar.deregister([{ service: 'shop', id: 'a' }]);
    expect(shown(second)).toEqual([]);
    await eventually(() => expect(shown(keeper)).toEqual([]));
  });

  test('that is renewed is not written again, whichever keeper it asks', async () => {
    const at = await place();
    const { keeper, another } = await stage(at);
    const second = await another();
    await keeper.registrar.register([instance('a'), instance('b')], TTL_MS);
    const revision = await revisionOf(at, 'a');
    for (const each of [keeper, second, second, keeper]) {
      await each.registrar.register([instance('b'), instance('a')], TTL_MS);
    }
    expect(await revisionOf(at, 'a')).toBe(revision);
  });

  test('is hidden once its lease is over, and back when it registers again', async () => {
    const at = await place();
    const { keeper } = await stage(at);
    await keeper.registrar.register([instance('a')], 1_000);
    await inTime(at, () => expect(shown(keeper)).toEqual([]));
    await keeper.registrar.register([instance('a')], 1_000);
    expect(shown(keeper)).toEqual(['a']);
  });

  test('with new addresses, tags or time to live is known as it is now', async () => {
    const at = await place();
    const { keeper, another } = await stage(at);
    const second = await another();
    await keeper.registrar.register([instance('a')], TTL_MS);
    const moved = instance('a', {
      addresses: { grpc: 'new.example:1' },
      tags: { b: '2', a: '1' },
      weight: 100,
    });
    await second.registrar.register([moved], TTL_MS);
    await eventually(() => expect(shop(keeper).instances).toMatchObject([moved]));
    const revision = await revisionOf(at, 'a');
    await keeper.registrar.register([{ ...moved, tags: { a: '1', b: '2' } }], TTL_MS);
    expect(await revisionOf(at, 'a')).toBe(revision);
    await keeper.registrar.register([moved], TTL_MS * 2);
    expect(await revisionOf(at, 'a')).toBeGreaterThan(revision ?? 0);
  });

  test('that leaves and comes back at once is there', async () => {
    const { keeper, another } = await stage(await place());
    const second = await another();
    for (let round = 0; round < 10; round++) {
      await keeper.registrar.register([instance('a'), instance('b')], TTL_MS);
      await keeper.registrar.deregister([instance('b'), instance('a'), instance('unknown')]);
      await second.registrar.register([instance('a'), instance('b')], TTL_MS);
      expect(shown(second)).toEqual(['a', 'b']);
    }
  });

  test('that two keepers are told of at once is known as one of them was told', async () => {
    const { keeper, another } = await stage(await place());
    const keepers = [keeper, await another()];
    const told = Array.from({ length: 10 }, (_, number) =>
      instance('a', { metadata: { number: String(number) } }),
    );
    const outcomes = await Promise.allSettled(
      told.map((each, index) => keepers[index % 2]?.registrar.register([each], TTL_MS)),
    );
    const refused = outcomes.filter(({ status }) => status === 'rejected');
    for (const one of refused) expect(one).toMatchObject({ reason: { code: 'CONFLICT' } });
    expect(refused.length).toBeLessThan(told.length);
    expect(shown(keeper)).toEqual(['a']);
  });

  test('outlives the keepers', async () => {
    const { keeper, another } = await stage(await place());
    await keeper.registrar.register([instance('a')], TTL_MS);
    await keeper.stop();
    expect(shown(await another())).toEqual(['a']);
  });

  test('is one too many beyond the most that are known; those that are known are renewed', async () => {
    const at = await place();
    const { keeper } = await stage(at);
    const registrar = new Registrar(at.backend, keeper.view, 3);
    await registrar.register(
      ['a', 'b'].map((id) => instance(id)),
      TTL_MS,
    );
    const more = ['c', 'd'].map((id) => instance(id));
    await expect(registrar.register(more, TTL_MS)).rejects.toMatchObject({
      code: 'BUSY',
      message: expect.stringContaining('3 instances are registered'),
    });
    await registrar.register(
      ['b', 'c'].map((id) => instance(id)),
      TTL_MS,
    );
    expect(shown(keeper)).toEqual(['a', 'b', 'c']);
  });

  test('is shown to its env only', async () => {
    const { keeper } = await stage(await place());
    const [prod, test] = [instance('p', { env: 'prod' }), instance('t', { env: 'test' })];
    await keeper.registrar.register([prod, test, instance('n')], TTL_MS);
    expect(shown(keeper, 'prod')).toEqual(['p']);
    expect(shown(keeper, 'test')).toEqual(['t']);
    expect(shown(keeper)).toEqual(['n']);
    expect(shown(keeper, '*')).toEqual(['n', 'p', 't']);
  });
});

describeBackends('the protection threshold', (place) => {
  const crowd = ['a', 'b', 'c', 'd', 'e'];

  /** Only some of a crowd go on renewing, until the others' leases are over. */
  async function vanish(alive: string[], known = crowd) {
    const at = await place();
    const stages = await stage(at);
    const { keeper } = stages;
    for (const id of known) await keeper.registrar.register([instance(id)], 1_500);
    const dead = known.length - alive.length;
    await inTime(at, async () => {
      for (const id of alive) await keeper.registrar.register([instance(id)], 1_500);
      expect([...keeper.view.all()].filter((one) => one.deadSinceMs !== undefined)).toHaveLength(
        dead,
      );
    });
    return { ...stages, at };
  }

  test('hides a few that vanish', async () => {
    const { keeper } = await vanish(['a', 'b', 'c']);
    expect(shop(keeper)).toMatchObject({ protected: false });
    expect(shown(keeper)).toEqual(['a', 'b', 'c']);
  });

  test('holds the list when most vanish at once, marks them, and lets go when they are back', async () => {
    const { keeper, another } = await vanish(['a', 'b']);
    expect(shop(keeper)).toMatchObject({ protected: true });
    expect(shown(keeper)).toEqual(['a', 'b', 'c?', 'd?', 'e?']);
    expect(shown(await another())).toEqual(['a', 'b', 'c?', 'd?', 'e?']);
    await keeper.registrar.register([instance('c')], TTL_MS);
    expect(shop(keeper)).toMatchObject({ protected: false });
    expect(shown(keeper)).toEqual(['a', 'b', 'c']);
  });

  test('does not count those that left, nor those whose address another one has', async () => {
    const { keeper } = await vanish(['a']);
    await keeper.registrar.deregister([instance('e')]);
    expect(shown(keeper)).toEqual(['a', 'b?', 'c?', 'd?']);
    await keeper.registrar.register([{ ...instance('d'), id: 'd2' }], TTL_MS);
    expect(shown(keeper)).toEqual(['a', 'd2']);
  });

  test('is none of two, and as high as the policy says', async () => {
    const { keeper: ofTwo } = await vanish(['a'], ['a', 'b']);
    expect(shown(ofTwo)).toEqual(['a']);
    const { keeper, policies } = await vanish(['a', 'b']);
    expect(shown(keeper)).toHaveLength(5);
    policies.publish(policyFile('shop', { DEFAULT: { protect_below: ['float64', '0.3'] } }));
    await eventually(() => expect(shown(keeper)).toEqual(['a', 'b']));
  });
});

describeBackends('an instance that is dead', (place) => {
  test('is forgotten after an hour, and not if it came back before', async () => {
    const at = await place();
    const { keeper, entries } = await stage(at);
    const dead = () => [...keeper.view.all()].filter((one) => one.deadSinceMs !== undefined);
    for (const id of ['a', 'b']) await keeper.registrar.register([instance(id)], 1_000);
    await inTime(at, () => expect(dead()).toHaveLength(2));
    await at.clock.advance(50 * 60_000);
    expect(keeper.view.count).toBe(2);
    await keeper.registrar.register([instance('b')], TTL_MS);
    await eventually(async () => {
      await at.clock.advance(60_000);
      expect(keeper.view.count).toBe(1);
    });
    expect(await revisionOf(at, 'a')).toBeUndefined();
    expect(await revisionOf(at, 'b')).toBeDefined();
    const forgotten = entries.filter(({ message }) => message.includes('forgotten'));
    expect(forgotten).toMatchObject([{ fields: { instance: 'a', of: 'shop' } }]);
  });
});
