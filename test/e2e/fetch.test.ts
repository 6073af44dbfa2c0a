import { setTimeout as pause } from 'node:timers/promises';
import { common } from '@malabar/contracts';
import { eventually } from '@malabar/testkit';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';
import { ErrorReply, RespSocket, type Value } from '../harness/resp-socket.js';

const { DEAD, DISCARDED, DONE, LEASED, READY, SCHEDULED } = common.DeliveryState;
const QUEUES = ['plain', 'other', 'waits', 'count', 'options', 'unique', 'urgent', 'maxlen'];
const documents = `
queues:
${QUEUES.map((name) => `  ${name}: { topics: { inbox: { target: pull } } }`).join('\n')}
  brief: { topics: { inbox: { target: pull, timeout: 1s, retry: { min: 10ms, max: 10ms } } } }
  twice: { topics: { inbox: { target: pull, retry: { attempts: 2, min: 10ms, max: 10ms } } } }
`;

let bus: Bus;
const sockets: RespSocket[] = [];

beforeAll(async () => {
  bus = await startBus({ mode: 'many-processes', documents });
});

afterAll(() => bus?.stop());

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.close();
});

async function client(): Promise<RespSocket> {
  const socket = await RespSocket.open(bus.ports.redis);
  sockets.push(socket);
  return socket;
}

/** One job as GETJOB gives it. */
type Fetched = [queue: string, receipt: string, body: string];

async function getjob(socket: RespSocket, ...words: string[]): Promise<Fetched[] | null> {
  const answer = await socket.ask('GETJOB', ...words);
  if (answer instanceof ErrorReply) throw answer;
  return answer as Fetched[] | null;
}

/** The first job that comes within ten seconds. */
async function take(socket: RespSocket, queue: string): Promise<Fetched> {
  const [job] = (await getjob(socket, 'TIMEOUT', '10000', 'FROM', queue)) ?? [];
  if (job === undefined) throw new Error(`nothing came from ${queue}`);
  return job;
}

async function delivery(jobId: Value) {
  const { deliveries } = await bus.storage.getJob({ jobId: String(jobId) });
  return deliveries[0];
}

test('a job that is not acknowledged in time comes back, and the first receipt is worth nothing', async () => {
  const [one, two] = [await client(), await client()];
  const id = await one.ask('ADDJOB', 'brief', 'x', '0');
  const [, stale] = await take(one, 'brief');
  const [, current, body] = await take(two, 'brief');
  expect(body).toBe('x');
  expect(current).not.toBe(stale);
  expect(await delivery(id)).toMatchObject({
    attempts: 1,
    history: [{ error: expect.stringContaining('within 1000 ms') }],
  });
  expect(await two.ask('ACKJOB', current)).toBe(1);
  for (const word of ['ACKJOB', 'NACK', 'WORKING'])
    expect(await one.ask(word, stale), word).toBe(0);
  expect((await delivery(id))?.state).toBe(DONE);
});

test('a stale receipt does not disturb who has the job now', async () => {
  const [one, two] = [await client(), await client()];
  const id = await one.ask('ADDJOB', 'plain', 'x', '0', 'RETRY', '1');
  const [, stale] = await take(one, 'plain');
  await eventually(async () => expect((await delivery(id))?.attempts).toBe(1));
  await eventually(async () => expect((await delivery(id))?.state).toBe(READY));
  const [, current] = await take(two, 'plain');
  expect(await one.ask('NACK', stale)).toBe(0);
  expect(await two.ask('ACKJOB', current)).toBe(1);
  expect((await delivery(id))?.state).toBe(DONE);
});

test('WORKING keeps a job from coming back', async () => {
  const [one, two] = [await client(), await client()];
  const id = await one.ask('ADDJOB', 'brief', 'x', '0');
  const [, receipt] = await take(one, 'brief');
  for (let i = 0; i < 10; i++) {
    await pause(200);
    expect(await one.ask('WORKING', receipt)).toBe(1);
    expect(await getjob(two, 'NOHANG', 'FROM', 'brief')).toBeNull();
  }
  expect(await delivery(id)).toMatchObject({ state: LEASED, attempts: 0 });
  const [, , body] = await take(two, 'brief');
  expect(body).toBe('x');
});

test('NACK is a failed attempt: tried again, then dead', async () => {
  const socket = await client();
  const id = await socket.ask('ADDJOB', 'twice', 'x', '0');
  for (const attempts of [1, 2]) {
    const [, receipt] = await take(socket, 'twice');
    expect(await socket.ask('NACK', receipt)).toBe(1);
    expect((await delivery(id))?.attempts).toBe(attempts);
  }
  expect((await delivery(id))?.state).toBe(DEAD);
  expect(await getjob(socket, 'NOHANG', 'FROM', 'twice')).toBeNull();
});

