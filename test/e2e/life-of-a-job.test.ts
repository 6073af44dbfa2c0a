import { common, dispatcher } from '@malabar/contracts';
import { Channel } from '@malabar/core';
import { connect } from '@malabar/rpc';
import { eventually } from '@malabar/testkit';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';
import { type HttpConsumer, startHttpConsumer } from './http-consumer.js';

const { DeliveryState, OutcomeKind } = common;
const open: Array<{ stop(): Promise<void> }> = [];

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.stop();
});

async function keep<T extends { stop(): Promise<void> }>(started: Promise<T>): Promise<T> {
  const one = await started;
  open.push(one);
  return one;
}

function redis(bus: Bus): Redis {
  const client = new Redis({ port: bus.ports.redis, host: '127.0.0.1' });
  open.push({ stop: async () => client.disconnect() });
  return client;
}

async function topicCounts(bus: Bus, queue: string, topic: string) {
  const { queues } = await bus.storage.listQueues({ queue });
  return queues[0]?.topics.find((one) => one.topic === topic);
}

const retry = 'retry: { attempts: 3, min: 20ms, max: 20ms, backoff: fixed }';

describe.each(['one-process', 'many-processes'] as const)('%s', (mode) => {
  test('every topic of the queue gets the job', async () => {
    const ship = await keep(startHttpConsumer());
    const mail = await keep(startHttpConsumer());
    const bus = await keep(
      startBus({
        mode,
        documents: `queues: { paid: { topics: { ship: { target: '${ship.url}' }, mail: { target: '${mail.url}' } } } }`,
      }),
    );
    expect(await redis(bus).lpush('paid', 'one', 'two')).toBe(2);
    await eventually(() => {
      expect(ship.bodies().sort()).toEqual(['one', 'two']);
      expect(mail.bodies().sort()).toEqual(['one', 'two']);
    });
    expect(ship.received[0]?.headers).toMatchObject({
      'malabar-queue': 'paid',
      'malabar-topic': 'ship',
      'malabar-attempt': '1',
    });
  });

  test('a job that fails is tried again, dies with every error, and can be replayed', async () => {
    let answer = 500;
    const consumer = await keep(
      startHttpConsumer((_, response) => response.writeHead(answer).end(`no luck ${answer}`)),
    );
    const bus = await keep(
      startBus({
        mode,
        documents: `queues: { orders: { topics: { ship: { target: '${consumer.url}', ${retry} } } } }`,
      }),
    );
    const id = (await redis(bus).call('ADDJOB', 'orders', 'a', '0')) as string;
    await eventually(async () =>
      expect(await topicCounts(bus, 'orders', 'ship')).toMatchObject({ dead: 1, ready: 0 }),
    );
    const { deliveries } = await bus.storage.getJob({ jobId: id });
    expect(deliveries[0]).toMatchObject({ state: DeliveryState.DEAD, attempts: 3 });
    expect(deliveries[0]?.history.map(({ error }) => error)).toEqual(
      Array(3).fill(expect.stringContaining('no luck 500')),
    );
    answer = 200;
    for await (const progress of bus.storage.replay({
      queue: 'orders',
      topic: 'ship',
      jobIds: [],
      force: false,
    }))
      expect(progress).toEqual({ replayed: 1, total: 1, refused: 0 });
    await eventually(async () =>
      expect(await topicCounts(bus, 'orders', 'ship')).toMatchObject({ dead: 0, done: 1 }),
    );
    expect(consumer.received.length).toBe(4);
  });

  test('a gRPC worker receives, fails one job for good and says yes to another', async () => {
    const bus = await keep(
      startBus({
        mode,
        documents: 'queues: { orders: { topics: { points: { target: grpc, concurrency: 8 } } } }',
      }),
    );
    await redis(bus).lpush('orders', 'good', 'bad');
    const port = bus.ports.grpc[mode === 'one-process' ? 'all' : 'dispatcher'];
    const worker = connect(dispatcher.WorkerServiceDefinition, { address: `127.0.0.1:${port}` });
    const requests = new Channel<dispatcher.WorkRequest>();
    open.push({
      stop: async () => {
        requests.end();
        worker.close();
      },
    });
    requests.push(
      dispatcher.WorkRequest.fromPartial({ topic: 'orders/points', capacity: 4, worker: 'w1' }),
    );
    const work = async (): Promise<void> => {
      for await (const { items } of worker.work(requests))
        for (const { leaseId, job } of items) {
          const outcome = { leaseId, kind: OutcomeKind.DEAD, errorCode: 'E_BAD', error: 'never' };
          const good = Buffer.from(job?.body ?? []).toString() === 'good';
          requests.push(
            dispatcher.WorkRequest.fromPartial(
              good ? { done: [leaseId] } : { outcomes: [outcome] },
            ),
          );
        }
    };
    // Leaving the loop would cut the stream, and what the worker said last would be lost with it.
    work().catch(() => {});
    await eventually(async () =>
      expect(await topicCounts(bus, 'orders', 'points')).toMatchObject({ done: 1, dead: 1 }),
    );
    const state = DeliveryState.DEAD;
    const page = { queue: 'orders', topic: 'points', state, limit: 1, cursor: '', withBody: false };
    const [bad] = (await bus.storage.listJobs(page)).deliveries;
    const [dead] = (await bus.storage.getJob({ jobId: bad?.jobId ?? '' })).deliveries;
    expect(dead?.history).toMatchObject([{ consumer: 'w1', errorCode: 'E_BAD', error: 'never' }]);
  });

  test('a restarted bus continues where it stopped', async () => {
    let consumer: HttpConsumer | undefined;
    const bus = await keep(
      startBus({
        mode,
        documents: 'queues: { orders: { topics: { ship: { target: pull } } } }',
      }),
    );
    const client = redis(bus);
    const jobs = Array.from({ length: 500 }, (_, i) => `job ${i}`);
    await client.lpush('orders', ...jobs);
    client.disconnect();
    for (const part of [...bus.parts].reverse()) await bus.kill(part, 'SIGTERM');
    consumer = await keep(startHttpConsumer());
    bus.save(`queues: { orders: { topics: { ship: { target: '${consumer.url}' } } } }`);
    for (const part of bus.parts) await bus.start(part);
    await eventually(() => expect(consumer?.bodies().sort()).toEqual(jobs.sort()));
  });
});
