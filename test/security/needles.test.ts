import { expect, test } from 'vitest';
import { findLeaks, formsOf } from './needles.js';

const VALUE = 'pl4nted/+"secret"&=of a test';
const PLANTED = [{ name: 'secret', value: VALUE }];

const leaksIn = (text: string): string[] =>
  findLeaks([{ where: 'a log', content: Buffer.from(text) }], PLANTED);

const basic = (user: string): string => Buffer.from(`${user}:${VALUE}`).toString('base64');

test.each([
  ['as it is', `error: ${VALUE}!`],
  ['cut at the end', `error: ${VALUE.slice(0, 20)}...`],
  ['cut at the beginning', `...${VALUE.slice(10)}`],
  ['in JSON', JSON.stringify({ message: `no ${VALUE}` })],
  ['in a URL', `http://x/?password=${encodeURIComponent(VALUE)}`],
  ['in a form', new URLSearchParams({ password: VALUE }).toString()],
  ['as hex', Buffer.from(`x${VALUE}x`).toString('hex')],
  ['as HEX', Buffer.from(VALUE).toString('hex').toUpperCase()],
  ['as base64', Buffer.from(VALUE).toString('base64')],
  ['as base64url', Buffer.from(VALUE).toString('base64url')],
  ['in basic credentials', basic('a')],
  ['in other basic credentials', basic('ab')],
  ['in third basic credentials', basic('abc')],
])('a secret %s is found', (_, text) => {
  expect(leaksIn(text)).toHaveLength(1);
  expect(leaksIn(text)[0]).toMatch(/^secret \(.+\) in a log: /);
});

test('a message about a leak is none itself', () => {
  expect(leaksIn(leaksIn(`${VALUE} and ${VALUE}`).join())).toEqual([]);
});

test('what only resembles a secret is none', () => {
  expect(leaksIn('planted secret of a test, ******, [secret]')).toEqual([]);
  for (const form of formsOf(VALUE).values()) expect(form.length).toBeGreaterThanOrEqual(12);
});
