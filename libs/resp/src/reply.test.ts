import { expect, test } from 'vitest';
import { replyEncoder } from './reply.js';

const resp2 = replyEncoder(2);
const resp3 = replyEncoder(3);

test('RESP3 types have their RESP2 stand-ins', () => {
  expect(resp2.nil() + resp2.nilArray()).toBe('$-1\r\n*-1\r\n');
  expect(resp3.nil()).toBe('_\r\n');
  expect(resp2.map([['a', ':1\r\n']])).toBe('*2\r\n$1\r\na\r\n:1\r\n');
  expect(resp3.map([['a', ':1\r\n']])).toBe('%1\r\n$1\r\na\r\n:1\r\n');
  expect([resp2.boolean(true), resp3.boolean(false)]).toEqual([':1\r\n', '#f\r\n']);
  expect([resp2.double(1.5), resp3.double(-Infinity)]).toEqual(['$3\r\n1.5\r\n', ',-inf\r\n']);
  expect(resp3.verbatim('hi')).toBe('=6\r\ntxt:hi\r\n');
});

test('lengths count bytes, and every byte survives', () => {
  const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  const reply = Buffer.from(resp2.bytes(all), 'latin1');
  expect(reply.subarray(6, 262)).toEqual(all);
  expect(Buffer.from(resp2.bulk('é€'), 'latin1').toString('utf8')).toBe('$5\r\né€\r\n');
});

test('no text can break out of its line', () => {
  expect(resp2.error('ERR a\r\n+OK')).toBe('-ERR a +OK\r\n');
  expect(resp2.simple('a\nb')).toBe('+a b\r\n');
});
