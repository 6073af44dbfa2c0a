import { eventually } from '@malabar/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';
import { RespSocket } from '../harness/resp-socket.js';

const documents = `
queues:
  said: { topics: { inbox: { target: pull, key: job } } }
  read: { topics: { inbox: { target: pull, key: $.user.id } } }
  slow: { topics: { inbox: { target: pull, rate: 1/h } } }
`;

let bus: Bus;
let socket: RespSocket;

beforeAll(async () => {
  bus = await startBus({ documents });
  socket = await RespSocket.open(bus.ports.redis);
});

afterAll(async () => {
  socket?.close();
  await bus?.stop();
});

/** Everything that may be had at once, as `receipt` and `body`. */
async function take(queue: string): Promise<Array<{ receipt: string; body: string }>> {
  const words = ['NOHANG', 'COUNT', '100', 'FROM', queue];
  const jobs = ((await socket.ask('GETJOB', ...words)) ?? []) as Array<[string, string, string]>;
  return jobs.map(([, receipt, body]) => ({ receipt, body }));
}

test('a worker gets the jobs of a key one by one and in order, while keys take turns', async () => {
  for (let i = 0; i < 20; i++) await socket.ask('ADDJOB', 'said', `ann-${i}`, '0', 'KEY', 'ann');
  await socket.ask('ADDJOB', 'said', 'bob-0', '0', 'KEY', 'bob');
  await socket.ask('LPUSH', 'said', 'nobody');
  const first = await take('said');
  expect(first.map(({ body }) => body).sort()).toEqual(['ann-0', 'bob-0', 'nobody']);
  expect(await take('said')).toEqual([]);
  const [{ topics = [] } = {}] = (await bus.storage.listQueues({ queue: 'said' })).queues;
  expect(topics).toMatchObject([{ ready: 19, leased: 3, keysBusy: true }]);
  const seen: string[] = [];
  for (let held = first; held.length > 0; held = await take('said'))
    for (const { receipt, body } of held) {
      if (body.startsWith('ann')) seen.push(body);
      expect(await socket.ask('ACKJOB', receipt)).toBe(1);
    }
  expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => `ann-${i}`));
});

test('a key in a JSON body holds for any client, and over kill -9', async () => {
  const job = (user: number, n: number): string => JSON.stringify({ user: { id: user }, n });
  await socket.ask('LPUSH', 'read', job(1, 1), job(1, 2), job(2, 1));
  await bus.kill('all', 'SIGKILL');
  await bus.start('all');
  socket.close();
  socket = await RespSocket.open(bus.ports.redis);
  const got: string[] = [];
  await eventually(async () => {
    got.push(...(await take('read')).map(({ body }) => body));
    expect(got.sort()).toEqual([job(1, 1), job(2, 1)].sort());
  });
});

test('what a rate does not let go waits, and says so', async () => {
  await socket.ask('LPUSH', 'slow', 'a', 'b');
  const got: string[] = [];
  await eventually(async () => {
    got.push(...(await take('slow')).map(({ body }) => body));
    expect(got).toHaveLength(1);
  });
  expect(await take('slow')).toEqual([]);
  const { queues } = await bus.storage.listQueues({ queue: 'slow' });
  expect(queues[0]?.topics).toMatchObject([{ ready: 1, rateReached: true, keysBusy: false }]);
});
