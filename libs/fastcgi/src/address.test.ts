import { expect, test } from 'vitest';
import { parseAddress } from './address.js';

test('addresses are unix:/path, host:port or [ipv6]:port', () => {
  expect(parseAddress('unix:/run/php/fpm.sock')).toEqual({ path: '/run/php/fpm.sock' });
  expect(parseAddress('php.internal:9000')).toEqual({ host: 'php.internal', port: 9000 });
  expect(parseAddress('[::1]:9000')).toEqual({ host: '::1', port: 9000 });
});

test('anything else is refused with its text', () => {
  for (const bad of [
    '',
    'unix:relative',
    'host',
    'host:0',
    'host:65536',
    '::1:9000',
    'a:b',
    ':1',
  ]) {
    expect(() => parseAddress(bad)).toThrow(`"${bad}" is neither`);
  }
});
