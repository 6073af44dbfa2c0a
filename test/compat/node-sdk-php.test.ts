import { common } from '@malabar/contracts';
import { connect, createRegistry, idempotent, type Malabar, redisStore } from '@malabar/sdk';
import { needs, packages, redisServer } from '@malabar/testkit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';
import { type ActParams, act } from './node/sdk/act.js';
import { endedAt, recorded } from './node-sdk.js';
import { recordFile } from './php-application.js';
import { phpCode, publish, startWorker } from './php-sdk.js';

const { DONE } = common.DeliveryState;
const documents = `
queues:
  by_node: { topics: { act: { target: grpc } } }
  by_worker: { topics: { act: { target: pull } } }
`;

needs(describe, await packages.php())('Node and PHP on one bus', () => {
  const open: Array<{ stop(): Promise<void> }> = [];
  let bus: Bus;
  let malabar: Malabar<Record<string, ActParams>>;

  beforeAll(async () => {
    bus = await startBus({ documents });
    open.push(bus);
    malabar = connect({ address: `127.0.0.1:${bus.ports.grpc.all}` });
    open.push({ stop: () => malabar.close() });
  });

  afterAll(async () => {
    for (const one of open.reverse()) await one.stop();
  });

  test('PHP publishes, Node does', async () => {
    const registry = createRegistry<Record<string, ActParams>>().register('by_node', 'act', act);
    const worker = malabar.worker(registry);
    const running = worker.run();
    const { record, begun } = recorded();
    const [id = ''] = await publish(bus, 'by_node', { record, n: 1, do: 'retry', once: true });
    const ids = await publish(bus, 'by_node', { record, n: 2 }, { record, n: 3 });
    for (const one of [id, ...ids]) expect((await endedAt(bus, 'act', one)).state).toBe(DONE);
    expect(
      begun()
        .map(({ n }) => n)
        .sort(),
    ).toEqual([1, 1, 2, 3]);
    expect(begun().every(({ event }) => event === 'by_node')).toBe(true);
    await worker.stop();
    await running;
  });

  test('Node publishes, PHP does', async () => {
    const worker = await startWorker({ bus, args: ['by_worker/act'] });
    open.push(worker);
    const { record, starts } = recordFile();
    const text = '\u961f "&=+"';
    const params = { record, n: 4, text } as ActParams;
    const { id } = await malabar.publish('by_worker', params, { headers: { tenant: 'de' } });
    expect(await endedAt(bus, 'act', id)).toMatchObject({ state: DONE, history: [] });
    const facts = { id, try: 1, event: 'by_worker', headers: { tenant: 'de' }, params };
    expect(starts()).toMatchObject([facts]);
  });

  test('a result is the same to both: parameters, and no envelope', async () => {
    const result = { v: 1, event: 'by_node', task: 'act', jobId: 'x', params: { n: 1 } };
    const body = JSON.stringify(JSON.stringify(result));
    const read = `$read = Malabar\\Envelope::read(${body.replaceAll('$', '\\$')}, 'results');`;
    const said = await phpCode(`${read} echo json_encode([$read->event(), $read->params()]);`);
    expect(JSON.parse(said)).toEqual(['results', result]);
  });
});

needs(
  describe,
  await packages.php(),
  await packages.redis(),
)('work done once, in both', () => {
  test('what one has done the other does not do again', async () => {
    const server = await redisServer();
    const redis = new Redis({ port: server.port, host: '127.0.0.1' });
    try {
      const once = idempotent(redisStore((words) => redis.call(...words)));
      const php = (key: string, work: string) =>
        phpCode(
          `Idempotent::useStore(Malabar\\Idempotence\\RedisStore::connect('127.0.0.1:${server.port}'));
           try { echo json_encode(Idempotent::once('${key}', fn () => ${work})); }
           catch (Malabar\\AlreadyRunningException $e) { echo 'running ', $e->afterSeconds(); }`,
        );
      expect(await once('a', () => ({ receipt: 7 }))).toEqual({ receipt: 7 });
      expect(await php('a', "['receipt' => 8]")).toBe('{"receipt":7}');
      expect(await php('b', "['receipt' => 9]")).toBe('{"receipt":9}');
      expect(await once('b', () => ({ receipt: 10 }))).toEqual({ receipt: 9 });
      await once('c', async () => expect(await php('c', '1')).toBe('running 60'));
      await expect(once('d', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
      expect(await php('d', '11')).toBe('11');
    } finally {
      redis.disconnect();
      await server.stop();
    }
  });
});
