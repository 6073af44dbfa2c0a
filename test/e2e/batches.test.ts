import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { batches } from '@malabar/contracts';
import { connect } from '@malabar/sdk';
import { eventually, seededRandom } from '@malabar/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';
import { commandLine } from '../harness/command.js';
import { RespSocket } from '../harness/resp-socket.js';

const SEED = Number(process.env.BATCH_SEED ?? Date.now() % 1_000_000);
const JOBS = 400;
const KILLS = 6;

interface Follower {
  totals: Record<string, unknown>;
  body: string;
  jobId: string;
}

/** What the job that follows a batch carries. */
let followers: Follower[];
/** Bodies with `no` are refused for good. */
let consumer: Awaited<ReturnType<typeof startConsumer>>;
let bus: Bus;

async function startConsumer() {
  const batchesSeen = new Set<string>();
  const server = createServer(async (req, res) => {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const totals = req.headers['malabar-header-malabar-batch-totals'];
    const batch = req.headers['malabar-header-malabar-batch'];
    if (typeof batch === 'string') batchesSeen.add(batch);
    if (typeof totals === 'string') {
      const jobId = String(req.headers['malabar-job-id']);
      followers.push({ totals: JSON.parse(totals), body, jobId });
    }
    if (body.includes('no')) res.setHeader('Malabar-Outcome', 'dead');
    res.statusCode = body.includes('no') ? 500 : 200;
    res.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/`, batchesSeen, stop: () => server.close() };
}

beforeAll(async () => {
  followers = [];
  consumer = await startConsumer();
  const topic = `{ target: "${consumer.url}", concurrency: 8, retry: { attempts: 1000, min: 20ms, max: 100ms, crashes: 1000 } }`;
  bus = await startBus({
    mode: 'many-processes',
    documents: `
queues:
  photos: { topics: { scale: ${topic}, tag: ${topic} } }
  mails: { topics: { send: ${topic} } }
  done: { topics: { report: ${topic} } }
`,
  });
});

afterAll(async () => {
  await bus?.stop();
  consumer?.stop();
});

const followersOf = (id: string): Follower[] => followers.filter((one) => one.totals.batch === id);

test('from the Redis port: open, push into two queues, close, and the totals follow', async () => {
  const socket = await RespSocket.open(bus.ports.redis);
  const id = String(await socket.ask('BATCHOPEN', 'done', 'it is over', 'HEADER', 'user', '7'));
  await socket.ask('ADDJOB', 'photos', 'p1', '0', 'BATCH', id);
  await socket.ask('ADDJOB', 'mails', 'no', '0', 'BATCH', id);
  const pushed = await fetch(`http://127.0.0.1:${bus.ports.http}/v1/queues/mails/jobs`, {
    method: 'POST',
    headers: { 'Malabar-Batch': id },
    body: 'by HTTP',
  });
  expect(pushed.status).toBe(201);
  const outsider = await socket.ask('ADDJOB', 'mails', 'x', '0', 'BATCH', 'nonsense');
  expect(String(outsider)).toMatch(/batch 'nonsense' has ended or was never opened/);
  await socket.ask('BATCHCLOSE', id);
  await eventually(() => expect(followersOf(id)).toHaveLength(1));
  expect(followersOf(id)[0]).toMatchObject({
    body: 'it is over',
    totals: { state: 'ended', jobs: 3, deliveries: 4, done: 3, dead: 1, discarded: 0 },
  });
  expect(consumer.batchesSeen.has(id)).toBe(true);
  const shown = (await socket.ask('BATCHSHOW', id)) as unknown[];
  expect(shown.slice(0, 4)).toEqual(['id', id, 'state', 'ended']);
  socket.close();
});

test('from the command: open, push, close, list, show and abandon', async () => {
  const command = commandLine(bus);
  const id = (await command.ok('batches', 'open', 'done', '--success')).trim();
  await command.ok('push', 'mails', 'm', '--count', '3', '--batch', id);
  expect(await command.ok('batches', '--state', 'open')).toContain(id);
  await command.ok('batches', 'close', id);
  await eventually(() => expect(followersOf(id)).toHaveLength(1));
  const shown = await command.ok('batches', 'show', id);
  expect(shown).toMatch(/state +ended/);
  expect(shown).toContain(`then      done if all is done: job ${followersOf(id)[0]?.jobId}`);
  const given = (await command.ok('batches', 'open', 'done')).trim();
  expect(await command.ok('batches', 'abandon', given)).toMatch(/state +abandoned/);
  expect((await command.run('batches', 'close', given)).stderr).toMatch(/was abandoned/);
  expect((await command.run('batches', 'show', 'nothing')).code).toBe(4);
});

test('kill -9 of storage and dispatcher while batches run: each is followed once, with the right totals', {
  timeout: 300_000,
}, async () => {
  const malabar = connect({ address: `127.0.0.1:${bus.ports.grpc.ingest}`, timeout: '60s' });
  const random = seededRandom(SEED);
  console.log(`seed ${SEED}`);
  const opened: Array<{ id: string; dead: number }> = [];
  let isOver = false;
  const produce = async (): Promise<void> => {
    while (!isOver) {
      const batch = await malabar.batch({ next: { event: 'done', params: { from: 'node' } } });
      const bodies = Array.from({ length: JOBS }, (_, i) =>
        i % 50 === 0 ? 'no' : `n${i}`.slice(1),
      );
      await batch.publishAll(bodies.map((body) => ({ event: 'photos', params: { body } })));
      await batch.publish('mails', { body: 'last' });
      const dead = bodies.filter((body) => body === 'no').length * 2;
      opened.push({ id: batch.id, dead });
      await batch.close();
    }
  };
  const producing = Promise.all([produce(), produce()]);
  for (let i = 0; i < KILLS; i++) {
    await pause(200 + random() * 800);
    const victim = i % 3 === 2 ? 'dispatcher' : 'storage';
    await bus.kill(victim, 'SIGKILL');
    await bus.start(victim);
    await bus.ready();
  }
  isOver = true;
  await producing;
  await eventually(
    async () => {
      const { batches: open } = await bus.storage.listBatches({
        state: batches.BatchState.CLOSED,
        limit: 1000,
        cursor: '',
      });
      expect(open).toEqual([]);
    },
    { timeoutMs: 120_000 },
  );
  for (const { id, dead } of opened) {
    await eventually(() => expect(followersOf(id).length).toBeGreaterThan(0));
    // Delivered at least once, as any job; but it is one job, and all that it says is the same.
    expect(new Set(followersOf(id).map((one) => JSON.stringify(one))).size).toBe(1);
    expect(followersOf(id)[0]).toMatchObject({
      body: '{"v":1,"event":"done","params":{"from":"node"}}',
      totals: {
        state: 'ended',
        jobs: JOBS + 1,
        deliveries: 2 * JOBS + 1,
        done: 2 * JOBS + 1 - dead,
        dead,
        discarded: 0,
        errors: [{ code: '500', count: dead }],
      },
    });
  }
  console.log(`${opened.length} batches of ${JOBS + 1} jobs over ${KILLS} kills`);
  for await (const { done, problems } of bus.storage.verify({ queue: '' }))
    if (done) expect(problems).toEqual([]);
  await malabar.close();
});
