import { expect, test } from 'vitest';
import { PREFIX, readPeppercron } from './store.js';

const read = (values: Record<string, unknown>) =>
  readPeppercron(
    Object.entries(values).map(([key, value]) => {
      const text = typeof value === 'string' ? value : JSON.stringify(value);
      return { key: PREFIX + key, value: Buffer.from(text), revision: 1 };
    }),
  );

const JOB = { name: 'a', schedule: '@daily', timezone: 'UTC', executor_params: ['true'] };

test('every kind of key is taken, counted or doubted', () => {
  const store = read({
    'jobs/a': JOB,
    'dispatch/a': { job_completed: true },
    'agent/n1/jobs/a:n1:1': JOB,
    'agent/nodes/alive/n1': 'batch,web',
    'agent/execution/a:n1:1/n1/2': {},
    'agent/execution/a:n1:1/n1/3': {},
    'job/execution/a/2': {},
    'conf/global': { job_result_storage: { auth: 'secret' } },
    'conf/nodes/n1': { tags: 'batch' },
    'conf/nodes/n2': { tags: 'web' },
    'election/master/6ff2': 'n1',
    'locks/a': '1',
  });
  expect(store.jobs).toMatchObject([{ name: 'a', key: '/pepper/cron/jobs/a', faults: [] }]);
  expect([...store.completed]).toEqual(['a']);
  expect(Object.fromEntries(store.nodes)).toEqual({
    n1: { isAlive: true, tags: ['batch', 'web'] },
    n2: { isAlive: false, tags: ['web'] },
  });
  expect(store.leftOut).toEqual([
    'results of runs on nodes: 2 keys',
    'results of runs: 1 key',
    'the global configuration (ports, MySQL, Redis): 1 key',
  ]);
  expect(store.doubts).toEqual(['/pepper/cron/locks/a: is no key that peppercron writes']);
  expect(JSON.stringify(store)).not.toContain('secret');
});

test.each([
  ['dispatch/a', 'no JSON'],
  ['conf/nodes/n1', '[]'],
  ['conf/nodes/n1', { tags: 3 }],
  ['agent/n1/jobs/a:n1:1', '{'],
])('a value below %s that is broken is doubted by its key', (key, value) => {
  expect(read({ 'jobs/a': JOB, [key]: value }).doubts.join()).toContain(PREFIX + key);
});

test('nodes that run what is no job any more, or an earlier version, are named', () => {
  const { doubts } = read({
    'jobs/a': JOB,
    'agent/n1/jobs/a:n1:1': { ...JOB, schedule: '@hourly' },
    'agent/n2/jobs/b:n2:1': { ...JOB, name: 'b' },
  });
  expect(doubts).toEqual([
    "/pepper/cron/agent/n1/jobs/a:n1:1: n1 runs 'a' with an earlier schedule",
    "/pepper/cron/agent/n2/jobs/b:n2:1: n2 runs 'b', which is no job any more",
  ]);
});

test('jobs that are numbers come in the order of their numbers', () => {
  const store = read({
    'jobs/10': { name: '10' },
    'jobs/9': { name: '9' },
    'jobs/x': { name: 'x' },
  });
  expect(store.jobs.map(({ name }) => name)).toEqual(['9', '10', 'x']);
});
