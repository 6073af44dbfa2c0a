import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { credentials, loadPackageDefinition, Metadata } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { Channel } from '@malabar/core';
import { createAuthority, eventually, logToMemory } from '@malabar/testkit';
import { protoPath } from 'grpc-health-check';
import { afterEach, describe, expect, test } from 'vitest';
import { bind } from './binding.js';
import { collect } from './call.suite.js';
import { type ConnectOptions, connect } from './client.js';
import type { Implementation } from './definition.js';
import {
  EchoDefinition,
  echo,
  type Note,
  note,
  type Sightings,
  untilAborted,
} from './echo.suite.js';
import { MESSAGE_BYTES_MAX } from './limits.js';
import { type ServeOptions, serve } from './server.js';

const cleanups: Array<() => unknown> = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Setting extends Partial<ServeOptions> {
  replaced?: Partial<Implementation<EchoDefinition>>;
}

async function serveEcho({ replaced, ...options }: Setting = {}) {
  const seen: Sightings = { messages: 0 };
  const { log, entries } = logToMemory();
  const bindings = [bind(EchoDefinition, echo(seen, replaced))];
  const server = await serve({ listen: '127.0.0.1:0', bindings, log, ...options });
  cleanups.push(() => server.close());
  return { server, seen, entries, address: server.address };
}

function connectTo(address: ConnectOptions['address'], options: Partial<ConnectOptions> = {}) {
  const client = connect(EchoDefinition, { address, ...options });
  cleanups.push(() => client.close());
  return client;
}

const unavailable = { code: 'UNAVAILABLE' };

describe('a drain', () => {
  test('lets calls under way end and takes no new ones', async () => {
    const { server, address } = await serveEcho();
    const client = connectTo(address);
    const requests = new Channel<Note>();
    const responses = client.chat(requests)[Symbol.asyncIterator]();
    requests.push(note(1));
    await responses.next();
    const drained = server.drain(30_000);
    await expect(connectTo(address).one(note(1))).rejects.toMatchObject(unavailable);
    requests.push(note(2));
    expect((await responses.next()).value).toEqual(note(2));
    requests.end();
    expect((await responses.next()).done).toBe(true);
    await drained;
  });

  test('cuts what has not ended within its grace, on both sides', async () => {
    const { server, seen, address } = await serveEcho({
      replaced: {
        one: (_, context) => {
          seen.context = context;
          return untilAborted(context);
        },
      },
    });
    const client = connectTo(address);
    const responses = client.chat(new Channel<Note>())[Symbol.asyncIterator]();
    const waiting = responses.next();
    const answer = client.one(note(1));
    const outcomes = Promise.allSettled([waiting, answer]);
    await eventually(() => expect(seen.context).toBeDefined());
    const { signal } = seen.context ?? {};
    await server.drain(10);
    await server.drain(10);
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: unavailable });
    }
    expect(signal?.aborted).toBe(true);
  });

  test('of a server that nobody calls ends at once', async () => {
    const { server, address } = await serveEcho();
    await connectTo(address).one(note(1));
    await server.drain(60_000);
  });
});

describe('a client', () => {
  test('of an address where nobody listens gets UNAVAILABLE, naming method and address', async () => {
    const { server, address } = await serveEcho();
    await server.close();
    const client = connectTo(address);
    await expect(client.one(note(1))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining(`malabar.test.v1.EchoService/One at ${address}`),
    });
    await expect(collect(client.count(note(1)))).rejects.toMatchObject(unavailable);
  });

  test('connects by itself once its server is there again', async () => {
    const first = await serveEcho();
    const client = connectTo(first.address);
    await client.one(note(1));
    await first.server.close();
    await expect(client.one(note(2))).rejects.toMatchObject(unavailable);
    await serveEcho({ listen: first.address });
    expect(await eventually(() => client.one(note(3)))).toEqual(note(3));
  });

  test('finds its address anew after UNAVAILABLE, and goes to another one', async () => {
    const [one, two] = [await serveEcho(), await serveEcho()];
    let asked = 0;
    const client = connectTo(async () => {
      asked++;
      return [one.address, two.address];
    });
    await Promise.all([client.one(note(1)), client.one(note(2))]);
    await client.one(note(3));
    expect(asked).toBe(1);
    expect(one.seen.context).toBeDefined();
    await one.server.close();
    await expect(client.one(note(4))).rejects.toMatchObject(unavailable);
    expect(await client.one(note(5))).toEqual(note(5));
    expect(two.seen.context).toBeDefined();
    expect(asked).toBe(2);
  });

  test('that knows no address gets UNAVAILABLE', async () => {
    const client = connectTo(async () => []);
    const expected = { code: 'UNAVAILABLE', message: expect.stringContaining('no address of') };
    await expect(client.one(note(1))).rejects.toMatchObject(expected);
    await expect(collect(client.count(note(1)))).rejects.toMatchObject(expected);
  });

  test('that is closed cuts its calls', async () => {
    const { address } = await serveEcho();
    const client = connectTo(address);
    const waiting = client.chat(new Channel<Note>())[Symbol.asyncIterator]().next();
    client.close();
    await expect(waiting).rejects.toMatchObject(unavailable);
    await expect(client.one(note(1))).rejects.toMatchObject(unavailable);
  });
});

