import { eventually, FakeClock } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { SLOW_READER_TIMEOUT_MS } from './connection.js';
import { ANSWER_TIMEOUT_MS } from './intake.js';
import { command, RawClient, startRig } from './rig.suite.js';
import { queueConfig, StorageDouble } from './storage-double.suite.js';

test('a body over the limit of its queue is refused and the connection goes on', async () => {
  const queues = [queueConfig('small', { bodyBytesMax: 10 }), queueConfig('q')];
  const { redis, storage } = await startRig({ queues });
  const client = new RawClient(redis);
  await client.match(
    command('LPUSH', 'small', 'x'.repeat(11)),
    /^-TOOBIG body of 11 bytes.*at most 10/,
  );
  await client.match(command('LPUSH', 'q', 'x'.repeat(2_000_000)), /^-TOOBIG body of 2000000/);
  await client.expect(command('LPUSH', 'q', 'ok'), ':1\r\n');
  expect(storage.bodies()).toEqual(['ok']);
});

test('no queue can allow a body that would not fit into a message to storage', async () => {
  const { redis } = await startRig({ queues: [queueConfig('q', { bodyBytesMax: 2 ** 30 })] });
  const client = new RawClient(redis);
  const huge = 'x'.repeat(17 * 1024 * 1024);
  await client.match(command('LPUSH', 'q', huge), /^-TOOBIG body of 17825792 .*at most 16777216/);
  await client.expect(command('LPUSH', 'q', 'ok'), ':1\r\n');
});

test('a breach of the protocol is answered and ends the connection', async () => {
  const { redis } = await startRig();
  const client = new RawClient(redis);
  await client.match(
    `${command('LPUSH', 'q', 'x')}*1\r\n$536870912\r\n`,
    /^:1\r\n-ERR Protocol error: invalid bulk length\r\n$/,
  );
  await eventually(() => client.closed);
});

test('a producer hears that its jobs may be stored or not when storage breaks off', async () => {
  const { redis, storage } = await startRig();
  const client = new RawClient(redis);
  storage.holding = true;
  client.send(command('LPUSH', 'q', 'x') + command('PING'));
  await eventually(() => storage.held === 1);
  storage.breakStreams();
  await client.match(
    '',
    /^-TRYAGAIN storage went away .*may or may not be stored.*\r\n\+PONG\r\n$/,
  );
});

test('while storage is away a push fails at once, and works again when it is back', async () => {
  const storage = new StorageDouble();
  storage.down = true;
  const { redis, ingest } = await startRig({ storage });
  const client = new RawClient(redis);
  await client.match(command('LPUSH', 'q', 'x'), /^-TRYAGAIN storage is not reachable; nothing/);
  expect(ingest.intake.notReady()).toEqual(['storage is not reachable']);
  storage.down = false;
  await eventually(() => ingest.intake.notReady().length === 0);
  await client.expect(command('LPUSH', 'q', 'x'), ':1\r\n');
});

test('a storage that does not answer is given up', async () => {
  const clock = new FakeClock();
  const { redis, storage } = await startRig({ clock });
  const client = new RawClient(redis);
  storage.holding = true;
  client.send(command('LPUSH', 'q', 'x'));
  await eventually(() => storage.held === 1);
  await clock.advance(2 * ANSWER_TIMEOUT_MS);
  await client.match('', /^-TRYAGAIN storage went away/);
});

test('a connection with too many bytes in flight is read no further until half are answered', async () => {
  const { redis, storage, ingest } = await startRig({ connectionBytesMax: 10_000 });
  const client = new RawClient(redis);
  storage.holding = true;
  const pushes = 2000;
  client.send(command('LPUSH', 'q', 'x'.repeat(1000)).repeat(pushes));
  await eventually(() => storage.held > 0);
  // What is read beyond the limit shows in the intake at once, so a look at every release is enough.
  let most = 0;
  await eventually(() => {
    most = Math.max(most, ingest.intake.bytesInFlight);
    storage.release();
    return storage.jobs.length === pushes && storage.held === 0;
  });
  expect(most).toBeGreaterThan(0);
  expect(most).toBeLessThan(13_000);
  await eventually(() => client.received.split('\r\n').length === pushes + 1);
});

