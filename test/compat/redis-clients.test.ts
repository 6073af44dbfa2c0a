import { fileURLToPath } from 'node:url';
import { common } from '@malabar/contracts';
import { eventually, needs, packages, php, python, run } from '@malabar/testkit';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';

const UUID = /^[0-9a-f-]{36}$/;
const script = (name: string): string =>
  fileURLToPath(new URL(`./clients/${name}`, import.meta.url));

let bus: Bus;

const names = ['cli', 'benchmark', 'ioredis', 'noderedis', 'phpredis', 'redispy', 'guarded'];
const documents = `
queues:
${names.map((name) => `  ${name}: { ${name === 'guarded' ? 'password: open-sesame, ' : ''}topics: { inbox: { target: pull } } }`).join('\n')}
`;

beforeAll(async () => {
  bus = await startBus({ documents });
});

afterAll(() => bus?.stop());

/** The bodies that wait in a queue, oldest first. */
async function bodies(queue: string): Promise<string[]> {
  const states = [common.DeliveryState.READY, common.DeliveryState.SCHEDULED];
  const found: string[] = [];
  for (const state of states) {
    const page = await bus.storage.listJobs({
      queue,
      topic: 'inbox',
      state,
      limit: 1000,
      cursor: '',
      withBody: true,
    });
    for (const { job } of page.deliveries) found.push(Buffer.from(job?.body ?? []).toString());
  }
  return found;
}

needs(test, await packages.redisTools())('redis-cli pushes, counts and quits', async () => {
  const cli = (...args: string[]) => run('redis-cli', ['-p', String(bus.ports.redis), ...args]);
  expect((await cli('LPUSH', 'cli', 'one', 'two')).stdout).toBe('2\n');
  expect((await cli('ADDJOB', 'cli', 'three', '0', 'DELAY', '60')).stdout.trim()).toMatch(UUID);
  expect((await cli('LLEN', 'cli')).stdout).toBe('2\n');
  expect((await cli('LPUSH', 'nowhere', 'x')).stdout).toMatch(/NOQUEUE/);
  expect((await cli('-3', 'PING')).stdout).toBe('PONG\n');
  const interactive = await run('redis-cli', ['-p', String(bus.ports.redis)], {
    input: 'LPUSH cli four\nMULTI\nquit\n',
  });
  expect(interactive.stdout).toMatch(/^3\n/);
  expect(interactive.stdout).toMatch(/ERR.*MULTI/);
  expect(await bodies('cli')).toEqual(['one', 'two', 'four', 'three']);
});

needs(test, await packages.redisTools())('redis-benchmark runs through a pipeline', async () => {
  const args = ['-p', String(bus.ports.redis), '-n', '2000', '-P', '16', '-c', '10', '--csv'];
  const { stdout, code } = await run('redis-benchmark', [...args, 'LPUSH', 'benchmark', 'x']);
  expect(code).toBe(0);
  expect(stdout).toMatch(/"LPUSH benchmark x","\d+/);
  const { queues } = await bus.storage.listQueues({ queue: 'benchmark' });
  expect(queues[0]?.accepted).toBe(2000);
});

test('ioredis pushes, with and without a pipeline', async () => {
  const client = new Redis({ port: bus.ports.redis, host: '127.0.0.1', connectionName: 'test' });
  expect(await client.lpush('ioredis', 'one')).toBe(1);
  const replies = await client.pipeline().rpush('ioredis', 'two').llen('ioredis').exec();
  expect(replies).toEqual([
    [null, 2],
    [null, 2],
  ]);
  expect(await client.call('ADDJOB', 'ioredis', 'three', '0', 'PRIORITY', '5')).toMatch(UUID);
  const binary = Buffer.from([0, 255, 13, 10, 128]);
  await client.lpush('ioredis', binary);
  await client.quit();
  expect(await bodies('ioredis')).toEqual(['three', 'one', 'two', binary.toString()]);
});

test.each([2, 3] as const)('node-redis pushes over RESP%d', async (RESP) => {
  const client = createClient({ url: `redis://127.0.0.1:${bus.ports.redis}`, RESP });
  await client.connect();
  const before = await client.lLen('noderedis');
  expect(await client.lPush('noderedis', ['one', 'two'])).toBe(before + 2);
  const id = await client.sendCommand(['ADDJOB', 'noderedis', 'three', '0']);
  expect(String(id)).toMatch(UUID);
  await client.close();
  expect(await client.isOpen).toBe(false);
});

needs(
  test,
  await packages.php(),
  await packages.phpRedis(),
)('phpredis pushes', async () => {
  const { stdout } = await php([script('push.php'), String(bus.ports.redis), 'phpredis', 'hello']);
  const [length, id, waiting] = stdout.split('\n');
  expect([length, waiting]).toEqual(['1', '1']);
  expect(id).toMatch(UUID);
  await eventually(async () => expect(await bodies('phpredis')).toEqual(['hello', 'hello later']));
});

needs(test, await packages.pythonRedis())('redis-py pushes', async () => {
  const { stdout } = await python([script('push.py'), String(bus.ports.redis), 'redispy', 'hello']);
  const [length, pipelined, id] = stdout.split('\n');
  expect([length, pipelined]).toEqual(['1', '10']);
  expect(id).toMatch(UUID);
  expect((await bodies('redispy')).length).toBe(12);
});

test('a queue with a password takes jobs only from clients that know it', async () => {
  const options = { port: bus.ports.redis, host: '127.0.0.1', retryStrategy: () => null };
  const stranger = new Redis(options);
  await expect(stranger.lpush('guarded', 'x')).rejects.toThrow(/NOAUTH/);
  await expect(stranger.call('AUTH', 'guarded', 'wrong')).rejects.toThrow(/WRONGPASS/);
  stranger.disconnect();
  const friend = new Redis({ ...options, username: 'guarded', password: 'open-sesame' });
  expect(await friend.lpush('guarded', 'x')).toBe(1);
  friend.disconnect();
});

test('a fetching client takes a job, loses it, gets it again and says yes', async () => {
  const client = new Redis({ port: bus.ports.redis, host: '127.0.0.1' });
  await client.lpush('cli', 'to fetch');
  const take = async (): Promise<[string, string, string]> => {
    const jobs = (await client.call('GETJOB', 'TIMEOUT', '2000', 'COUNT', '10', 'FROM', 'cli')) as [
      [string, string, string],
    ];
    return jobs.find(([, , body]) => body === 'to fetch') ?? ['', '', ''];
  };
  const [queue, receipt] = await take();
  expect(queue).toMatch(/^cli/);
  expect(await client.call('NACK', receipt)).toBe(1);
  const [, again] = await eventually(async () => {
    const job = await take();
    return job[1] !== '' && job;
  });
  expect(again).not.toBe(receipt);
  expect(await client.call('ACKJOB', again)).toBe(1);
  expect(await client.call('ACKJOB', again)).toBe(0);
  await client.quit();
});
