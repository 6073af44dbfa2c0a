import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually, needs, packages, python, type Server, spawnServer } from '@malabar/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';
import { pythonStubs } from './python-stubs.js';

const scripts = fileURLToPath(new URL('./python/', import.meta.url));
const requirements = [
  await packages.pythonGrpc(),
  await packages.protobufCompiler(),
  await packages.protobufGrpc(),
];

const documents = `queues:
  orders:
    password: s3cret
    topics:
      ship: { target: grpc, retry: { attempts: 2, min: 20ms, max: 20ms, backoff: fixed } }
`;

needs(describe, ...requirements)('a producer and a worker in Python', () => {
  let env: Record<string, string>;
  let bus: Bus;
  let worker: Server | undefined;
  beforeAll(async () => {
    env = { PYTHONPATH: await pythonStubs() };
    bus = await startBus({ documents });
  });
  afterAll(async () => {
    await worker?.stop();
    await bus?.stop();
  });

  const address = () => `127.0.0.1:${bus.ports.grpc.all}`;
  const produce = (...args: string[]) =>
    python([join(scripts, 'producer.py'), address(), 'orders', ...args], { env });
  const seen = () =>
    (worker?.log() ?? '')
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line));

  test('a wrong password is refused with a reason, on both sides', async () => {
    const producer = await produce('--password', 'guess', 'a');
    expect(producer.stderr).toContain('UNAUTHENTICATED');
    const args = [join(scripts, 'worker.py'), address(), 'orders/ship', '--password', 'guess'];
    const { stderr } = await python(args, { env });
    expect(stderr).toContain("UNAUTHENTICATED: wrong password for topic 'orders/ship'");
  });

  test('jobs come with ids, bodies and headers, and outcomes count', async () => {
    worker = await spawnServer({
      command: '/usr/bin/python3',
      args: [join(scripts, 'worker.py'), address(), 'orders/ship', '--password', 's3cret'],
      env,
      ready: () => true,
    });
    const { stdout } = await produce(
      '--password',
      's3cret',
      'one',
      'fail two',
      'dead three',
      '\u961f',
    );
    const ids = stdout.trim().split('\n');
    expect(ids).toHaveLength(4);
    await eventually(() => expect(seen()).toHaveLength(5));
    const byId = (index: number) => seen().filter(({ job_id }) => job_id === ids[index]);
    expect(byId(0)).toMatchObject([{ body: 'one', attempt: 1, headers: { producer: 'python' } }]);
    expect(byId(1).map(({ attempt }) => attempt)).toEqual([1, 2]);
    expect(byId(3)).toMatchObject([{ body: '\u961f' }]);
    await eventually(async () => {
      const { queues } = await bus.storage.listQueues({ queue: 'orders' });
      expect(queues[0]?.topics[0]).toMatchObject({ done: 2, dead: 2, ready: 0, leased: 0 });
    });
    const { deliveries } = await bus.storage.getJob({ jobId: ids[1] ?? '' });
    expect(deliveries[0]).toMatchObject({
      errorCode: 'OutOfStock',
      error: 'no stock for fail two',
    });
  });
});
