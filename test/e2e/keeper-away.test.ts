import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually, type RunResult, run } from '@malabar/testkit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Bus, MALABAR, type Part, startBus } from '../harness/bus.js';
import { type HttpConsumer, startHttpConsumer } from './http-consumer.js';

const TOKEN = 'the token of this bus';
const PASSWORD = 'of the queue';
const SECRET = 'Bearer shown to the consumer';
const REST: readonly Part[] = ['storage', 'dispatcher', 'ingest'];

let bus: Bus;
let consumer: HttpConsumer;

function documents(...more: string[]): string {
  const target = { http: { url: consumer.url, headers: { authorization: SECRET } } };
  const orders = { password: PASSWORD, topics: { ship: { target } } };
  return ['queues:', `  orders: ${JSON.stringify(orders)}`, ...more, ''].join('\n');
}

beforeAll(async () => {
  consumer = await startHttpConsumer();
  bus = await startBus({
    mode: 'many-processes',
    documents: documents(),
    settings: [`grpc.token=${TOKEN}`],
  });
});

afterAll(async () => {
  await bus?.stop();
  await consumer?.stop();
});

/** Pushes a job as a producer would and waits until the consumer has it. */
async function pushAndReceive(body: string): Promise<void> {
  const account = { username: 'orders', password: PASSWORD };
  const client = new Redis({ port: bus.ports.redis, host: '127.0.0.1', ...account });
  client.on('error', () => {});
  try {
    await eventually(async () => expect(await client.lpush('orders', body)).toBe(1));
    await eventually(() => expect(consumer.bodies()).toContain(body));
  } finally {
    client.disconnect();
  }
}

interface Finding {
  subject: string;
  ok: boolean;
  seen: string;
  todo?: string;
}

/** The command on the machine of the bus, with its settings. */
function malabar(...args: string[]): Promise<RunResult> {
  const keeper = `127.0.0.1:${bus.ports.grpc.keeper}`;
  const env = {
    MALABAR_DATA: join(bus.dir, 'data'),
    MALABAR_GRPC_TOKEN: TOKEN,
    MALABAR_GRPC_LISTEN: keeper,
    MALABAR_ADDRESSES_KEEPER: keeper,
  };
  return run(process.execPath, [MALABAR, ...args], { env, cwd: bus.dir });
}

async function doctor(): Promise<Finding[]> {
  return JSON.parse((await malabar('doctor', '--json')).stdout).findings;
}

const of = (findings: readonly Finding[], subject: string): Finding | undefined =>
  findings.find((finding) => finding.subject === subject);

test('a bus whose keeper is killed goes on, and starts again without it', async () => {
  await pushAndReceive('with the keeper');
  await bus.kill('keeper', 'SIGKILL');
  await pushAndReceive('without the keeper');
  for (const part of REST) await bus.kill(part, 'SIGKILL');
  for (const part of REST) await bus.start(part);
  await pushAndReceive('after a restart of all but the keeper');
  expect(consumer.received.at(-1)?.headers.authorization).toBe(SECRET);
});

test('the snapshots show nothing to who has not the token', () => {
  const folder = join(bus.dir, 'data', 'snapshot');
  const names = readdirSync(folder);
  expect(names).toContain('ingest.snapshot');
  for (const name of names) {
    const text = readFileSync(join(folder, name), 'latin1');
    for (const secret of [SECRET, PASSWORD, TOKEN, 'scrypt$']) expect(text).not.toContain(secret);
  }
});

test('the doctor says that the keeper is away, what runs on which release, and what cannot be done', async () => {
  const findings = await doctor();
  expect(of(findings, 'keeper')).toMatchObject({
    ok: false,
    seen: expect.stringContaining('does not answer'),
    todo: expect.stringContaining('nobody can change queues'),
  });
  for (const part of REST) {
    expect(of(findings, part)).toEqual({
      subject: part,
      ok: true,
      seen: expect.stringMatching(
        /^ready at .*; without a keeper since [-0-9]+ [:0-9]+, runs release 1 from its snapshot$/,
      ),
    });
  }
  expect(of(findings, 'topic orders/ship')).toMatchObject({ ok: true });
});

test('queues and jobs are found by the processes of the machine; what needs a keeper says so', async () => {
  const queues = await malabar('queues', '--json');
  expect(queues.stderr).toMatch(/no keeper answers at \S+; the processes of this machine do/);
  expect(JSON.parse(queues.stdout).queues).toMatchObject([{ queue: 'orders' }]);
  const jobs = await malabar('jobs', 'list', '--topic', 'orders/ship', '--state', 'done', '--json');
  expect(JSON.parse(jobs.stdout).deliveries.length).toBeGreaterThan(1);
  const domains = await malabar('config', 'domains');
  expect(domains.code).toBe(3);
  expect(domains.stderr).toMatch(/no keeper answers at .*; this needs one/);
  const schedules = await malabar('schedules');
  expect(schedules.code).toBe(3);
  expect(schedules.stderr).toMatch(/no scheduler runs on this machine/);
  const elsewhere = await malabar('queues', '--address', `127.0.0.1:${bus.ports.grpc.keeper}`);
  expect(elsewhere.code).toBe(3);
  expect(elsewhere.stdout).toBe('');
});

test('when the keeper is back everything goes on, and what was saved meanwhile arrives', async () => {
  bus.save(documents('  fresh: { topics: { inbox: { target: pull } } }'));
  await bus.start('keeper');
  await pushAndReceive('with the keeper again');
  const client = new Redis({ port: bus.ports.redis, host: '127.0.0.1', username: 'fresh' });
  client.on('error', () => {});
  await eventually(async () => expect(await client.lpush('fresh', 'x')).toBeGreaterThan(0));
  client.disconnect();
  await eventually(async () => {
    const findings = await doctor();
    for (const part of ['keeper', ...REST]) {
      expect(of(findings, part)).toMatchObject({
        ok: true,
        seen: expect.not.stringContaining(';'),
      });
    }
    expect(of(findings, 'configuration release')?.seen).toBe('2, with 2 queues');
  });
});