test('messages of the largest size pass, larger ones are TOO_LARGE', async () => {
  const { address } = await serveEcho();
  const client = connectTo(address);
  const large = note(1, 'x'.repeat(MESSAGE_BYTES_MAX - 1_000));
  expect((await client.one(large)).text).toHaveLength(large.text.length);
  await expect(client.one(note(1, 'x'.repeat(MESSAGE_BYTES_MAX)))).rejects.toMatchObject({
    code: 'TOO_LARGE',
  });
});

test('calls are counted with their status, defects are logged', async () => {
  const handled: unknown[] = [];
  const { address, entries } = await serveEcho({
    metrics: { handled: (call) => handled.push(call) },
    replaced: {
      one: async ({ number }) => {
        if (number === 2) throw new TypeError('a defect');
        return note(number);
      },
    },
  });
  const client = connectTo(address);
  await client.one(note(1));
  await expect(client.one(note(2))).rejects.toMatchObject({ code: 'INTERNAL' });
  await collect(client.count(note(2)));
  const service = 'malabar.test.v1.EchoService';
  expect(handled).toMatchObject([
    { service, method: 'One', type: 'unary', status: 'OK' },
    { service, method: 'One', type: 'unary', status: 'INTERNAL' },
    { service, method: 'Count', type: 'server_stream', status: 'OK' },
  ]);
  expect(entries.filter(({ level }) => level === 'error')).toMatchObject([
    { message: 'call failed', fields: { method: `${service}/One`, err: { message: 'a defect' } } },
  ]);
});

describe('a listener', () => {
  test('that others can reach is refused without authentication', async () => {
    await expect(serveEcho({ listen: '0.0.0.0:0' })).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('grpc.insecure'),
    });
    await expect(serveEcho({ listen: '[::]:0' })).rejects.toMatchObject({ code: 'INVALID' });
    await serveEcho({ listen: '0.0.0.0:0', token: 'shared' });
  });

  test('that is insecure by wish says so', async () => {
    const { entries } = await serveEcho({ listen: '0.0.0.0:0', insecure: true });
    const warnings = entries.filter(({ level }) => level === 'warn');
    expect(warnings).toMatchObject([{ message: expect.stringContaining('insecure: true') }]);
  });

  test('whose address is taken names it', async () => {
    const { address } = await serveEcho();
    await expect(serveEcho({ listen: address })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining(address),
    });
  });
});

describe('a token', () => {
  test('opens internal services to those who have it', async () => {
    const { address, seen } = await serveEcho({ token: 'right' });
    const unauthenticated = { code: 'UNAUTHENTICATED' };
    await expect(connectTo(address).one(note(1))).rejects.toMatchObject(unauthenticated);
    const wrong = connectTo(address, { token: 'wrong' });
    await expect(wrong.one(note(1))).rejects.toMatchObject(unauthenticated);
    await expect(collect(wrong.count(note(1)))).rejects.toMatchObject(unauthenticated);
    await expect(collect(wrong.chat(new Channel<Note>()))).rejects.toMatchObject(unauthenticated);
    expect(seen.context).toBeUndefined();
    const right = connectTo(address, { token: { reveal: () => 'right' } });
    expect(await right.one(note(1))).toEqual(note(1));
  });

  test('is not asked of services that know their callers themselves', async () => {
    const seen: Sightings = { messages: 0 };
    const bindings = [bind(EchoDefinition, echo(seen), { access: 'public' })];
    const { address } = await serveEcho({ token: 'right', bindings });
    const metadata = { authorization: 'Basic cXVldWU6cGFzcw==' };
    await connectTo(address, { token: 'other' }).one(note(1), { metadata });
    expect(seen.context?.metadata.get('authorization')).toBe(metadata.authorization);
  });
});

