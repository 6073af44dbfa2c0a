import { config } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { effective } from './config.suite.js';
import { EffectiveView } from './view.js';

const view = (...args: Parameters<typeof effective>): EffectiveView =>
  EffectiveView.of(effective(...args), { source: 'keeper' });

test('values are read by their type', () => {
  const all = view(3, {
    host: ['string', 'here'],
    tls: ['bool', 'true'],
    port: ['int', '6379'],
    ratio: ['float64', '0.5'],
    wait: ['time.Duration', '1m30s'],
    limits: ['json', '{"most":[1]}'],
    password: ['secret', 'open sesame'],
    hosts: ['[]string', 'a,b'],
    big: ['int64', '9223372036854775807'],
  });
  expect(all).toMatchObject({ domain: 'shop', release: 3, source: 'keeper', overridden: [] });
  expect(all.string('redis', 'host')).toBe('here');
  expect(all.bool('redis', 'tls')).toBe(true);
  expect(all.int('redis', 'port')).toBe(6379);
  expect(all.float64('redis', 'ratio')).toBe(0.5);
  expect(all.durationMs('redis', 'wait')).toBe(90_000);
  expect(all.json('redis', 'limits')).toEqual({ most: [1] });
  expect(all.secret('redis', 'password')).toBe('open sesame');
  expect(all.read('[]string', 'redis', 'hosts')).toEqual(['a', 'b']);
  expect(all.get('redis', 'big')).toBe(2n ** 63n - 1n);
  expect(all.get('redis', 'nothing')).toBeUndefined();
  expect(all.find('redis', 'port')).toMatchObject({ type: 'int', raw: '6379', value: 6379 });
  expect([...all.values()].map(({ key }) => key)).toContain('limits');
});

test('a value that is not there, or of another type, is an error that names it', () => {
  const all = view(1, { port: ['int', '1'] });
  expect(() => all.string('redis', 'host')).toThrow('shop: redis/host is not there');
  expect(() => all.string('redis', 'port')).toThrow('shop: redis/port is of type int, not string');
});

test('sections of a verbatim file are found by their name', () => {
  const files = [
    { name: '/q.conf', section: 'orders', values: [{ key: 'a', type: 'int', raw: '1' }] },
  ];
  const whole = config.EffectiveConfig.fromPartial({ domain: 'shop', files } as never);
  const all = EffectiveView.of(whole, { source: 'snapshot' });
  expect(all.int('/q.conf', 'a', 'orders')).toBe(1);
  expect(() => all.int('/q.conf', 'b', 'orders')).toThrow('shop: /q.conf[orders]/b is not there');
});

test('a value that does not parse is an error that names it and says why', () => {
  expect(() => view(1, { port: ['int', 'many'] })).toThrow(/^redis\/port: "many" is not an int/);
  expect(() => view(1, { port: ['colour', 'red'] })).toThrow(
    "redis/port: this client knows no type 'colour'",
  );
});

test('changes say what was and what is', () => {
  const before = view(1, { host: ['string', 'here'], port: ['int', '1'], tls: ['bool', '1'] });
  const now = effective(2, { host: ['string', 'there'], port: ['int', '1'], db: ['int', '3'] });
  const after = EffectiveView.of(now, { source: 'keeper', before });
  const changes = after.changesFrom(before);
  expect(changes.all).toMatchObject([
    {
      kind: 'changed',
      file: 'redis',
      key: 'host',
      before: { raw: 'here' },
      after: { raw: 'there' },
    },
    { kind: 'added', file: 'redis', key: 'db', before: undefined, after: { value: 3 } },
    { kind: 'removed', file: 'redis', key: 'tls', before: { value: true }, after: undefined },
  ]);
  expect([...changes]).toHaveLength(changes.size);
  expect([changes.touches('redis'), changes.touches('redis', 'db')]).toEqual([true, true]);
  expect([changes.touches('mysql'), changes.touches('redis', 'port')]).toEqual([false, false]);
  expect(after.find('redis', 'port')).toBe(before.find('redis', 'port'));
  expect(before.changesFrom(undefined).size).toBe(3);
  expect(
    view(3, {})
      .changesFrom(after)
      .all.map(({ kind }) => kind),
  ).toEqual(Array(3).fill('removed'));
});

test('the same text of another type is a change', () => {
  const before = view(1, { port: ['int', '1'] });
  expect(view(2, { port: ['string', '1'] }).changesFrom(before).size).toBe(1);
});
