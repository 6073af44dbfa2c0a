import { eventually, logToMemory } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { effective } from './config.suite.js';
import { DomainFollower } from './follower.js';
import type { EffectiveView } from './view.js';

function follow(onChange: (view: EffectiveView) => void | Promise<void> = () => {}) {
  const reports: Array<[release: number, refusal: string]> = [];
  const seen: number[] = [];
  const { log, entries } = logToMemory();
  const follower = new DomainFollower(
    {
      domain: 'shop',
      subscriptions: ['/redis.conf', { file: '/redis.conf', section: 'master' }, '/a.conf/web-1'],
      async onChange(_, view) {
        await onChange(view);
        seen.push(view.int('redis', 'port'));
      },
    },
    { log, onReport: (...report) => reports.push(report), onApplied: () => {} },
  );
  const offer = (release: number, port: string): void =>
    follower.offer(effective(release, { port: ['int', port] }), 'keeper');
  const errors = () => entries.filter(({ level }) => level === 'error');
  return { follower, reports, seen, offer, errors };
}

test('a release whose value does not parse is refused, and the last good one stays', async () => {
  const { follower, reports, seen, offer, errors } = follow();
  offer(1, '1');
  offer(2, 'many');
  await eventually(() => expect(reports).toHaveLength(2));
  const reason = expect.stringContaining('redis/port: "many" is not an int');
  expect(reports).toEqual([
    [1, ''],
    [2, reason],
  ]);
  expect(follower.current?.int('redis', 'port')).toBe(1);
  expect(follower.hello()).toMatchObject({ release: 1, checksum: follower.config?.checksum });
  expect(errors()).toMatchObject([{ fields: { release: 2, reason } }]);
  offer(3, '3');
  await eventually(() => expect(seen).toEqual([1, 3]));
});

test('a notice without content is applied if the content is known, else it is pulled', async () => {
  const { follower, reports, seen, offer } = follow();
  offer(1, '1');
  await follower.ready;
  const { checksum = '' } = follower.config ?? {};
  const notice = { domain: 'shop', config: undefined };
  expect(follower.noticed({ ...notice, release: 2, checksum })).toBe(false);
  await eventually(() => expect(follower.current?.release).toBe(2));
  expect(follower.noticed({ ...notice, release: 2, checksum })).toBe(false);
  expect(follower.noticed({ ...notice, release: 3, checksum: 'other' })).toBe(true);
  expect(reports.map(([release]) => release)).toEqual([1, 2, 2]);
  expect(seen).toEqual([1]);
});

test('a content that was refused is not pulled again, but refused again', async () => {
  const { follower, reports, offer } = follow(({ release }) => {
    if (release === 2) throw new Error('no');
  });
  offer(1, '1');
  offer(2, '2');
  await eventually(() => expect(reports).toHaveLength(2));
  const { checksum } = effective(2, { port: ['int', '2'] });
  expect(follower.noticed({ domain: 'shop', release: 3, checksum, config: undefined })).toBe(false);
  expect(reports.at(-1)).toEqual([3, 'no']);
});

test('an override that does not fit is an error, and the release below it is in force', async () => {
  const { follower, seen, offer, errors } = follow();
  follower.override([
    { file: 'redis', section: '', key: 'port', raw: 'many' },
    { file: 'redis', section: '', key: 'host', raw: 'there' },
  ]);
  offer(1, '1');
  await follower.ready;
  expect(follower.current).toMatchObject({ source: 'keeper', overridden: [] });
  expect(follower.current?.get('redis', 'host')).toBeUndefined();
  expect(errors()).toMatchObject([{ message: 'override file ignored' }]);
  follower.override([{ file: 'redis', section: '', key: 'port', raw: '7' }]);
  await eventually(() => expect(seen).toEqual([1, 7]));
  expect(follower.current).toMatchObject({ source: 'override', overridden: ['redis/port'] });
  follower.override([]);
  await eventually(() => expect(seen).toEqual([1, 7, 1]));
});

test('after a stop nobody is called', async () => {
  const { follower, seen, offer, reports } = follow();
  follower.stop();
  offer(1, '1');
  await new Promise((resolve) => setImmediate(resolve));
  expect([seen, reports]).toEqual([[], []]);
});

test('subscriptions are paths or more', () => {
  const { follower } = follow();
  expect(follower.asked.subscriptions).toEqual([
    { file: '/redis.conf', section: '', verbatim: false },
    { file: '/redis.conf', section: 'master', verbatim: false },
    { file: '/a.conf', section: 'web-1', verbatim: false },
  ]);
});

test.each(['', '/redis', '/redis.conf/a/b', '/redis.conf/'])('%j is no subscription', (text) => {
  const events = { log: logToMemory().log, onReport: () => {}, onApplied: () => {} };
  const follow = () => new DomainFollower({ domain: 'shop', subscriptions: [text] }, events);
  expect(follow).toThrow(`'${text}' is no subscription: it is /file.conf or /file.conf/section`);
});
