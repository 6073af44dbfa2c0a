import { type Clock, systemClock } from '@malabar/core';
import { eventually, FakeClock, freePort, seededRandom, tempDir } from '@malabar/testkit';
import { expect, onTestFinished, test } from 'vitest';
import type { FastcgiRequest } from './connection.js';
import { FastcgiError } from './error.js';
import { createFastcgiPool, type FastcgiPoolOptions } from './pool.js';
import {
  endRequest,
  record,
  reply,
  type ScriptedServer,
  scriptedServer,
  stderr,
  stdout,
} from './scripted-server.suite.js';

const params = { SCRIPT_FILENAME: '/script.php' };

function pool(address: string, options: Partial<FastcgiPoolOptions> = {}) {
  const made = createFastcgiPool({
    address,
    connectionsMax: 2,
    connectTimeoutMs: 2000,
    idleTimeoutMs: 4000,
    requestsPerConnection: 1000,
    clock: systemClock,
    ...options,
  });
  const request = (over: Partial<FastcgiRequest> = {}) =>
    made.request({
      params,
      stdin: Buffer.from('job'),
      timeoutMs: 10_000,
      stdoutBytesMax: 10_000,
      ...over,
    });
  return { ...made, request };
}

async function server(...script: Parameters<typeof scriptedServer>): Promise<ScriptedServer> {
  const started = await scriptedServer(...script);
  onTestFinished(() => started.stop());
  return started;
}

/** The error of a request that must fail, in the form that tests compare. */
async function failure(request: Promise<unknown>) {
  const error = await request.then(
    () => expect.unreachable('the request succeeded'),
    (thrown) => thrown,
  );
  expect(error).toBeInstanceOf(FastcgiError);
  return { kind: error.kind, message: error.message, stderr: error.stderr };
}

test('requests one after the other share a connection, at once they share connectionsMax', async () => {
  const { address, accepted } = await server((socket) => socket.write(reply('ok')));
  const client = pool(address);
  for (let i = 0; i < 5; i++) expect((await client.request()).body.toString()).toBe('ok');
  expect(accepted()).toBe(1);
  await Promise.all(Array.from({ length: 20 }, () => client.request()));
  expect(accepted()).toBe(2);
  expect(client.stats()).toEqual({ open: 2, busy: 0, idle: 2, waiting: 0 });
  await client.close();
  expect(client.stats().open).toBe(0);
});

test('a connection is closed behind requestsPerConnection, the last one without KEEP_CONN', async () => {
  const keep: unknown[] = [];
  const { address, accepted, open } = await server((socket, _request, records) => {
    keep.push(records[0]?.content[2]);
    socket.write(reply('ok'));
  });
  const client = pool(address, { requestsPerConnection: 3 });
  for (let i = 0; i < 7; i++) await client.request();
  expect(keep).toEqual([1, 1, 0, 1, 1, 0, 1]);
  expect(accepted()).toBe(3);
  await eventually(() => expect(open()).toBe(1));
  await client.close();
});

test('an answer cut into single bytes is the same answer', async () => {
  const { address } = await server(async (socket) => {
    for (const byte of Buffer.concat([stderr('careful'), reply('in pieces')])) {
      socket.write(Buffer.of(byte));
      await new Promise(setImmediate);
    }
  });
  const client = pool(address);
  for (let i = 0; i < 2; i++) {
    const { body, stderr: text } = await client.request();
    expect([body.toString(), text]).toEqual(['in pieces', 'careful']);
  }
  await client.close();
});

