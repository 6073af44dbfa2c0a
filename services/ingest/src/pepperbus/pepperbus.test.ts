import { expect, test } from 'vitest';
import { command, RawClient, startRig } from '../rig.suite.js';
import { queueConfig } from '../storage-double.suite.js';
import { goJson } from './replies.js';

const queues = [
  queueConfig('shop', { password: 'hash of a:b', topics: ['ship:hash of t', 'sms'] }),
];

function bulk(json: unknown): string {
  const text = goJson(json);
  return `$${text.length}\r\n${text}\r\n`;
}

const failure = (error: string) => bulk({ jobs: null, inTraceId: '', error });

async function pushReply(client: RawClient, ...args: string[]) {
  const [, json] = await client.match(command('LPUSH', ...args), /^\$\d+\r\n(.*)\r\n$/);
  return JSON.parse(json as string) as { jobs: string[] | null; inTraceId: string; error: string };
}

test('a push is answered with one bulk of JSON: ids in the order of the values, one trace', async () => {
  const { pepperbus, storage } = await startRig({ queues });
  const client = new RawClient(pepperbus);
  await client.expect(command('AUTH', 'shop:a:b'), '+OK\r\n');
  const reply = await pushReply(client, 'shop/default', 'one', '\xff\0');
  expect(Object.keys(reply)).toEqual(['jobs', 'inTraceId', 'error']);
  expect(reply.jobs).toHaveLength(2);
  expect(reply.error).toBe('');
  expect(reply.inTraceId).toMatch(/^[0-9a-f]{32}$/);
  expect(storage.bodies()).toEqual(['one', '\xff\0']);
  expect(storage.jobs[0]?.job.traceParent).toContain(`00-${reply.inTraceId}-`);
});

test('errors of a push are the texts of pepperbus, checked in its order, each answered once', async () => {
  const { pepperbus } = await startRig({ queues });
  const client = new RawClient(pepperbus);
  await client.expect(command('LPUSH'), failure('Invalid Args'));
  const meta = 'ParseJob fail: invalid job meta info: <shop>';
  await client.expect(command('LPUSH', '<shop>'), failure(meta));
  expect(meta && goJson(meta)).toContain('\\u003cshop\\u003e');
  await client.expect(command('LPUSH', 'shop/x'), failure('NOAUTH Authentication required.'));
  await client.expect(command('AUTH', 'shop/ship:t'), '+OK\r\n');
  await client.expect(
    command('LPUSH', 'shop/ship', 'v'),
    failure('NOAUTH Authentication required.'),
  );
  await client.expect(command('AUTH', 'shop:a:b'), '+OK\r\n');
  await client.expect(
    command('LPUSH', 'shop/x') + command('PING'),
    `${failure('empty jobs')}+PONG\r\n`,
  );
});

test('a queue that went away is named, and what storage refuses is never a success', async () => {
  const { pepperbus, storage, ingest } = await startRig({ queues });
  const client = new RawClient(pepperbus);
  await client.expect(command('AUTH', 'shop:a:b'), '+OK\r\n');
  storage.answer = (response) => {
    response.fault = { code: 'DISK_FULL', message: 'no space' };
  };
  const refused = await pushReply(client, 'shop/x', 'v');
  expect(refused).toMatchObject({ jobs: null, error: 'DISK_FULL: no space' });
  const large = await pushReply(client, 'shop/x', 'v'.repeat(100_000));
  expect(large.error).toMatch(/^TOO_LARGE: body of 100000 bytes/);
  ingest.configure({ release: 2, queues: [], schedules: [], sources: [] });
  await client.expect(command('LPUSH', 'shop/x', 'v'), failure('queue or Topic not exist shop'));
});

test('one identity at a time, and a failed AUTH drops it', async () => {
  const { pepperbus } = await startRig({ queues });
  const client = new RawClient(pepperbus);
  await client.expect(command('PING'), '-NOAUTH Authentication required.\r\n');
  await client.expect(command('AUTH'), "-ERR wrong number of arguments for 'auth' command\r\n");
  await client.expect(command('AUTH', 'shop/sms:a:b') + command('PING'), '+OK\r\n+PONG\r\n');
  await client.expect(command('AUTH', 'shop:no'), '-ERR invalid password\r\n');
  await client.expect(command('PING'), '-NOAUTH Authentication required.\r\n');
});

test('RPOP gives the envelope that pepperbus workers know, and only to the topic', async () => {
  const { pepperbus, storage } = await startRig({ queues });
  const client = new RawClient(pepperbus);
  await client.expect(command('AUTH', 'shop:a:b'), '+OK\r\n');
  const { jobs, inTraceId } = await pushReply(client, 'shop/default', '{"a":"<ü>"}');
  await client.expect(command('RPOP', 'shop/ship'), '-NOAUTH Authentication required.\r\n');
  await client.expect(command('AUTH', 'shop/ship:t'), '+OK\r\n');
  const [, json] = await client.match(command('RPOP', 'shop/ship'), /^\$\d+\r\n(.*)\r\n$/);
  expect(json).toContain('\\u003c');
  expect(JSON.parse(json as string)).toEqual({
    jobs: [
      {
        id: jobs?.[0],
        inTraceId,
        content: expect.stringMatching(/^\{"a":"<.*>"\}$/),
        retrying: 0,
        RetryTimes: 0,
        RetryTime: 0,
        IsRetry: false,
        BeginRetry: false,
        RetryResidueTime: 0,
      },
    ],
  });
  expect(storage.fetches[0]).toMatchObject({ settle: true, topic: 'ship', maxJobs: 1 });
  await client.expect(command('RPOP', 'shop/ship'), '$-1\r\n');
  await client.expect(command('RPOP'), '$12\r\nInvalid Args\r\n');
});

test('INFO is fast and needs no AUTH; other commands do not exist', async () => {
  const { pepperbus } = await startRig({ queues });
  const client = new RawClient(pepperbus);
  await client.match(command('INFO'), /^\+malabar/);
  await client.expect(command('Rpush', 'shop/x', 'v'), "-ERR unknown command 'Rpush'\r\n");
  await client.expect('SELECT 0\r\n', "-ERR unknown command 'SELECT'\r\n");
});

test('a queue without a password takes any, where it is open anyway', async () => {
  const { pepperbus } = await startRig();
  const client = new RawClient(pepperbus);
  await client.expect(command('AUTH', 'none:x'), '-ERR invalid password\r\n');
  await client.expect(command('AUTH', 'q:anything'), '+OK\r\n');
  expect((await pushReply(client, 'q/default', 'v')).error).toBe('');
});
