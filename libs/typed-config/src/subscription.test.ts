import { expect, test } from 'vitest';
import { parseSubscription } from './subscription.js';

test.each([
  ['/redis.conf', '/redis.conf', ''],
  ['redis.conf', '/redis.conf', ''],
  ['/redis.conf/web-1', '/redis.conf', 'web-1'],
  ['/zy/global.CONF/SEC', '/zy/global.CONF', 'SEC'],
  ['/queue.conf/127.0.0.1:80', '/queue.conf', '127.0.0.1:80'],
  ['/a.conf/b.conf', '/a.conf/b.conf', ''],
  ['/a.conf/b.conf/c', '/a.conf/b.conf', 'c'],
])('%s is file %s, section "%s"', (text, file, section) => {
  expect(parseSubscription(text)).toEqual({ file, section });
});

test.each([
  '',
  '/',
  '/redis',
  '/redis.conf/',
  '/redis.conf/a/b',
  '/a.conf/..',
  '/a.conf/b c',
  '/../a.conf/b',
  '//a.conf/b',
])('%j is no subscription', (text) => {
  expect(parseSubscription(text)).toBeUndefined();
});