test('a wait ends by itself, or at once when a job comes to any of its queues', async () => {
  const [waiting, producer] = [await client(), await client()];
  expect(await getjob(waiting, 'NOHANG', 'FROM', 'waits')).toBeNull();
  expect(await getjob(waiting, 'TIMEOUT', '50', 'FROM', 'waits', 'other')).toBeNull();
  for (const from of [['waits'], ['other', 'waits']]) {
    const answer = getjob(waiting, 'TIMEOUT', '60000', 'FROM', ...from);
    // Time to arrive and wait; were it late, the job would be there already.
    await pause(50);
    await producer.ask('LPUSH', 'waits', 'wake up');
    expect(await answer).toMatchObject([['waits', expect.any(String), 'wake up']]);
  }
});

test('a client that leaves while it waits takes no job with it', async () => {
  const [leaving, staying] = [await client(), await client()];
  const connected = await staying.ask('INFO', 'clients');
  const answer = getjob(leaving, 'FROM', 'waits').catch(() => 'gone');
  await pause(50);
  leaving.close();
  expect(await answer).toBe('gone');
  // Until the bus has heard of it, it may still give the job to whom it takes for a waiting client.
  await eventually(async () => expect(await staying.ask('INFO', 'clients')).not.toBe(connected));
  await staying.ask('LPUSH', 'waits', 'for those who stay');
  const [, , body] = await take(staying, 'waits');
  expect(body).toBe('for those who stay');
});

test('COUNT takes up to so many, the oldest first, over several queues', async () => {
  const socket = await client();
  await socket.ask('RPUSH', 'count', '1', '2', '3', '4', '5');
  await socket.ask('RPUSH', 'other', '6');
  const bodies = (jobs: Fetched[] | null) => jobs?.map(([queue, , body]) => [queue, body]);
  expect(bodies(await getjob(socket, 'COUNT', '3', 'FROM', 'count'))).toEqual([
    ['count', '1'],
    ['count', '2'],
    ['count', '3'],
  ]);
  expect(bodies(await getjob(socket, 'COUNT', '10', 'FROM', 'count', 'other/inbox'))).toEqual([
    ['count', '4'],
    ['count', '5'],
    ['other/inbox', '6'],
  ]);
});

test('DELAY: not before its time, then at once', async () => {
  const socket = await client();
  const id = await socket.ask('ADDJOB', 'options', 'later', '0', 'DELAY', '1');
  expect(await getjob(socket, 'NOHANG', 'FROM', 'options')).toBeNull();
  const before = await delivery(id);
  expect(before?.state).toBe(SCHEDULED);
  const [, , body] = await take(socket, 'options');
  expect(body).toBe('later');
  expect(Date.now()).toBeGreaterThanOrEqual(before?.dueAtMs ?? Number.POSITIVE_INFINITY);
});

test('TTL: after its time nobody gets it', async () => {
  const socket = await client();
  const id = await socket.ask('ADDJOB', 'options', 'too late', '0', 'TTL', '0.05');
  await pause(60);
  expect(await getjob(socket, 'NOHANG', 'FROM', 'options')).toBeNull();
  await eventually(async () => expect((await delivery(id))?.state).toBe(DISCARDED));
});

test('UNIQUE: the same job again within the window is the first one', async () => {
  const socket = await client();
  const add = () => socket.ask('ADDJOB', 'unique', 'x', '0', 'UNIQUE', 'FB138', 'WINDOW', '1');
  const first = await add();
  expect(await add()).toBe(first);
  expect(await socket.ask('LLEN', 'unique')).toBe(1);
  const second = await eventually(async () => {
    const id = await add();
    expect(id).not.toBe(first);
    return id;
  });
  expect(await socket.ask('LLEN', 'unique')).toBe(2);
  expect((await delivery(second))?.state).toBe(READY);
});

test('PRIORITY: the highest first, the oldest first among equals', async () => {
  const socket = await client();
  for (const [body, priority] of [
    ['usual', '0'],
    ['urgent', '5'],
    ['first', '9'],
    ['urgent too', '5'],
  ] as const)
    await socket.ask('ADDJOB', 'urgent', body, '0', 'PRIORITY', priority);
  const jobs = await getjob(socket, 'COUNT', '10', 'FROM', 'urgent');
  expect(jobs?.map(([, , body]) => body)).toEqual(['first', 'urgent', 'urgent too', 'usual']);
});

test('MAXLEN: refused when as many wait', async () => {
  const socket = await client();
  const add = () => socket.ask('ADDJOB', 'maxlen', 'x', '0', 'MAXLEN', '2');
  for (let i = 0; i < 2; i++) expect(await add()).toMatch(/^[0-9a-f-]{36}$/);
  expect(String(await add())).toMatch(/QUEUEFULL/);
  await take(socket, 'maxlen');
  expect(await add()).toMatch(/^[0-9a-f-]{36}$/);
});