describe('TLS', () => {
  const { ca, issue } = createAuthority();
  const [server, client] = [issue('server'), issue('client')];

  test('serves those who trust its authority', async () => {
    const { address } = await serveEcho({ tls: server });
    expect(await connectTo(address, { tls: { ca } }).one(note(1))).toEqual(note(1));
    await expect(connectTo(address, { tls: {} }).one(note(1))).rejects.toMatchObject(unavailable);
    await expect(connectTo(address).one(note(1))).rejects.toMatchObject(unavailable);
  });

  test('asks for a certificate where it must', async () => {
    const { address } = await serveEcho({ tls: { ...server, ca, clientAuth: true } });
    const known = connectTo(address, { tls: { ...client, ca } });
    expect(await known.one(note(1))).toEqual(note(1));
    const stranger = createAuthority().issue('stranger');
    for (const tls of [{ ca }, { ...stranger, ca }]) {
      await expect(connectTo(address, { tls }).one(note(1))).rejects.toMatchObject(unavailable);
    }
  });

  test('that is not whole is refused, naming the field', async () => {
    const missing = { ...server, key: '/nowhere/key.pem' };
    await expect(serveEcho({ tls: missing })).rejects.toThrow(/tls\.key: ENOENT/);
    await expect(serveEcho({ tls: { cert: server.cert } })).rejects.toThrow(/tls\.key/);
    await expect(serveEcho({ tls: { ...server, clientAuth: true } })).rejects.toThrow(/tls\.ca/);
    await expect(
      connectTo('127.0.0.1:1', { tls: { ca: '/nowhere' } }).one(note(1)),
    ).rejects.toThrow(/tls\.ca: ENOENT/);
  });
});

// biome-ignore lint/suspicious/noExplicitAny: clients made from proto files have no types.
function rawClient(file: string, service: string, address: string): any {
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  let found: any = loadPackageDefinition(loadSync(file, { keepCase: true, enums: String }));
  for (const part of service.split('.')) found = found[part];
  const client = new found(address, credentials.createInsecure());
  cleanups.push(() => client.close());
  return client;
}

describe('health', () => {
  test('is served without the token, and NOT_SERVING while the server drains', async () => {
    const { server, address } = await serveEcho({ token: 'right' });
    const client = rawClient(protoPath, 'grpc.health.v1.Health', address);
    const statuses: string[] = [];
    const watch = client.watch({ service: 'malabar.test.v1.EchoService' });
    watch.on('data', ({ status }: { status: string }) => statuses.push(status));
    watch.on('error', () => {});
    await eventually(() => expect(statuses).toEqual(['SERVING']));
    const all = new Promise((resolve, reject) =>
      // biome-ignore lint/suspicious/noExplicitAny: as above.
      client.check({ service: '' }, (error: any, reply: any) =>
        error ? reject(error) : resolve(reply.status),
      ),
    );
    expect(await all).toBe('SERVING');
    const drained = server.drain(200);
    await eventually(() => expect(statuses).toEqual(['SERVING', 'NOT_SERVING']));
    await drained;
  });
});

describe('reflection', () => {
  // FileDescriptorSet { file: [{ name: 'e.proto', package: 'malabar.test.v1', service: [{ name }] }] }
  const service = Buffer.concat([field(1, 'EchoService')]);
  const file = [field(1, 'e.proto'), field(2, 'malabar.test.v1'), field(6, service)];
  const descriptors = field(1, Buffer.concat(file));
  const proto = join(
    dirname(createRequire(import.meta.url).resolve('@grpc/reflection')),
    '../proto/grpc/reflection/v1/reflection.proto',
  );

  async function ask(address: string, request: object, metadata = new Metadata()) {
    const client = rawClient(proto, 'grpc.reflection.v1.ServerReflection', address);
    const stream = client.ServerReflectionInfo(metadata);
    // biome-ignore lint/suspicious/noExplicitAny: as above.
    const answer = new Promise<any>((resolve, reject) => {
      stream.on('data', resolve);
      stream.on('error', reject);
    });
    stream.write(request);
    stream.end();
    return answer;
  }

  test('lists the services and gives their files', async () => {
    const { address } = await serveEcho({ descriptors });
    const listed = await ask(address, { list_services: '*' });
    expect(listed.list_services_response.service).toEqual([
      { name: 'malabar.test.v1.EchoService' },
    ]);
    const symbol = 'malabar.test.v1.EchoService';
    const found = await ask(address, { file_containing_symbol: symbol });
    const [bytes] = found.file_descriptor_response.file_descriptor_proto;
    expect(bytes.toString('latin1')).toContain('EchoService');
  });

  test('is protected by the token', async () => {
    const { address } = await serveEcho({ descriptors, token: 'right' });
    await expect(ask(address, { list_services: '*' })).rejects.toMatchObject({ code: 16 });
    const metadata = new Metadata();
    metadata.set('authorization', 'Bearer right');
    expect(await ask(address, { list_services: '*' }, metadata)).toBeDefined();
  });

  test('needs a descriptor set that is one', async () => {
    const garbage = Buffer.from('no protobuf');
    await expect(serveEcho({ descriptors: garbage })).rejects.toThrow(/descriptor set/);
  });

  function field(number: number, value: string | Buffer): Buffer {
    const bytes = Buffer.from(value);
    return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
  }
});