const broken: [string, Buffer[], string, RegExp][] = [
  ['nothing at all', [], 'crashed', /end of connection without a response: the script died/],
  ['half a header', [stdout('x').subarray(0, 5)], 'crashed', /before the end of the response/],
  ['half a record', [stdout('Code: 200\n\nx').subarray(0, 12)], 'crashed', /before the end/],
  ['no END_REQUEST', [stdout('Code: 200\n\nx')], 'crashed', /before the end of the response/],
  [
    'half an END_REQUEST',
    [stdout('\n'), endRequest().subarray(0, 15)],
    'crashed',
    /before the end/,
  ],
  ['another protocol', [Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')], 'protocol', /version 72/],
  ['a short END_REQUEST', [record(3, 'abc')], 'protocol', /3 bytes instead of 8/],
  ['no end of headers', [stdout('Code: 200\n'), endRequest()], 'protocol', /end of headers/],
  ['CANT_MPX_CONN', [endRequest({ protocolStatus: 1 })], 'not-delivered', /CANT_MPX_CONN/],
  ['OVERLOADED', [endRequest({ protocolStatus: 2 })], 'not-delivered', /OVERLOADED/],
  ['UNKNOWN_ROLE', [endRequest({ protocolStatus: 3 })], 'not-delivered', /UNKNOWN_ROLE/],
  ['a strange status', [endRequest({ protocolStatus: 9 })], 'protocol', /protocolStatus 9/],
  [
    'too much',
    [stdout('\n'), stdout('x'.repeat(9000)), stdout('x'.repeat(9000))],
    'too-large',
    /10000/,
  ],
];

for (const [what, pieces, kind, message] of broken) {
  test(`an answer of ${what} is ${kind}, keeps the error text and costs only its connection`, async () => {
    const { address } = await server((socket, request) => {
      if (request > 1) socket.write(reply('fine'));
      else socket.end(Buffer.concat([...(pieces.length > 0 ? [stderr('why')] : []), ...pieces]));
    });
    const client = pool(address);
    const error = await failure(client.request());
    expect(error).toMatchObject({ kind, stderr: pieces.length > 0 ? 'why' : '' });
    expect(error.message).toMatch(message);
    expect(error.message).toContain(address);
    expect((await client.request()).body.toString()).toBe('fine');
    await client.close();
  });
}

test('answers with random faults settle every request, and the pool lives on', async () => {
  const random = seededRandom(42);
  const { address } = await server((socket, request) => {
    if (request % 10 === 0) return void socket.write(reply('fine'));
    const bytes = Buffer.concat([stderr('e'), reply('garbled')]);
    bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
    const sent = bytes.subarray(
      0,
      random() < 0.5 ? undefined : Math.floor(random() * bytes.length),
    );
    if (random() < 0.3) socket.destroy();
    else socket.end(sent);
  });
  const client = pool(address);
  let fine = 0;
  for (let i = 0; i < 1000; i++) {
    const outcome = await client.request({ timeoutMs: 5000 }).catch((error) => error);
    if (outcome instanceof Error) expect(outcome).toBeInstanceOf(FastcgiError);
    else fine++;
  }
  expect(fine).toBeGreaterThan(100);
  expect(client.stats()).toMatchObject({ busy: 0, waiting: 0 });
  await client.close();
});

test('bytes behind the end of a response keep the response but not the connection', async () => {
  const { address, accepted } = await server((socket) => {
    socket.write(Buffer.concat([reply('ok'), stdout('and more')]));
  });
  const client = pool(address);
  for (let i = 0; i < 2; i++) expect((await client.request()).body.toString()).toBe('ok');
  expect(accepted()).toBe(2);
  await client.close();
});

test('an idle connection that the server closes or writes on is never used again', async () => {
  for (const disturb of ['end', 'destroy', 'write'] as const) {
    const { address, accepted } = await server((socket) => {
      socket.write(reply('ok'), () => {
        setImmediate(() => (disturb === 'write' ? socket.write('?') : socket[disturb]()));
      });
    });
    const client = pool(address);
    for (let i = 1; i <= 3; i++) {
      await client.request();
      await eventually(() => expect(client.stats().open).toBe(0));
      expect(accepted()).toBe(i);
    }
    await client.close();
  }
});

/** Serves the first request of each connection and ends at the second, `times` times. */
function endsSecondRequest(times: number) {
  const served = new WeakSet<object>();
  let left = times;
  return server((socket) => {
    if (served.has(socket) && left-- > 0) socket.end();
    else socket.write(reply('ok'));
    served.add(socket);
  });
}

test('a clean end of a used direct connection sends the request to another one', async () => {
  const { address, accepted } = await endsSecondRequest(1);
  const client = pool(address);
  await client.request();
  expect((await client.request()).body.toString()).toBe('ok');
  expect(accepted()).toBe(2);
  await client.close();
});

test('the same behind a proxy is crashed, and says that it is unsure', async () => {
  const { address } = await endsSecondRequest(1);
  const client = pool(address, { direct: false });
  await client.request();
  const error = await failure(client.request());
  expect(error.kind).toBe('crashed');
  expect(error.message).toMatch(/used before: the script died, or php-fpm closed the connection/);
  await client.close();
});

test('a server that ends every used connection gets a request four times at most', async () => {
  const { address, accepted } = await endsSecondRequest(Number.POSITIVE_INFINITY);
  const client = pool(address, { connectionsMax: 8 });
  await Promise.all(Array.from({ length: 8 }, () => client.request()));
  expect(accepted()).toBe(8);
  const error = await failure(client.request());
  expect(error).toMatchObject({ kind: 'not-delivered' });
  expect(error.message).toContain('closed 4 connections without reading');
  await client.close();
});

test('a parameter that fits no record is an error of the caller and costs no other request', async () => {
  const { address } = await server((socket) => socket.write(reply('ok')));
  const client = pool(address, { connectionsMax: 1 });
  for (let i = 0; i < 2; i++) {
    const huge = { HUGE: 'x'.repeat(70_000) };
    expect(await failure(client.request({ params: huge }))).toMatchObject({ kind: 'protocol' });
    expect((await client.request()).body.toString()).toBe('ok');
  }
  await client.close();
});

test('a request waits its turn, first come first served', async () => {
  const { address } = await server((socket, _request, records) => {
    const body = records.find(({ type }) => type === 5)?.content.toString() ?? '';
    setImmediate(() => socket.write(reply(body)));
  });
  const client = pool(address, { connectionsMax: 1 });
  const order: string[] = [];
  const all = ['a', 'b', 'c', 'd'].map(async (name) => {
    order.push((await client.request({ stdin: Buffer.from(name) })).body.toString());
  });
  expect(client.stats()).toEqual({ open: 1, busy: 1, idle: 0, waiting: 3 });
  await Promise.all(all);
  expect(order).toEqual(['a', 'b', 'c', 'd']);
  await client.close();
});

test('one waiter too many is not delivered', async () => {
  const { address } = await server((socket) => socket.write(reply('ok')));
  const client = pool(address, { connectionsMax: 1, waitersMax: 1 });
  const served = [client.request(), client.request()];
  expect(await failure(client.request())).toMatchObject({ kind: 'not-delivered' });
  await Promise.all(served);
  await client.close();
});

test('no socket, no listener and a closed pool are not delivered, also for those that wait', async () => {
  const missing = `unix:${tempDir()}/missing.sock`;
  const refused = `127.0.0.1:${await freePort()}`;
  for (const [address, code] of [
    [missing, 'ENOENT'],
    [refused, 'ECONNREFUSED'],
  ] as const) {
    const client = pool(address, { connectionsMax: 1 });
    for (const error of await Promise.all([1, 2, 3].map(() => failure(client.request())))) {
      expect(error).toMatchObject({ kind: 'not-delivered' });
      expect(error.message).toContain(code);
    }
    await client.close();
    expect((await failure(client.request())).message).toContain('the pool is closed');
  }
});

/** A clock that stands, and a server that took the request and says nothing. */
async function silence(options: Partial<FastcgiPoolOptions> = {}) {
  const clock = new FakeClock();
  let seen = 0;
  const silent = await server(() => {
    seen++;
  });
  const client = pool(silent.address, { clock, connectionsMax: 1, ...options });
  return { clock, client, open: silent.open, asked: () => eventually(() => expect(seen).toBe(1)) };
}

test('a request that is not answered in time is a timeout, and its connection is closed', async () => {
  const { clock, client, open, asked } = await silence();
  const failed = failure(client.request({ timeoutMs: 3000 }));
  await asked();
  await clock.advance(2999);
  expect(client.stats().busy).toBe(1);
  await clock.advance(1);
  const error = await failed;
  expect(error).toMatchObject({ kind: 'timeout' });
  expect(error.message).toContain('no response within 3000 ms');
  await eventually(() => expect(open()).toBe(0));
});

test('a request that finds no free connection in time is not delivered', async () => {
  const { clock, client, asked } = await silence({ waitTimeoutMs: 500 });
  const first = failure(client.request({ timeoutMs: 3000 }));
  await asked();
  const early = failure(client.request());
  await clock.advance(300);
  const late = failure(client.request());
  await clock.advance(200);
  expect(await early).toMatchObject({ kind: 'not-delivered' });
  expect(client.stats().waiting).toBe(1);
  await clock.advance(300);
  expect((await late).message).toContain('all 1 connections busy for 500 ms');
  await clock.advance(3000);
  expect(await first).toMatchObject({ kind: 'timeout' });
});

test('an abort is not delivered before the request is sent, aborted afterwards', async () => {
  const { client, open, asked } = await silence();
  const [first, second] = [new AbortController(), new AbortController()];
  const sent = failure(client.request({ signal: first.signal }));
  await asked();
  const waits = failure(client.request({ signal: second.signal }));
  second.abort();
  expect(await waits).toMatchObject({ kind: 'not-delivered' });
  first.abort();
  expect(await sent).toMatchObject({ kind: 'aborted' });
  await eventually(() => expect(open()).toBe(0));
  const connecting = failure(client.request({ signal: AbortSignal.abort() }));
  expect(await connecting).toMatchObject({ kind: 'not-delivered' });
});

test('an abort while it connects is not delivered', async () => {
  const { client } = await silence();
  const controller = new AbortController();
  const failed = failure(client.request({ signal: controller.signal }));
  controller.abort();
  expect(await failed).toMatchObject({ kind: 'not-delivered' });
  expect(client.stats().open).toBe(0);
});

test('a connection that nobody needs is closed after idleTimeoutMs', async () => {
  const clock: Clock & FakeClock = new FakeClock();
  const { address, open } = await server((socket) => socket.write(reply('ok')));
  const client = pool(address, { clock, idleTimeoutMs: 4000 });
  await client.request();
  await clock.advance(3000);
  await client.request();
  await clock.advance(3999);
  expect(client.stats().idle).toBe(1);
  await clock.advance(1);
  expect(client.stats().open).toBe(0);
  await eventually(() => expect(open()).toBe(0));
});

test('close lets what is on its way finish and refuses what waits', async () => {
  let answer = () => {};
  let asked = false;
  const { address } = await server((socket) => {
    asked = true;
    answer = () => socket.write(reply('late but whole'));
  });
  const client = pool(address, { connectionsMax: 1 });
  const running = client.request();
  await eventually(() => expect(asked).toBe(true));
  const waiting = failure(client.request());
  const closed = client.close();
  expect(await waiting).toMatchObject({ kind: 'not-delivered' });
  answer();
  expect((await running).body.toString()).toBe('late but whole');
  await closed;
  await client.close();
});

test('a pool starts and stops a hundred times under load and leaves nothing open', async () => {
  const { address, open } = await server((socket) => socket.write(reply('ok')));
  for (let round = 0; round < 100; round++) {
    const client = pool(address);
    const requests = Array.from({ length: 10 }, () => client.request().catch((error) => error));
    if (round % 2 === 0) await requests[0];
    await client.close();
    for (const outcome of await Promise.all(requests)) {
      if (outcome instanceof Error) expect(outcome).toMatchObject({ kind: 'not-delivered' });
    }
  }
  await eventually(() => expect(open()).toBe(0));
});

test('a response of many records and a body of many megabytes arrive whole', async () => {
  const { address } = await server((socket, _request, records) => {
    const bytes = records
      .filter(({ type }) => type === 5)
      .reduce((n, r) => n + r.content.length, 0);
    socket.write(stdout('\n'));
    for (let i = 0; i < 100; i++) socket.write(stdout('y'.repeat(90)));
    socket.write(Buffer.concat([stdout(`${bytes}`), endRequest()]));
  });
  const client = pool(address);
  for (let i = 0; i < 3; i++) {
    const { body } = await client.request({ stdin: Buffer.alloc(5_000_000, 'z') });
    expect(body.toString()).toBe(`${'y'.repeat(9000)}5000000`);
  }
  expect(client.stats().open).toBe(1);
  await client.close();
});
