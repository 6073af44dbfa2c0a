import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { common, keeper } from '@malabar/contracts';
import { systemClock } from '@malabar/core';
import { freePort } from '@malabar/testkit';
import { afterEach, expect, test } from 'vitest';
import { attemptOf, leased } from '../attempts.suite.js';
import type { Target } from '../target.js';
import { type Behaviour, type TargetHarness, testTarget } from '../target.suite.js';
import { createHttpTarget } from './http.js';

const { DONE, RELEASE, RETRY } = common.OutcomeKind;
const { PEPPERBUS, RAW } = keeper.HttpFormat;

async function listen(
  handler: RequestListener,
  port = 0,
): Promise<{ server: Server; url: string }> {
  const server = createServer(handler).listen(port, '127.0.0.1');
  await once(server, 'listening');
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jobs?a=b` };
}

async function close(server: Server): Promise<void> {
  server.close();
  server.closeAllConnections();
  await once(server, 'close');
}

function targetOf(url: string, changes: Partial<keeper.HttpTarget> = {}): Target {
  const target = keeper.HttpTarget.fromPartial({
    url,
    format: RAW,
    connectionsMax: 4,
    connectTimeoutMs: 1000,
    responseBytesMax: 1024 * 1024,
    ...changes,
  });
  return createHttpTarget({ target, clock: systemClock });
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request.setEncoding('latin1')) body += chunk;
  return body;
}

/** Each way to say it: by status for raw bodies, by the Code header for the form. */
const ANSWERS: Record<
  'raw' | 'form',
  Partial<Record<Behaviour, [number, Record<string, string>]>>
> = {
  raw: {
    yes: [200, {}],
    no: [422, {}],
    later: [503, { 'retry-after': '90' }],
    dead: [410, {}],
    back: [200, { 'malabar-outcome': 'release' }],
    'yes-and-500': [500, { 'malabar-outcome': 'done' }],
  },
  form: {
    yes: [200, { code: '200' }],
    no: [200, { code: '500', 'error-code': '17' }],
    later: [200, { code: '500', 'retry-after': '90' }],
    dead: [200, { 'malabar-outcome': 'dead' }],
    back: [200, { 'malabar-outcome': 'release' }],
    'yes-and-500': [500, { code: '200' }],
  },
};
const WORDS: Partial<Record<Behaviour, string>> = { no: 'no stock', dead: 'no such order' };

function behave(form: 'raw' | 'form', behaviour: Behaviour, response: ServerResponse): void {
  if (behaviour === 'hang') return;
  if (behaviour === 'die') response.destroy();
  else if (behaviour === 'drip') {
    response.writeHead(200, { code: '200' });
    const timer = setInterval(() => response.write('.'), 20);
    response.on('close', () => clearInterval(timer));
  } else if (behaviour === 'flood') {
    response.writeHead(200, { code: '200' });
    response.end(Buffer.alloc(3 * 1024 * 1024 + 1));
  } else {
    const [status, headers] = ANSWERS[form][behaviour] ?? [500, {}];
    response.writeHead(status, headers).end(WORDS[behaviour] ?? '');
  }
}

async function startHarness(form: 'raw' | 'form'): Promise<TargetHarness> {
  const format = form === 'raw' ? RAW : PEPPERBUS;
  const received: string[] = [];
  const handler: RequestListener = async (request, response) => {
    const body = await bodyOf(request);
    const fields = new URLSearchParams(body);
    const topic = (form === 'raw' ? request.headers['malabar-topic'] : fields.get('topic')) ?? '';
    const jobs = JSON.parse(fields.get('jobs') ?? '[]') as Array<{ content: string }>;
    received.push(form === 'raw' ? body : (jobs[0]?.content ?? ''), String(topic));
    behave(form, topic as Behaviour, response);
  };
  // A port that nobody gets by chance while it is closed.
  let { server, url } = await listen(handler, await freePort());
  const nobody = `http://127.0.0.1:${await freePort()}/`;
  return {
    target: () => targetOf(url, { format }),
    nobody: () => targetOf(nobody, { format }),
    received: () => received,
    async restart() {
      await close(server);
      ({ server, url } = await listen(handler, Number(new URL(url).port)));
    },
    stop: () => close(server),
  };
}

testTarget('http, raw', () => startHarness('raw'));
testTarget('http, pepperbus form', () => startHarness('form'));

const stops: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

