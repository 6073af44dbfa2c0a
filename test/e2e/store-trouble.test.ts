import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually, needs, type Requirement, run } from '@malabar/testkit';
import { afterEach, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';
import { EDGES, push } from '../harness/edges.js';
import { startHttpConsumer } from './http-consumer.js';

const MIB = 1024 * 1024;
const JOB_BYTES = 200_000;
const INBOX = 'topics: { inbox: { target: pull } }';
const open: Array<{ stop(): Promise<void> }> = [];

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.stop();
});

async function keep<T extends { stop(): Promise<void> }>(started: Promise<T>): Promise<T> {
  const one = await started;
  open.push(one);
  return one;
}

test('without storage every way in refuses at once; with storage all goes on', async () => {
  const bus = await keep(
    startBus({ mode: 'many-processes', documents: `queues: { orders: { ${INBOX} } }` }),
  );
  const job = { queue: 'orders', body: 'x' };
  for (const edge of EDGES) expect(await push(bus, edge, job)).toBe('accepted');
  await bus.kill('storage', 'SIGKILL');
  for (const edge of EDGES)
    await eventually(async () => expect(await push(bus, edge, job)).toBe('UNAVAILABLE'));
  await bus.start('storage');
  for (const edge of EDGES)
    await eventually(async () => expect(await push(bus, edge, job)).toBe('accepted'));
  expect(await waiting(bus, 'orders')).toBeGreaterThanOrEqual(2 * EDGES.length);
});

test('a damaged store is not opened, and the message says what to do', async () => {
  const bus = await keep(startBus({ documents: `queues: { orders: { ${INBOX} } }` }));
  for (let i = 0; i < 50; i++)
    expect(await push(bus, 'redis', { queue: 'orders', body: `job ${i}` })).toBe('accepted');
  await bus.kill('all', 'SIGTERM');
  const file = storeFile(bus);
  const whole = readFileSync(file);
  const damaged = Buffer.from(whole);
  for (let at = 2 * 4096; at < damaged.length; at += 4096) damaged.fill(0xa5, at + 8, at + 40);
  writeFileSync(file, damaged);
  const refusal = await bus.start('all').then(() => 'it started', String);
  expect(refusal).toMatch(/it ended with 1\n/);
  expect(refusal).toMatch(/data\.mdb is damaged: .*Restore the folder from a backup/);
  expect(readFileSync(file).equals(damaged), 'nothing was changed').toBe(true);
  writeFileSync(file, whole);
  await bus.start('all');
  expect(await waiting(bus, 'orders')).toBe(50);
});

test('a store at its limit refuses jobs, delivers what it has and has room again', async () => {
  const bus = await keep(
    startBus({
      documents: `queues: { orders: { retention: 0s, ${INBOX} } }`,
      settings: ['storage.bytes_max=8MiB'],
    }),
  );
  const accepted = await pushUntilFull(bus, 'orders');
  expect(accepted).toBeGreaterThan(10);
  expect(await refusals(bus, 'orders')).toEqual(Array(EDGES.length).fill('DISK_FULL'));
  expect(await waiting(bus, 'orders')).toBe(accepted);
  const consumer = await keep(startHttpConsumer());
  // A producer that never pauses must not keep the store from making room.
  const again = eventually(
    async () => expect(await push(bus, 'redis', { queue: 'orders', body: 'x' })).toBe('accepted'),
    { timeoutMs: 20_000, everyMs: 1 },
  );
  bus.save(
    `queues: { orders: { retention: 0s, topics: { inbox: { target: '${consumer.url}' } } } }`,
  );
  await again;
  await eventually(() => expect(new Set(consumer.bodies()).size).toBe(accepted + 1));
});

needs(test, await prlimit())(
  'a disk that is full refuses jobs, loses none and goes on when it has room',
  async () => {
    const consumer = await keep(startHttpConsumer());
    const ship = `ship: { target: '${consumer.url}', paused: true }`;
    const bus = await keep(
      startBus({
        mode: 'many-processes',
        documents: `queues: { orders: { topics: { ${ship} } } }`,
      }),
    );
    expect(await push(bus, 'redis', { queue: 'orders', body: 'first' })).toBe('accepted');
    // As a full disk looks to the process: a file cannot grow any more.
    const limit = statSync(storeFile(bus)).size + 6 * MIB;
    await limitFiles(bus, String(limit));
    const accepted = 1 + (await pushUntilFull(bus, 'orders'));
    expect(accepted).toBeGreaterThan(10);
    expect(await refusals(bus, 'orders')).toEqual(Array(EDGES.length).fill('DISK_FULL'));
    expect(await waiting(bus, 'orders')).toBe(accepted);

    // What was accepted is delivered and acknowledged on the full disk.
    bus.save(`queues: { orders: { topics: { ship: { target: '${consumer.url}' } } } }`);
    await eventually(() => expect(new Set(consumer.bodies()).size).toBe(accepted));
    await eventually(async () => expect(await waiting(bus, 'orders')).toBe(0));

    await limitFiles(bus, 'unlimited');
    await eventually(async () =>
      expect(await push(bus, 'redis', { queue: 'orders', body: 'last' })).toBe('accepted'),
    );
    await eventually(() => expect(consumer.bodies()).toContain('last'));
    for await (const { done, problems } of bus.storage.verify({ queue: '' }))
      if (done) expect(problems).toEqual([]);
  },
);

/** What each way in says to one more job of the same size. */
function refusals(bus: Bus, queue: string): Promise<string[]> {
  const body = Buffer.alloc(JOB_BYTES, 'x');
  return Promise.all(EDGES.map((edge) => push(bus, edge, { queue, body })));
}

/** Pushes bodies of their own until the store says DISK_FULL; returns how many it took. */
async function pushUntilFull(bus: Bus, queue: string): Promise<number> {
  for (let accepted = 0; accepted < 1000; accepted++) {
    const body = String(accepted).padEnd(JOB_BYTES, '.');
    const answer = await push(bus, 'redis', { queue, body });
    if (answer === 'accepted') continue;
    expect(answer).toBe('DISK_FULL');
    return accepted;
  }
  throw new Error('the store was never full');
}

/** Ready and leased deliveries of the queue's topic. */
async function waiting(bus: Bus, queue: string): Promise<number> {
  const { queues } = await bus.storage.listQueues({ queue });
  const [topic] = queues[0]?.topics ?? [];
  return (topic?.ready ?? 0) + (topic?.leased ?? 0);
}

function storeFile(bus: Bus): string {
  return join(bus.dir, 'data', 'store', 'data.mdb');
}

async function limitFiles(bus: Bus, bytes: string): Promise<void> {
  const args = ['--pid', String(bus.pid('storage')), `--fsize=${bytes}:`];
  const { code, stderr } = await run('prlimit', args);
  expect(stderr).toBe('');
  expect(code).toBe(0);
}

async function prlimit(): Promise<Requirement> {
  const { code } = await run('prlimit', ['--version']).catch(() => ({ code: 1 }));
  return { name: 'prlimit', ...(code === 0 ? {} : { missing: 'prlimit is not here' }) };
}
