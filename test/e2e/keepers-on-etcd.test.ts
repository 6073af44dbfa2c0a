import { type EtcdServer, etcdServer, eventually, needs, packages, run } from '@malabar/testkit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Bus, MALABAR, startBus } from '../harness/bus.js';

const MODES = ['one-process', 'many-processes'] as const;
const INBOX = 'password: of the queue, topics: { inbox: { target: pull } }';

/** Pushes a job into a queue that was named in the file or by hand. */
async function push(bus: Bus, username: string): Promise<number> {
  const account = { username, password: 'of the queue' };
  const client = new Redis({ port: bus.ports.redis, host: '127.0.0.1', ...account });
  client.on('error', () => {});
  try {
    return await client.lpush(username, 'x');
  } finally {
    client.disconnect();
  }
}

const accepts = (bus: Bus, queue: string): Promise<void> =>
  eventually(async () => expect(await push(bus, queue)).toBeGreaterThan(0));

needs(describe, await packages.etcd()).each(MODES)('a bus on etcd, %s', (mode) => {
  let server: EtcdServer;
  let bus: Bus;

  beforeAll(async () => {
    server = await etcdServer();
    const documents = `queues: { steady: { ${INBOX} } }`;
    bus = await startBus({ mode, documents, etcd: server.address });
  });

  afterAll(async () => {
    await bus?.stop();
    await server?.stop();
  });

  const keeper = (): string =>
    `127.0.0.1:${bus.ports.grpc[mode === 'one-process' ? 'all' : 'keeper']}`;

  async function malabar(...args: string[]): Promise<string> {
    const env = { MALABAR_ADDRESS: keeper() };
    const { code, stdout, stderr } = await run(process.execPath, [MALABAR, ...args], { env });
    if (code !== 0) throw new Error(`malabar ${args.join(' ')}: ${stderr}`);
    return stdout;
  }

  test('the file of all keepers is one release, and so is what is saved', async () => {
    await accepts(bus, 'steady');
    bus.save(`queues: { steady: { ${INBOX} }, fresh: { ${INBOX} } }`);
    await accepts(bus, 'fresh');
    const { releases } = JSON.parse(await malabar('config', 'history', 'malabar', '--json'));
    expect(releases.map(({ number, author }: never) => [number, author])).toEqual([
      [2, 'file'],
      [1, 'file'],
    ]);
  });

  test('a queue that somebody writes by hand is one, and stays when the file is saved unchanged', async () => {
    const document = JSON.stringify({
      password: { secret: 'keeper:password' },
      topics: { inbox: { target: 'pull' } },
    });
    const set = ['config', 'set', 'malabar', '/queues.conf', 'by-hand'];
    await malabar(...set, 'document', document);
    await malabar(...set, 'password', 'of the queue', '--type', 'secret');
    await malabar('config', 'publish', 'malabar', '-m', 'by hand');
    await accepts(bus, 'by-hand');
    expect(await malabar('config', 'get', 'malabar', '/queues.conf')).not.toContain('of the queue');
    bus.save(`# a comment\nqueues: { steady: { ${INBOX} }, fresh: { ${INBOX} } }`);
    await accepts(bus, 'by-hand');
  });

  test('etcd may go and come back: jobs are taken all the time, and changes after it', async () => {
    const { port, dir } = server;
    server.kill('SIGKILL');
    await server.exited;
    expect(await push(bus, 'steady')).toBeGreaterThan(0);
    server = await etcdServer({ port, dir });
    bus.save(`queues: { steady: { ${INBOX} }, later: { ${INBOX} } }`);
    await accepts(bus, 'later');
  });

  test('one of two keepers is enough', async () => {
    if (mode === 'one-process') return;
    await bus.kill('keeper-2', 'SIGKILL');
    bus.save(`queues: { steady: { ${INBOX} }, last: { ${INBOX} } }`);
    await accepts(bus, 'last');
    await bus.start('keeper-2');
    await bus.kill('keeper', 'SIGKILL');
    bus.save(`queues: { steady: { ${INBOX} }, very-last: { ${INBOX} } }`);
    await accepts(bus, 'very-last');
  });
});
