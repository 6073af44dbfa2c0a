import { common, keeper } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { jobKeysOf } from './job-keys.js';

const queue = (...froms: Array<string | undefined>): keeper.QueueConfig =>
  keeper.QueueConfig.fromPartial({
    topics: froms.map((from) => ({ key: from === undefined ? undefined : { from } })),
  });

const keysOf = (from: string, job: Partial<Omit<common.Job, 'body'>>, body = ''): string[] =>
  jobKeysOf(queue(from))
    ?.of(common.Job.fromPartial({ ...job, body: Buffer.from(body) }))
    .map(({ key }) => key) ?? [];

test('a queue whose topics care for no keys looks at no job', () => {
  expect(jobKeysOf(queue(undefined, undefined))).toBeUndefined();
});

test('a key is what the producer said, a header, or a value of a JSON body', () => {
  const job = { key: 'ann', headers: { 'X-User': 'bob' } };
  expect(keysOf('', job)).toEqual(['ann']);
  expect(keysOf('header:x-user', job)).toEqual(['bob']);
  expect(keysOf('$.user.id', job, '{"user": {"id": 7}}')).toEqual(['7']);
  expect(keysOf('$.user', job, '{"user": "имя"}')).toEqual(['имя']);
  expect(keysOf('$.on', job, '{"on": false}')).toEqual(['false']);
});

test.each([
  ['$.user.id', 'no JSON'],
  ['$.user.id', '{"user": 7}'],
  ['$.user', '{"user": {"id": 7}}'],
  ['$.user', '{"user": null}'],
  ['$.user', '{"user": ""}'],
  ['$.length', '[1, 2]'.slice(1)],
  ['$.constructor', '{}'],
  ['$.toString.name', '{}'],
  ['$.user', 'null'],
])('%s of %s is no key', (from, body) => {
  expect(keysOf(from, {}, body)).toEqual([]);
});

test('topics that take keys from the same place share one, others have their own', () => {
  const keys = jobKeysOf(queue('$.a', '', '$.a', undefined));
  const body = Buffer.from('{"a": 1}');
  expect(
    keys?.ofMessage(common.Job.encode(common.Job.fromPartial({ key: 'k', body })).finish()),
  ).toEqual([
    { from: '$.a', key: '1' },
    { from: '', key: 'k' },
  ]);
});
