import { keeper } from '@malabar/contracts';
import { FakeClock } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { Registry } from './registry.js';

const instance = (id: string, service = 'storage', startedAtMs = 0): keeper.Instance =>
  keeper.Instance.fromPartial({ id, service, address: '127.0.0.1:7403', startedAtMs });

const ids = (instances: keeper.Instance[]): string[] => instances.map(({ id }) => id);

test('an instance is known until its time to live is over', () => {
  const clock = new FakeClock();
  const registry = new Registry(clock);
  expect(registry.register([instance('a')], 15_000)).toBe(5_000);
  clock.advanceSync(14_999);
  expect(ids(registry.resolve())).toEqual(['a']);
  clock.advanceSync(1);
  expect(registry.resolve()).toEqual([]);
});

test('renewing prolongs, and the newest announcement counts', () => {
  const clock = new FakeClock();
  const registry = new Registry(clock);
  registry.register([instance('a')], 15_000);
  clock.advanceSync(10_000);
  registry.register([{ ...instance('a'), address: '127.0.0.1:9' }], 15_000);
  clock.advanceSync(10_000);
  expect(registry.resolve('storage')).toMatchObject([{ id: 'a', address: '127.0.0.1:9' }]);
});

test('instances are found by service, the oldest first', () => {
  const registry = new Registry(new FakeClock());
  registry.register([instance('b', 'storage', 2), instance('a', 'storage', 1)], 15_000);
  registry.register([instance('c', 'ingest', 0)], 15_000);
  expect(ids(registry.resolve('storage'))).toEqual(['a', 'b']);
  expect(ids(registry.resolve())).toEqual(['c', 'a', 'b']);
  expect(registry.resolve('metrics')).toEqual([]);
});

test('an instance that leaves is gone at once', () => {
  const registry = new Registry(new FakeClock());
  registry.register([instance('a'), instance('b')], 15_000);
  registry.deregister(['a', 'unknown']);
  expect(ids(registry.resolve())).toEqual(['b']);
});

test('a time to live is kept between a second and five minutes', () => {
  const registry = new Registry(new FakeClock());
  expect(registry.register([instance('a')], 0)).toBe(333);
  expect(registry.register([instance('a')], 1e12)).toBe(100_000);
});

test.each([
  [instance(''), 'an instance needs an id'],
  [instance('x', 'stroage'), "instance x: 'stroage' is not a service of the bus"],
  [{ ...instance('x'), address: '' }, 'instance x needs an address'],
])('an instance that is not whole is refused: %j', (bad, message) => {
  const registry = new Registry(new FakeClock());
  expect(() => registry.register([instance('good'), bad], 15_000)).toThrow(message);
  expect(registry.resolve()).toEqual([]);
});