interface Seen {
  method: string | undefined;
  path: string | undefined;
  raw: string[];
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

async function serve(
  answer: (response: ServerResponse, request: IncomingMessage) => void,
  changes: Partial<keeper.HttpTarget> = {},
): Promise<{ target: Target; seen: Seen[]; url: string }> {
  const seen: Seen[] = [];
  const { server, url } = await listen(async (request, response) => {
    const { method, url: path, rawHeaders: raw, headers } = request;
    seen.push({ method, path, raw, headers, body: await bodyOf(request) });
    answer(response, request);
  });
  stops.push(() => close(server));
  const target = targetOf(url, changes);
  stops.push(() => target.close());
  return { target, seen, url };
}

test('a raw request carries the body as it is and everything else in headers', async () => {
  const { target, seen } = await serve((response) => response.end());
  const body = Buffer.from([0, 255, 10, 13, 128]);
  const job = {
    body,
    contentType: 'image/png',
    traceParent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    headers: { Origin: 'caf\u00e9 100%', 'odd name': ' x ' },
  };
  const deliveries = leased([job], { attempt: 3 });
  expect((await target.deliver(attemptOf({ deliveries, queue: '\u961f' }))).kind).toBe(DONE);
  expect(seen[0]).toMatchObject({
    method: 'POST',
    path: '/jobs?a=b',
    body: body.toString('latin1'),
  });
  expect(seen[0]?.headers).toMatchObject({
    'content-type': 'image/png',
    'malabar-job-id': deliveries[0]?.jobId,
    'malabar-queue': '%E9%98%9F',
    'malabar-topic': 'ship',
    'malabar-attempt': '3',
    traceparent: job.traceParent,
    'malabar-header-origin': 'caf%C3%A9 100%25',
    'malabar-header-odd%20name': '%20x%20',
  });
});

test('headers of the configuration win, also Host and Authorization', async () => {
  const { target, seen } = await serve((response) => response.end(), {
    headers: { Host: 'jobs.internal', 'Content-Type': 'text/x', Authorization: 'Bearer t' },
  });
  await target.deliver(attemptOf());
  expect(seen[0]?.headers).toMatchObject({
    host: 'jobs.internal',
    'content-type': 'text/x',
    authorization: 'Bearer t',
  });
});

test('user and password of the URL become Authorization and are not shown', async () => {
  const { url, seen } = await serve((response) => response.end());
  const target = targetOf(url.replace('//', '//shop:p%40ss@'));
  stops.push(() => target.close());
  await target.deliver(attemptOf());
  expect(seen[0]?.headers.authorization).toBe(
    `Basic ${Buffer.from('shop:p@ss').toString('base64')}`,
  );
  expect(target.address).toBe(url.split('?')[0]);
});

test('a redirect is a failure and is not followed', async () => {
  const { target, seen } = await serve((response) =>
    response.writeHead(302, { location: '/elsewhere' }).end(),
  );
  expect(await target.deliver(attemptOf())).toMatchObject({ kind: RETRY, errorCode: '302' });
  expect(seen).toHaveLength(1);
});

test('Malabar-Outcome with a word that nobody knows is a failure that says so', async () => {
  const { target } = await serve((response) =>
    response.writeHead(200, { 'malabar-outcome': 'maybe' }).end(),
  );
  expect((await target.deliver(attemptOf())).error).toContain("'maybe'");
});

test('a host name that does not resolve is not delivered', async () => {
  const target = targetOf('http://malabar.invalid/');
  stops.push(() => target.close());
  expect((await target.deliver(attemptOf())).kind).toBe(RELEASE);
});

test('what waited for a connection in vain was not delivered', async () => {
  const { target } = await serve(() => {}, { connectionsMax: 1 });
  const first = target.deliver(attemptOf({ timeoutMs: 2_000 }));
  const second = target.deliver(attemptOf({ timeoutMs: 100 }));
  expect((await second).kind).toBe(RELEASE);
  expect(await first).toMatchObject({ kind: RETRY, errorCode: 'TIMEOUT' });
});

test('the form comes with both spellings of the header that SDKs look for', async () => {
  const { target, seen } = await serve((response) => response.setHeader('Code', '200').end(), {
    format: PEPPERBUS,
  });
  await target.deliver(attemptOf());
  expect(seen[0]?.headers['content-type']).toBe('application/x-www-form-urlencoded');
  expect(seen[0]?.raw).toEqual(
    expect.arrayContaining(['IS-PEPPER-BUS-REQUEST', 'IS_PEPPER_BUS_REQUEST']),
  );
  expect([...new URLSearchParams(seen[0]?.body).keys()]).toEqual([
    'IS_PEPPER_BUS_REQUEST',
    'jobs',
    'outTraceId',
    'queue',
    'topic',
    'type',
  ]);
});

test.each([
  ['orders/ship', {}, ''],
  ['orders/ship, orders/sms,', {}, ''],
  ['', { 'consume-topics': 'a/b,orders/ship,' }, ''],
  ['orders/sms', {}, 'does not serve'],
  ['orders/ship', { code: '404' }, 'Code 404'],
])('a ping answered with %j and %j is judged %j', async (body, headers, fault) => {
  const { target, seen } = await serve(
    (response) => response.writeHead(200, { code: '200', ...headers }).end(body),
    { format: PEPPERBUS, ping: true },
  );
  expect(await target.ping('orders/ship', 1000)).toContain(fault);
  expect(seen[0]?.body).toBe('IS_PEPPER_BUS_REQUEST=true&type=ping');
});
