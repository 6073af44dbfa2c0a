import { execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { common, storage } from '@malabar/contracts';
import { eventually } from '@malabar/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';
import { EDGES, push } from '../harness/edges.js';
import { ErrorReply, RespSocket } from '../harness/resp-socket.js';

const MIB = 1024 * 1024;
const PASSWORD = 'open-sesame';
const IDLE = 10_000;
/** Node raises the soft limit to the hard one, for us and for the bus. */
const DESCRIPTORS = Number(
  execFileSync('sh', ['-c', 'ulimit -Hn']).toString().replace('unlimited', 'Infinity'),
);
if (DESCRIPTORS < IDLE + 500) {
  console.warn(
    `tests skipped: ${IDLE} connections need as many descriptors, here are ${DESCRIPTORS}`,
  );
}

/** A process of its own: descriptors are counted by process. In waves, for the listener's backlog. */
const IDLE_CLIENTS = `
  const { connect } = require('node:net');
  const [port, count] = process.argv.slice(1).map(Number);
  const open = () => new Promise((done) => connect({ port, host: '127.0.0.1' }, done));
  (async () => {
    for (let i = 0; i < count; i += 500) await Promise.all(Array.from({ length: 500 }, open));
  })();
  process.stdin.on('end', () => process.exit()).resume();
`;

let bus: Bus;
let consumer: { url: string; stop(): void };

beforeAll(async () => {
  consumer = await startRudeConsumer();
  bus = await startBus({ documents: documents(), settings: ['ingest.total_bytes_max=16MiB'] });
});

afterAll(async () => {
  await bus?.stop();
  consumer?.stop();
});

describe.each(EDGES)('over %s', (edge) => {
  const accepted = 'accepted';

  test('an unknown queue is refused', async () => {
    const unknown = edge === 'pepperbus' ? 'ERR invalid password' : 'UNKNOWN_QUEUE';
    expect(await push(bus, edge, { queue: 'nowhere', body: 'x' })).toBe(unknown);
  });

  test('a queue with a password takes jobs from those who know it', async () => {
    const wrong = edge === 'pepperbus' ? 'ERR invalid password' : 'WRONG_PASSWORD';
    const none = edge === 'pepperbus' ? 'ERR invalid password' : 'UNAUTHENTICATED';
    const job = { queue: 'shut', body: 'x' };
    expect(await push(bus, edge, job)).toBe(none);
    expect(await push(bus, edge, { ...job, password: 'guess' })).toBe(wrong);
    expect(await push(bus, edge, { ...job, password: PASSWORD })).toBe(accepted);
  });

  test('a body of 1 MiB is taken and one byte more is not', async () => {
    const queue = 'open';
    expect(await push(bus, edge, { queue, body: Buffer.alloc(MIB, 'x') })).toBe(accepted);
    expect(await push(bus, edge, { queue, body: Buffer.alloc(MIB + 1, 'x') })).toBe('TOO_LARGE');
    expect(await push(bus, edge, { queue, body: Buffer.alloc(9 * MIB, 'x') })).toBe('TOO_LARGE');
    expect(await push(bus, edge, { queue, body: '' })).toBe(accepted);
  });

  test('a full queue refuses, its neighbour does not, and a job taken out makes room', async () => {
    const queue = `tight-${edge}`;
    for (const body of ['one', 'two'])
      expect(await push(bus, edge, { queue, body })).toBe(accepted);
    expect(await push(bus, edge, { queue, body: 'three' })).toBe('QUEUE_FULL');
    expect(await push(bus, edge, { queue: 'open', body: 'x' })).toBe(accepted);
    const { runs } = await bus.storage.fetch(
      storage.FetchRequest.fromPartial({ queue, topic: 'inbox', maxJobs: 1, settle: true }),
    );
    expect(runs).toHaveLength(1);
    expect(await push(bus, edge, { queue, body: 'three' })).toBe(accepted);
  });
});

test.each(['redis', 'pepperbus'] as const)('an unknown command costs nothing: %s', async (edge) => {
  const socket = await RespSocket.open(bus.ports[edge]);
  expect(await socket.ask('FROBNICATE', 'a', 'b')).toBeInstanceOf(ErrorReply);
  expect(await socket.ask('AUTH', `shut:${PASSWORD}`)).not.toBeNull();
  socket.socket.write('PING\r\n');
  await socket.reply();
  expect(socket.closed).toBe(false);
  socket.close();
});

test('512 MB announced by a hundred clients and not sent hold no memory', async () => {
  const before = residentBytes();
  const sockets = await openSockets(100);
  for (const { socket } of sockets)
    socket.write('*3\r\n$5\r\nLPUSH\r\n$4\r\nopen\r\n$536870912\r\n');
  for (const socket of sockets) {
    expect(String(await socket.reply())).toMatch(/Protocol error: .*bulk/);
    await eventually(() => socket.closed);
  }
  expect(residentBytes() - before).toBeLessThan(64 * MIB);
  expect(await push(bus, 'redis', { queue: 'open', body: 'x' })).toBe('accepted');
});

test('bodies that a hundred clients begin and never end hold no more than the limit', async () => {
  const before = residentBytes();
  const sockets = await openSockets(100);
  const beginning = Buffer.alloc(900 * 1024, 'x');
  for (const { socket } of sockets) {
    socket.write('*3\r\n$5\r\nLPUSH\r\n$4\r\nopen\r\n$1048576\r\n');
    socket.write(beginning);
  }
  await eventually(() => expect(sockets.some(({ closed }) => closed)).toBe(true));
  expect(await push(bus, 'redis', { queue: 'open', body: 'x' })).toBe('accepted');
  expect(residentBytes() - before).toBeLessThan(128 * MIB);
  for (const socket of sockets) socket.close();
});

test.skipIf(DESCRIPTORS < IDLE + 500)(
  '10,000 idle connections cost little, and pushes go on',
  { timeout: 60_000 },
  async () => {
    const before = residentBytes();
    const args = ['-e', IDLE_CLIENTS, String(bus.ports.redis), String(IDLE)];
    const clients = spawn(process.execPath, args, { stdio: ['pipe', 'inherit', 'inherit'] });
    try {
      await eventually(async () => expect(await connections()).toBe(IDLE), {
        timeoutMs: 25_000,
        everyMs: 50,
      });
      for (const edge of EDGES)
        expect(await push(bus, edge, { queue: 'open', body: 'x' })).toBe('accepted');
      expect((residentBytes() - before) / IDLE).toBeLessThan(20 * 1024);
    } finally {
      clients.kill('SIGKILL');
    }
    await eventually(async () => expect(await connections()).toBe(0), {
      timeoutMs: 25_000,
      everyMs: 50,
    });
  },
);

test('a consumer that never answers fails by time, and the topics beside it go on', async () => {
  const id = await submit('silent');
  const beside = await submit('polite');
  await eventually(async () => expect(await stateOf(beside)).toBe(common.DeliveryState.DONE));
  await eventually(async () => expect(await stateOf(id)).toBe(common.DeliveryState.DEAD));
  const { deliveries } = await bus.storage.getJob({ jobId: id });
  expect(deliveries[0]?.history.map(({ errorCode }) => errorCode)).toEqual(['TIMEOUT', 'TIMEOUT']);
});

test('a consumer that streams for ever is cut off', async () => {
  const before = residentBytes();
  const [flood, drip] = [await submit('flood'), await submit('drip')];
  for (const id of [flood, drip])
    await eventually(async () => expect(await stateOf(id)).toBe(common.DeliveryState.DEAD));
  const codes = async (jobId: string) =>
    (await bus.storage.getJob({ jobId })).deliveries[0]?.history.map(({ errorCode }) => errorCode);
  expect(await codes(flood)).toEqual(['RESPONSE_TOO_LARGE', 'RESPONSE_TOO_LARGE']);
  expect(await codes(drip)).toEqual(['TIMEOUT', 'TIMEOUT']);
  expect(residentBytes() - before).toBeLessThan(64 * MIB);
});

function openSockets(count: number): Promise<RespSocket[]> {
  return Promise.all(Array.from({ length: count }, () => RespSocket.open(bus.ports.redis)));
}

async function submit(queue: string): Promise<string> {
  const job = common.Job.fromPartial({ body: Buffer.from('x') });
  return (await bus.ingest.submit({ queue, job })).jobId;
}

async function stateOf(jobId: string): Promise<common.DeliveryState | undefined> {
  return (await bus.storage.getJob({ jobId })).deliveries[0]?.state;
}

/** Open at the Redis port, by the figures of the process itself. */
async function connections(): Promise<number> {
  const figures = await fetch(`http://127.0.0.1:${bus.ports.ops.all}/metrics`);
  const line = /^malabar_ingest_connections_open\{protocol="redis"\} (\d+)$/m.exec(
    await figures.text(),
  );
  return Number(line?.[1] ?? 0);
}

/** Of the process of the bus. */
function residentBytes(): number {
  const status = readFileSync(`/proc/${bus.pid('all')}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

function documents(): string {
  const inbox = 'topics: { inbox: { target: pull } }';
  const to = (path: string) =>
    `topics: { run: { target: '${consumer.url}/${path}', timeout: 300ms, retry: { attempts: 2, min: 10ms, max: 10ms } } }`;
  const tight = EDGES.map((edge) => `  tight-${edge}: { limits: { ready: 2 }, ${inbox} }`);
  return `
queues:
  open: { ${inbox} }
  shut: { password: ${PASSWORD}, ${inbox} }
${tight.join('\n')}
  polite: { ${to('polite')} }
  silent: { ${to('silent')} }
  drip: { ${to('drip')} }
  flood: { topics: { run: { target: '${consumer.url}/flood', retry: { attempts: 2, min: 10ms, max: 10ms } } } }
`;
}

/** Answers by path: never, for ever in drops, for ever in floods, or as it should. */
async function startRudeConsumer(): Promise<{ url: string; stop(): void }> {
  const server = createServer((request, response) => {
    request.resume();
    switch (request.url) {
      case '/silent':
        return;
      case '/drip':
        return drip(response);
      case '/flood':
        return flood(response);
      default:
        response.end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}

function drip(response: ServerResponse): void {
  const timer = setInterval(() => response.write('.'), 20);
  response.on('close', () => clearInterval(timer));
}

function flood(response: ServerResponse): void {
  const chunk = Buffer.alloc(256 * 1024, 'x');
  const more = (): void => {
    while (!response.destroyed && response.write(chunk));
  };
  response.on('drain', more);
  more();
}
