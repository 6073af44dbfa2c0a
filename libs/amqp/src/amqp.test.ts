import { systemClock } from '@malabar/core';
import {
  eventually,
  freePort,
  needs,
  packages,
  type RabbitmqServer,
  rabbitmqServer,
  seededRandom,
} from '@malabar/testkit';
import { connect } from 'amqplib';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import {
  AmqpConnection,
  type AmqpLink,
  type AmqpMessage,
  addressOf,
  createAmqpLink,
} from './index.js';

const addressed = ({ host, port }: RabbitmqServer) => ({ hostname: host, port });

test.each([
  ['amqp://rabbit', { protocol: 'amqp', host: 'rabbit', port: undefined, vhost: '/' }],
  ['amqp://rabbit/', { protocol: 'amqp', host: 'rabbit', port: undefined, vhost: '/' }],
  ['amqps://rabbit:5671/shop', { protocol: 'amqps', host: 'rabbit', port: 5671, vhost: 'shop' }],
  ['amqp://[::1]:5672/%2Fa%2Fb', { protocol: 'amqp', host: '::1', port: 5672, vhost: '/a/b' }],
])('%s is read', (url, address) => {
  expect(addressOf({ url })).toEqual(address);
});

needs(describe, await packages.rabbitmq())('a real RabbitMQ', () => {
  let server: RabbitmqServer;
  beforeAll(async () => {
    server = await rabbitmqServer();
  });
  afterAll(() => server?.stop());

  async function open(changes: { url?: string; user?: string; password?: string } = {}) {
    const connection = await AmqpConnection.open({ ...server, ...changes }, 'test');
    onTestFinished(() => connection.close());
    return connection;
  }

  const text = (body: string, rest: object = {}) => ({
    exchange: '',
    routingKey: 'q',
    body: Buffer.from(body),
    properties: {},
    ...rest,
  });

  test('a wrong password, a vhost that is not there and nobody who listens are told apart', async () => {
    await expect(open({ password: 'beet' })).rejects.toThrow(/^ACCESS_REFUSED - Login was refused/);
    await expect(open({ url: `${server.url}/nowhere` })).rejects.toThrow(
      "there is no vhost 'nowhere', or user 'bus' may not use it",
    );
    const url = `amqp://127.0.0.1:${await freePort()}`;
    await expect(open({ url })).rejects.toThrow(/ECONNREFUSED/);
  });

  test('a message is confirmed, consumed with all that it says, and gone once acknowledged', async () => {
    const connection = await open();
    await connection.exchange({ name: 'e', type: 'topic', declare: true });
    await connection.queue('one');
    await connection.bind('one', 'e', [{ routingKey: 'a.*', headers: {} }]);
    const publisher = await connection.publisher();
    const properties = {
      messageId: 'm1',
      correlationId: 'c1',
      contentType: 'text/plain',
      type: 't',
      appId: 'shop',
      replyTo: 'r',
      timestamp: 1_700_000_000,
      priority: 3,
      headers: { country: 'DE', n: 5 },
    };
    await publisher.publish(text('hello', { exchange: 'e', routingKey: 'a.b', properties }));
    const got: AmqpMessage[] = [];
    const consumer = await connection.consume({
      queue: 'one',
      prefetch: 10,
      onMessage: (message) => got.push(message),
    });
    await eventually(() => expect(got).toHaveLength(1));
    expect(got[0]).toEqual({
      tag: 1,
      body: Buffer.from('hello'),
      redelivered: false,
      exchange: 'e',
      routingKey: 'a.b',
      properties,
    });
    consumer.ack(1, false);
    await connection.close();
    expect(await connection.ended).toBe('closed');
    consumer.ack(1, false);
    const again = await open();
    const left: AmqpMessage[] = [];
    const publishing = await again.publisher();
    await publishing.publish(text('last', { routingKey: 'one' }));
    await again.consume({ queue: 'one', prefetch: 10, onMessage: (message) => left.push(message) });
    await eventually(() => expect(left.map(({ body }) => `${body}`)).toEqual(['last']));
  });

  test('no more than the prefetch is out, and what was not acknowledged comes again', async () => {
    const connection = await open();
    await connection.queue('many');
    const publisher = await connection.publisher();
    const bodies = Array.from({ length: 20 }, (_, n) => `${n}`);
    await Promise.all(bodies.map((body) => publisher.publish(text(body, { routingKey: 'many' }))));
    const got: AmqpMessage[] = [];
    const consumer = await connection.consume({
      queue: 'many',
      prefetch: 4,
      onMessage: (message) => got.push(message),
    });
    await eventually(() => expect(got).toHaveLength(4));
    // A question that is answered later: what RabbitMQ wanted to send before has come.
    await connection.queue('many');
    expect(got).toHaveLength(4);
    consumer.ack(3, true);
    await eventually(() => expect(got).toHaveLength(7));
    await connection.close();
    const second = await open();
    const rest: AmqpMessage[] = [];
    await second.consume({
      queue: 'many',
      prefetch: 0,
      onMessage: (message) => rest.push(message),
    });
    await eventually(() => expect(rest).toHaveLength(17));
    expect(rest.filter(({ redelivered }) => redelivered)).toHaveLength(4);
  });

  test('a message that no queue gets is not confirmed, and one that cannot be sent ends nothing', async () => {
    const connection = await open();
    const publisher = await connection.publisher();
    await expect(publisher.publish(text('x', { routingKey: 'nowhere' }))).rejects.toMatchObject({
      kind: 'unroutable',
      message: "there is no queue 'nowhere'",
    });
    await expect(
      publisher.publish(text('x', { exchange: 'amq.topic', routingKey: 'a.b' })),
    ).rejects.toMatchObject({
      kind: 'unroutable',
      message: "no queue of exchange 'amq.topic' gets the routing key 'a.b'",
    });
    const headers = { big: 'x'.repeat(70_000) };
    await expect(publisher.publish(text('x', { properties: { headers } }))).rejects.toMatchObject({
      kind: 'invalid',
    });
    await connection.queue('still-open');
    await publisher.publish(text('x', { routingKey: 'still-open' }));
  });

  test('a message that a full queue refuses is told so', async () => {
    const model = await connect({ ...addressed(server), username: 'bus', password: 'carrot' });
    const channel = await model.createChannel();
    await channel.assertQueue('full', { maxLength: 1, overflow: 'reject-publish' });
    await model.close();
    const connection = await open();
    // One that is there is taken as it is.
    await connection.queue('full');
    const publisher = await connection.publisher();
    await publisher.publish(text('x', { routingKey: 'full' }));
    const refused = publisher.publish(text('y', { routingKey: 'full' }));
    await expect(refused).rejects.toMatchObject({ kind: 'refused' });
  });

  test('what is missing or other than wanted is told in the words of RabbitMQ', async () => {
    const connection = await open();
    const missing = connection.exchange({ name: 'none', type: 'topic', declare: false });
    await expect(missing).rejects.toThrow("NOT_FOUND - no exchange 'none' in vhost '/'");
    await connection.exchange({ name: 'd', type: 'direct', declare: true });
    const other = connection.exchange({ name: 'd', type: 'topic', declare: true });
    await expect(other).rejects.toThrow(/PRECONDITION_FAILED - inequivalent arg 'type'/);
    const publisher = await connection.publisher();
    const lost = publisher.publish(text('x', { exchange: 'none' }));
    await expect(lost).rejects.toMatchObject({ kind: 'lost' });
    expect(await connection.ended).toBe("NOT_FOUND - no exchange 'none' in vhost '/'");
    await expect(publisher.publish(text('x'))).rejects.toMatchObject({ kind: 'unsent' });
  });

  test('a link comes back after kill -9, makes everything anew, and no confirmed message is missing', async () => {
    const [ups, downs]: [string[], string[]] = [[], []];
    const link: AmqpLink = createAmqpLink({
      endpoint: server,
      name: 'link',
      clock: systemClock,
      random: seededRandom(1),
      async begin(connection) {
        await connection.queue('linked');
      },
      onUp: () => ups.push('up'),
      onDown: (reason) => downs.push(reason),
    });
    onTestFinished(() => link.close());
    await eventually(() => expect(link.connection).toBeDefined(), { timeoutMs: 20_000 });
    const publisher = await link.connection?.publisher();
    await publisher?.publish(text('before', { routingKey: 'linked' }));
    server.kill('SIGKILL');
    await eventually(() => expect(link.reason).not.toBe(''));
    await server.exited;
    server = await rabbitmqServer({ after: server });
    await eventually(() => expect(link.connection).toBeDefined(), { timeoutMs: 20_000 });
    expect([ups.length, link.reconnects]).toEqual([2, 1]);
    expect(downs.length).toBeGreaterThan(0);
    const got: string[] = [];
    await link.connection?.consume({
      queue: 'linked',
      prefetch: 10,
      onMessage: ({ body }) => got.push(`${body}`),
    });
    await eventually(() => expect(got).toEqual(['before']));
    await link.close();
    expect(link.connection).toBeUndefined();
  });

  test('a link that cannot begin says why, and tries again', async () => {
    let attempts = 0;
    const link = createAmqpLink({
      endpoint: server,
      name: 'link',
      clock: systemClock,
      random: seededRandom(1),
      async begin(connection) {
        if (++attempts < 3)
          await connection.exchange({ name: 'gone', type: 'topic', declare: false });
      },
    });
    onTestFinished(() => link.close());
    await eventually(() => expect(link.reason).toMatch(/^NOT_FOUND - no exchange 'gone'/));
    await eventually(() => expect(link.connection).toBeDefined());
    expect(attempts).toBe(3);
  });
});
