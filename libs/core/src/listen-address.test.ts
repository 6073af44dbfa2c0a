import { expect, test } from 'vitest';
import { formatListenAddress, isLoopback, parseListenAddress } from './listen-address.js';

test('an address is read and written back the same', () => {
  for (const text of ['127.0.0.1:7400', '[::1]:0', 'bus.internal:65535']) {
    expect(formatListenAddress(parseListenAddress(text))).toBe(text);
  }
  expect(parseListenAddress(':7400')).toEqual({ host: '0.0.0.0', port: 7400 });
});

test.each(['127.0.0.1', '127.0.0.1:', '127.0.0.1:x', '127.0.0.1:65536', 'a:b:80', ''])(
  '%j is refused',
  (text) => {
    expect(() => parseListenAddress(text)).toThrow(`'${text}' is no host:port`);
  },
);

test('loopback is told from addresses that others can reach', () => {
  for (const host of ['127.0.0.1', '127.3.2.1', '::1', 'localhost']) {
    expect(isLoopback(host)).toBe(true);
  }
  for (const host of ['0.0.0.0', '10.0.0.1', '::', '127.example.com', 'bus.internal']) {
    expect(isLoopback(host)).toBe(false);
  }
});
