import { expect, test } from 'vitest';
import { parseSubscription } from './subscription.js';

test.each([
  ['/redis.conf', '/redis.conf', ''],
  ['redis.conf', '/redis.conf', ''],
  ['/zy/global.CONF/SEC', '/zy/global.CONF', 'SEC'],
  ['/queue.conf/127.0.0.1:80', '/queue.conf', '127.0.0.1:80'],
  ['/a.conf/b.conf', '/a.conf/b.conf', ''],
])('%s is file %s, section "%s"', (text, file, section) => {
  expect(parseSubscription(text)).toEqual({ file, section, verbatim: false });
});

test.each(['', '/', '/redis', '/redis.conf/', '/redis.conf/a/b'])(
  '%j is no subscription',
  (text) => {
    expect(() => parseSubscription(text)).toThrow('is no subscription');
  },
);
