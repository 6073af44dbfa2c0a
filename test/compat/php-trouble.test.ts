import { readFileSync } from 'node:fs';
import { type AddressInfo, connect as connectTo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { common, dispatcher } from '@malabar/contracts';
import { connect, type RemoteClient } from '@malabar/rpc';
import { eventually, needs, type PhpFpm, packages, phpFpm, spawnServer } from '@malabar/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';
import {
  deliveryOf,
  ended,
  entryScript,
  PASSWORD,
  produce,
  recordFile,
  type Start,
} from './php-application.js';

const { READY, DONE, DEAD } = common.DeliveryState;
const { CRASH, RETRY } = common.OutcomeKind;
const requirements = [
  await packages.phpFpm(),
  await packages.php(),
  await packages.phpRedis(),
  await packages.phpMbstring(),
];
const CHILDREN = 2;

needs(describe, ...requirements)('php-fpm in trouble', () => {
  const open: Array<{ stop(): Promise<void> }> = [];
  let fpms: Pools;
  let counter: Awaited<ReturnType<typeof countConnections>>;
  let bus: Bus;
  let targets: RemoteClient<typeof dispatcher.DispatcherServiceDefinition>;

  beforeAll(async () => {
    fpms = await startPools();
    counter = await countConnections(fpms.roomy);
    open.push(...Object.values(fpms), counter);
    bus = await startBus({ documents: documents(fpms, counter.address) });
    const address = `127.0.0.1:${bus.ports.grpc.all}`;
    targets = connect(dispatcher.DispatcherServiceDefinition, { address });
    open.push({ stop: async () => targets.close() });
    open.push(bus);
  });

  afterAll(async () => {
    for (const one of open.reverse()) await one.stop();
  });

  /** Why the dispatcher delivers nothing to `ship` of this queue; empty when it does. */
  async function blocked(queue: string): Promise<string> {
    const { targets: all } = await targets.listTargets({ queue: '' });
    return all.find((one) => one.queue === queue)?.blocked ?? '';
  }

  test('many jobs share few connections, and few children', async () => {
    const { record, starts } = recordFile();
    const orders = Array.from({ length: 40 }, (_, n) => ({ record, n }));
    const ids = await produce(bus, 'counted', ...orders);
    for (const id of ids) expect(await ended(bus, id)).toMatchObject({ state: DONE, history: [] });
    expect(starts()).toHaveLength(40);
    expect(new Set(starts().map(({ pid }) => pid)).size).toBeLessThanOrEqual(CHILDREN);
    expect(counter.connections()).toBeLessThanOrEqual(CHILDREN);
  });

  test.each(['unix', 'tcp'] as const)('a child killed under a job costs a try: %s', async (way) => {
    const { record, starts } = recordFile();
    const [id = ''] = await produce(bus, way, { do: 'hang-at-first', record });
    process.kill((await begun(starts)).pid, 'SIGKILL');
    const { state, history } = await ended(bus, id);
    expect(state).toBe(DONE);
    expect(history).toMatchObject([{ outcome: CRASH, errorCode: 'CRASHED' }]);
    expect(starts().map((start) => start.try)).toEqual([1, 2]);
  });

  test.each(['unix', 'tcp'] as const)(
    'a job that kills every child ends in quarantine: %s',
    async (way) => {
      const [id = ''] = await produce(bus, way, { do: 'kill' });
      const { state, quarantined, crashes, history } = await ended(bus, id);
      expect({ state, quarantined, crashes }).toEqual({
        state: DEAD,
        quarantined: true,
        crashes: 2,
      });
      expect(history.map(({ outcome }) => outcome)).toEqual([CRASH, CRASH]);
    },
  );

  test('a job that runs out of memory ends in quarantine with the words of PHP', async () => {
    const [id = ''] = await produce(bus, 'unix', { do: 'memory' });
    const { quarantined, history } = await ended(bus, id);
    expect(quarantined).toBe(true);
    for (const { outcome, error } of history) {
      expect(outcome).toBe(CRASH);
      expect(error).toContain('Allowed memory size');
    }
  });

  test.each(['unix', 'tcp'] as const)('a reload under a job runs it again: %s', async (way) => {
    const { record, starts } = recordFile();
    const [id = ''] = await produce(bus, way, { do: 'hang-at-first', record });
    await begun(starts);
    await fpms[way].reload();
    const { state, history } = await ended(bus, id);
    expect(state).toBe(DONE);
    expect(history).toMatchObject([{ outcome: CRASH }]);
    expect(starts().map((start) => start.try)).toEqual([1, 2]);
  });

  test.each(['unix', 'tcp'] as const)(
    'while php-fpm is down jobs wait and burn no attempt: %s',
    async (way) => {
      const { record, starts } = recordFile();
      await fpms[way].stop();
      const orders = Array.from({ length: 10 }, (_, n) => ({ record, n }));
      const ids = await produce(bus, way, ...orders);
      await eventually(async () => expect(await blocked(way)).toMatch(/php-fpm at/));
      for (const id of ids)
        expect(await deliveryOf(bus, id)).toMatchObject({ state: READY, attempts: 0, history: [] });
      open.push(await startAgain(fpms[way]));
      for (const id of ids)
        expect(await ended(bus, id)).toMatchObject({ state: DONE, history: [] });
      expect(starts().map((start) => start.try)).toEqual(Array(10).fill(1));
    },
  );

  test.each([
    ['more connections than children', 'crowded'],
    ['two topics over one pool', 'shared'],
  ])('slow jobs wait for a child without losing a try: %s', async (_, queue) => {
    const { record, starts } = recordFile();
    const orders = Array.from({ length: 8 }, (_, n) => ({ record, n, do: 'slow', ms: 100 }));
    const ids = await produce(bus, queue, ...orders);
    await eventually(async () => {
      for (const jobId of ids) {
        const { deliveries } = await bus.storage.getJob({ jobId });
        for (const one of deliveries) expect(one).toMatchObject({ state: DONE, history: [] });
      }
    });
    const topics = queue === 'shared' ? 2 : 1;
    expect(starts().map((start) => start.try)).toEqual(Array(8 * topics).fill(1));
  });

  test('a job that takes too long fails by TIMEOUT, and the next try may succeed', async () => {
    const { record, starts } = recordFile();
    const [id = ''] = await produce(bus, 'slow', { do: 'hang-at-first', record });
    const { state, history } = await ended(bus, id);
    expect(state).toBe(DONE);
    expect(history).toMatchObject([{ outcome: RETRY, errorCode: 'TIMEOUT' }]);
    expect(history[0]?.error).toContain('no answer within 300 ms');
    expect(starts().map((start) => start.try)).toEqual([1, 2]);
  });

  test('a script that is not there fails with the words of php-fpm', async () => {
    const [id = ''] = await produce(bus, 'missing', { n: 1 });
    const { state, history } = await ended(bus, id);
    expect(state).toBe(DEAD);
    expect(history).toHaveLength(2);
    for (const { errorCode, error } of history) {
      expect(errorCode).toBe('NO_CODE');
      expect(error).toMatch(/HTTP status 404[\s\S]*Primary script unknown/);
    }
  });

  test('no job is sent before the script names the topic', async () => {
    const { record, starts } = recordFile();
    const script = entryScript(['someone/else']);
    const target = `fastcgi: { address: '${fpms.roomy.address}', script: ${script}, ping: true }`;
    const topic = `{ target: { ${target} }, concurrency: 1 }`;
    bus.save(
      `${readFileSync(bus.file)}  late: { password: ${PASSWORD}, topics: { ship: ${topic} } }\n`,
    );
    const reason = /does not serve late\/ship.*someone\/else/;
    await eventually(async () => expect(await blocked('late')).toMatch(reason));
    const [id = ''] = await eventually(() => produce(bus, 'late', { record }));
    expect(await deliveryOf(bus, id)).toMatchObject({ state: READY, attempts: 0 });
    entryScript(['late/ship'], script);
    expect(await ended(bus, id)).toMatchObject({ state: DONE, history: [] });
    expect(starts()).toMatchObject([{ id, try: 1 }]);
  });
});

const QUEUES = ['unix', 'tcp', 'counted', 'crowded', 'slow', 'missing', 'shared'];

interface Pools {
  unix: PhpFpm;
  tcp: PhpFpm;
  crowded: PhpFpm;
  shared: PhpFpm;
  /** With children to spare for scripts that hang. */
  roomy: PhpFpm;
}

async function startPools(): Promise<Pools> {
  const [unix, tcp, crowded, shared, roomy] = await Promise.all([
    phpFpm({ children: CHILDREN }),
    phpFpm({ children: CHILDREN, listen: 'tcp' }),
    phpFpm({ children: CHILDREN }),
    phpFpm({ children: CHILDREN }),
    phpFpm({ children: 4 }),
  ]);
  return { unix, tcp, crowded, shared, roomy };
}

function documents({ unix, tcp, crowded, shared, roomy }: Pools, counted: string): string {
  const script = entryScript([...QUEUES.map((queue) => `${queue}/ship`), 'shared/sms']);
  const retry = 'retry: { attempts: 2, crashes: 2, min: 20ms, max: 20ms, backoff: fixed }';
  const topic = (
    { address }: { address: string },
    concurrency: number,
    more = '',
    file = script,
  ) => {
    const target = `fastcgi: { address: '${address}', script: ${file}, ${more} }`;
    return `{ target: { ${target} }, concurrency: ${concurrency}, ${retry}`;
  };
  const password = `password: ${PASSWORD}`;
  const ping = 'ping: true';
  // A connection that is not used gives its child to those that wait in the backlog.
  const idle = 'idle_timeout: 200ms';
  return `
queues:
  unix: { ${password}, topics: { ship: ${topic(unix, 2, ping)} } } }
  tcp: { ${password}, topics: { ship: ${topic(tcp, 2, ping)} } } }
  counted: { ${password}, topics: { ship: ${topic({ address: counted }, 2)} } } }
  crowded: { ${password}, topics: { ship: ${topic(crowded, 4, idle)} } } }
  shared: { ${password}, topics: { ship: ${topic(shared, 2)} }, sms: ${topic(shared, 2)} } } }
  slow: { ${password}, topics: { ship: ${topic(roomy, 1)}, timeout: 300ms } } }
  missing: { ${password}, topics: { ship: ${topic(roomy, 1, '', '/srv/no-such.php')} } } }
`;
}

/** Stands before php-fpm and counts the connections to it. */
async function countConnections({ address }: PhpFpm) {
  let connections = 0;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    connections++;
    const upstream = connectTo(address.slice('unix:'.length));
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => other.destroy());
      socket.pipe(other);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections: () => connections,
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** The same php-fpm, as a machine's service manager would start it after a stop. */
function startAgain(fpm: PhpFpm): Promise<{ stop(): Promise<void> }> {
  const starts = () => fpm.log().match(/ready to handle connections/g)?.length ?? 0;
  const before = starts();
  return spawnServer({
    command: 'php-fpm8.2',
    args: ['--nodaemonize', '--allow-to-run-as-root', '--fpm-config', join(fpm.dir, 'fpm.conf')],
    ready: () => starts() > before,
  });
}

/** The first start of a job. */
function begun(starts: () => Start[]): Promise<Start> {
  return eventually(() => starts()[0] ?? false);
}
