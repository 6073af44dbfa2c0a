import { request } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { eventually } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { startRig } from '../rig.suite.js';
import { queueConfig } from '../storage-double.suite.js';

const MIB = 1024 * 1024;
const NDJSON = { 'Content-Type': 'application/x-ndjson' };

function push(
  port: number,
  queue: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
) {
  return fetch(`http://127.0.0.1:${port}/v1/queues/${queue}/jobs`, {
    method: 'POST',
    body,
    headers,
  });
}

async function lines(response: Response): Promise<Array<Record<string, unknown>>> {
  const body = await response.text();
  return body
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

test('one body is one job, with what the headers say', async () => {
  const { http, storage } = await startRig();
  const response = await push(http, 'q', Buffer.from([0, 255, 10]), {
    'Malabar-Priority': '3',
    'Malabar-Key': 'k',
    'Malabar-Delay': '2m',
    'Idempotency-Key': 'once',
    'Content-Type': 'image/png',
    traceparent: '00-a-b-01',
  });
  expect(response.status).toBe(201);
  expect(await response.json()).toMatchObject({ duplicate: false, durability: 'fsync' });
  expect(storage.jobs[0]).toMatchObject({
    body: '\0\xff\n',
    job: { key: 'k', contentType: 'image/png', traceParent: '00-a-b-01', idempotencyKey: 'once' },
    options: { priority: 3, idempotencyKey: 'once' },
  });
  expect(storage.jobs[0]?.options?.deliverAtMs).toBeGreaterThan(0);
});

test('errors are JSON with a code and its status', async () => {
  const queues = [queueConfig('q'), queueConfig('shut', { password: 'hash of p' })];
  const { http } = await startRig({ queues });
  const refused = async (response: Promise<Response>) => {
    const { status, ...rest } = await response;
    expect(rest).toBeDefined();
    return [status, ((await (await response).json()) as { code: string }).code];
  };
  const basic = (text: string) => ({
    Authorization: `Basic ${Buffer.from(text).toString('base64')}`,
  });
  expect(await refused(push(http, 'none', 'x'))).toEqual([404, 'UNKNOWN_QUEUE']);
  expect(await refused(push(http, 'q', 'x'.repeat(1025)))).toEqual([413, 'TOO_LARGE']);
  for (const delay of ['soon', '-5s', '9999999999s', '9999999999d']) {
    const headers = { 'Malabar-Delay': delay };
    expect(await refused(push(http, 'q', 'x', headers)), delay).toEqual([400, 'INVALID']);
  }
  expect(await refused(push(http, 'shut', 'x'))).toEqual([401, 'UNAUTHENTICATED']);
  expect(await refused(push(http, 'shut', 'x', basic('shut:no')))).toEqual([401, 'WRONG_PASSWORD']);
  expect((await push(http, 'shut', 'x', basic('shut:p'))).status).toBe(201);
  expect((await fetch(`http://127.0.0.1:${http}/v1/queues/q/jobs`)).status).toBe(405);
  expect((await fetch(`http://127.0.0.1:${http}/`)).status).toBe(404);
});

test('a body over the limit is answered, however much more its sender has to say', async () => {
  const { http, storage } = await startRig();
  for (const length of ['content-length', 'chunked']) {
    const client = connect(http, '127.0.0.1');
    const head = length === 'chunked' ? 'Transfer-Encoding: chunked' : `Content-Length: ${MIB}`;
    client.write(`POST /v1/queues/q/jobs HTTP/1.1\r\nHost: x\r\n${head}\r\n\r\n`);
    if (length === 'chunked') client.write(`${MIB.toString(16)}\r\n`);
    client.write(Buffer.alloc(MIB, 'x'));
    if (length === 'chunked') client.write('\r\n0\r\n\r\n');
    client.write('GET /v1/queues/q/jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    const answers = await text(client);
    expect(answers.match(/HTTP\/1.1 \d+/g)).toEqual(['HTTP/1.1 413', 'HTTP/1.1 405']);
  }
  expect(storage.jobs).toEqual([]);
});

test('a body that never ends is cut off at last', async () => {
  const { http, ingest } = await startRig();
  const client = connect(http, '127.0.0.1').on('error', () => {});
  client.write('POST /v1/queues/q/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n');
  const chunk = Buffer.concat([
    Buffer.from('10000\r\n'),
    Buffer.alloc(65_536),
    Buffer.from('\r\n'),
  ]);
  const more = (): void => {
    while (!client.destroyed && client.write(chunk));
  };
  client.on('drain', more);
  more();
  await new Promise((resolve) => client.once('close', resolve));
  expect(client.bytesWritten).toBeGreaterThan(8 * MIB);
  await eventually(() => ingest.connections === 0);
});

test('NDJSON is one job a line, answered line by line in order', async () => {
  const { http, storage } = await startRig();
  const body = `{"a":1}\r\n\n${'x'.repeat(2000)}\nlast`;
  const response = await push(http, 'q', body, NDJSON);
  const results = await lines(response);
  expect(results.map(({ code }) => code)).toEqual([undefined, 'TOO_LARGE', undefined]);
  expect(storage.bodies()).toEqual(['{"a":1}', 'last']);
});

test('NDJSON is read no faster than storage takes it', async () => {
  const { http, storage, ingest } = await startRig({ connectionBytesMax: 5000 });
  storage.holding = true;
  const req = request({
    port: http,
    host: '127.0.0.1',
    path: '/v1/queues/q/jobs',
    method: 'POST',
    headers: NDJSON,
  });
  let answer = '';
  const ended = new Promise((resolve) => {
    req.on('response', (res) => {
      res.on('data', (chunk) => {
        answer += chunk;
      });
      res.on('end', resolve);
    });
  });
  const line = `${'x'.repeat(999)}\n`;
  for (let i = 0; i < 1000; i++) req.write(line);
  req.end();
  let most = 0;
  await eventually(() => {
    most = Math.max(most, ingest.intake.bytesInFlight);
    storage.release();
    return storage.jobs.length === 1000 && storage.held === 0;
  });
  await ended;
  expect(answer.trimEnd().split('\n')).toHaveLength(1000);
  // One chunk of the socket beyond the limit.
  expect(most).toBeLessThan(5000 + 2 * 65_536);
});
