import { createMetrics, type Logger } from '@malabar/telemetry';
import { eventually, FakeClock, logToMemory, needs, packages } from '@malabar/testkit';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Backend } from '../backend.js';
import { troubledEtcdPlace } from '../backends/testing/etcd-place.js';
import { startKeeper } from '../election/election.suite.js';
import { Discovery } from './discovery.js';
import { instance, memoryPolicies, shown } from './discovery.suite.js';

const PATIENT = { timeoutMs: 30_000 };
const TTL_MS = 60_000;

/** A keeper's discovery and elections on a backend. */
async function keeperOn(backend: Backend, id: string) {
  await backend.open();
  onTestFinished(() => backend.close());
  const { log, entries } = logToMemory<Logger>();
  const keeper = new Discovery({
    backend,
    policies: memoryPolicies(),
    self: { id },
    clock: new FakeClock(),
    log,
    metrics: createMetrics(),
  });
  await keeper.start();
  onTestFinished(() => keeper.stop());
  return { keeper, elections: await startKeeper(backend), entries };
}

needs(describe, await packages.etcd())('on an etcd in trouble', () => {
  test('a keeper that is cut off answers with what it knows, and catches up', async () => {
    const place = await troubledEtcdPlace();
    const one = await keeperOn(place.backend(), 'one');
    const two = await keeperOn(place.untroubled?.() as Backend, 'two');
    await one.keeper.registrar.register([instance('a')], TTL_MS);
    const held = await one.elections.client.acquire({ name: 'x', holder: 'h', ttlMs: TTL_MS });
    place.cut();
    const refused = { code: 'UNAVAILABLE' };
    const register = one.keeper.registrar.register([instance('a')], TTL_MS);
    await expect(register).rejects.toMatchObject(refused);
    const renew = one.elections.client.renew({ name: 'x', holder: 'h', token: held.token });
    await expect(renew).rejects.toMatchObject(refused);
    expect(shown(one.keeper)).toEqual(['a']);
    await two.keeper.registrar.register([instance('b')], TTL_MS);
    await two.keeper.registrar.deregister([instance('a')]);
    expect(shown(two.keeper)).toEqual(['b']);
    place.heal();
    await eventually(() => expect(shown(one.keeper)).toEqual(['b']), PATIENT);
    await eventually(
      () => one.elections.client.renew({ name: 'x', holder: 'h', token: held.token }),
      PATIENT,
    );
  });

  test('an etcd that is killed, compacted and started again loses no instance and no token', async () => {
    const place = await troubledEtcdPlace();
    const { keeper, elections } = await keeperOn(place.backend(), 'one');
    for (const id of ['a', 'b', 'c']) await keeper.registrar.register([instance(id)], TTL_MS);
    const asked = { name: 'x', holder: 'h', ttlMs: TTL_MS };
    const { token } = await elections.client.acquire(asked);
    await place.compact?.();
    await place.kill();
    expect(shown(keeper)).toEqual(['a', 'b', 'c']);
    await place.start();
    await eventually(() => keeper.registrar.deregister([instance('b')]), PATIENT);
    await eventually(() => expect(shown(keeper)).toEqual(['a', 'c']), PATIENT);
    expect(await elections.client.acquire(asked)).toEqual({ holder: 'h', token });
    await elections.client.release({ name: 'x', holder: 'h', token });
    const next = await elections.client.acquire({ ...asked, holder: 'other' });
    expect(next.token).toBe(token + 1);
  });
});