test('above the limit of all bytes in flight pushes are refused at once', async () => {
  const { redis, storage } = await startRig({ totalBytesMax: 5000 });
  const client = new RawClient(redis);
  storage.holding = true;
  client.send(command('LPUSH', 'q', 'x'.repeat(1000)).repeat(6));
  await eventually(() => storage.held === 1);
  storage.holding = false;
  storage.release();
  await client.match('', /^(:\d\r\n){4}(-BUSY \d+ bytes already wait for the disk\r\n){2}$/);
  await client.match(command('LPUSH', 'q', 'x'), /^:5\r\n$/);
});

test('a client that never reads its replies is paused, then cut off', async () => {
  const clock = new FakeClock();
  const { redis, metrics } = await startRig({ clock });
  const client = new RawClient(redis);
  client.socket.pause();
  const flood = command('ECHO', 'x'.repeat(1000)).repeat(1000);
  let _sent = 0;
  const pump = (): void => {
    while (!client.closed && client.socket.write(flood)) _sent += flood.length;
  };
  client.socket.on('drain', pump);
  pump();
  const waiting = clock.pending;
  await eventually(() => clock.pending > waiting);
  await clock.advance(SLOW_READER_TIMEOUT_MS);
  await eventually(async () =>
    (await metrics.registry.metrics()).includes(
      'malabar_ingest_slow_readers_closed_total{protocol="redis"} 1',
    ),
  );
  client.socket.resume();
  await eventually(() => client.closed);
});

test('one connection too many is told so and closed', async () => {
  const { redis } = await startRig({ connectionsMax: 1 });
  const first = new RawClient(redis);
  await first.expect(command('PING'), '+PONG\r\n');
  const second = new RawClient(redis);
  await second.match('', /^-ERR max number of clients reached\r\n$/);
  await eventually(() => second.closed);
});

test('a client that has sent its last command still gets every reply', async () => {
  const queues = [queueConfig('q', { password: 'hash of p' })];
  const { redis } = await startRig({ queues });
  const client = new RawClient(redis);
  client.socket.end(command('AUTH', 'q', 'p') + command('LPUSH', 'q', 'x').repeat(3));
  await client.expect('', '+OK\r\n:3\r\n:3\r\n:3\r\n');
  await eventually(() => client.closed);
});

test('draining answers what is in flight, takes no new connection and then closes', async () => {
  const { redis, storage, ingest } = await startRig();
  const client = new RawClient(redis);
  storage.holding = true;
  client.send(command('LPUSH', 'q', 'x'));
  await eventually(() => storage.held === 1);
  const drained = ingest.drain();
  const late = new RawClient(redis);
  await eventually(() => late.closed);
  storage.release();
  await client.expect('', ':1\r\n');
  await drained;
  expect(client.closed).toBe(true);
});

test('before the first configuration every push is told to come back', async () => {
  const { redis } = await startRig({ configured: false });
  const client = new RawClient(redis);
  await client.match(command('LPUSH', 'q', 'x'), /^-TRYAGAIN ingest has no configuration/);
});

test('a queue that leaves the configuration is unknown at once, on open connections too', async () => {
  const { redis, ingest } = await startRig();
  const client = new RawClient(redis);
  await client.expect(command('LPUSH', 'q', 'x'), ':1\r\n');
  ingest.configure({ release: 2, queues: [], schedules: [], sources: [] });
  await client.match(command('LPUSH', 'q', 'x'), /^-NOQUEUE /);
});

test('accepted and refused jobs are counted by queue', async () => {
  const queues = [queueConfig('q'), queueConfig('orphan', { topics: [] })];
  const { redis, metrics } = await startRig({ queues });
  const client = new RawClient(redis);
  await client.expect(command('LPUSH', 'q', 'a', 'b'), ':2\r\n');
  await client.match(command('LPUSH', 'orphan', 'a', 'b'), /^:\d+\r\n/);
  await client.match(command('LPUSH', 'none', 'a', 'b', 'c'), /^-NOQUEUE/);
  const text = await metrics.registry.metrics();
  expect(text).toContain('malabar_ingest_jobs_accepted_total{queue="q",protocol="redis"} 2');
  expect(text).toContain('malabar_ingest_jobs_refused_total{queue="",code="UNKNOWN_QUEUE"} 3');
  expect(text).toContain('malabar_ingest_jobs_unheard_total{queue="orphan"} 2');
  expect(text).not.toContain('malabar_ingest_jobs_unheard_total{queue="q"}');
});
