import { AmqpConnection, type AmqpMessage } from '@malabar/amqp';
import { common, keeper } from '@malabar/contracts';
import { systemClock } from '@malabar/core';
import type { Logger } from '@malabar/telemetry';
import {
  eventually,
  freePort,
  logToMemory,
  needs,
  packages,
  type RabbitmqServer,
  rabbitmqServer,
  seededRandom,
} from '@malabar/testkit';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { attemptOf } from '../attempts.suite.js';
import type { Target } from '../target.js';
import { createRabbitmqTarget } from './rabbitmq.js';

const { DEAD, DONE, RELEASE, RETRY } = common.OutcomeKind;
const { RabbitmqExchangeType: Type } = keeper;

needs(describe, await packages.rabbitmq())('an exchange of RabbitMQ', () => {
  let server: RabbitmqServer;
  beforeAll(async () => {
    server = await rabbitmqServer();
  });
  afterAll(() => server?.stop());

  const exchangeOf = (name: string, declare = true): keeper.RabbitmqExchange => ({
    name,
    type: Type.TOPIC,
    declare,
  });

  function targetOf(changes: Partial<keeper.RabbitmqTarget> = {}): Target {
    const { url, user, password } = server;
    const target = createRabbitmqTarget({
      target: {
        server: { url, user, password },
        exchange: undefined,
        routingKey: '{queue}',
        unroutableOk: false,
        ...changes,
      },
      clock: systemClock,
      random: seededRandom(3),
      log: logToMemory<Logger>().log,
      node: 'test',
    });
    onTestFinished(() => target.close());
    return target;
  }

  async function connection(): Promise<AmqpConnection> {
    const opened = await AmqpConnection.open(server, 'peer');
    onTestFinished(() => opened.close());
    return opened;
  }

  /** A queue that is bound to an exchange, and what comes. */
  async function listening(exchange: string, routingKey: string): Promise<AmqpMessage[]> {
    const peer = await connection();
    const queue = `of.${exchange}.${routingKey}`;
    await peer.exchange({ name: exchange, type: 'topic', declare: true });
    await peer.queue(queue);
    await peer.bind(queue, exchange, [{ routingKey, headers: {} }]);
    const got: AmqpMessage[] = [];
    await peer.consume({ queue, prefetch: 0, onMessage: (message) => got.push(message) });
    return got;
  }

  const job = (body: string, rest: Partial<common.Job> = {}): common.Job =>
    common.Job.fromPartial({ body: Buffer.from(body), ...rest });

  /** The verdict once there is a connection. */
  async function deliver(target: Target, one: common.Job, timeoutMs = 10_000) {
    return eventually(async () => {
      const verdict = await target.deliver(attemptOf({ jobs: [one], timeoutMs }));
      expect(verdict.error).not.toContain('not connected');
      return verdict;
    });
  }

  test('a delivery is a persistent message with all that the job says, and is done when it is safe', async () => {
    const got = await listening('told', '#');
    const target = targetOf({ exchange: exchangeOf('told'), routingKey: '{topic}.of.{queue}' });
    const traceParent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const headers = { user: 'ann', 'rabbitmq-correlation-id': 'c1' };
    const contentType = 'application/json';
    const one = job('{"order":7}', { headers, contentType, traceParent, priority: 4 });
    expect(await deliver(target, one)).toMatchObject({ kind: DONE });
    await eventually(() => expect(got).toHaveLength(1));
    expect(got[0]).toMatchObject({
      body: Buffer.from('{"order":7}'),
      exchange: 'told',
      routingKey: 'ship.of.orders',
      properties: {
        messageId: expect.stringMatching(/^[0-9a-f-]{36}$/),
        correlationId: 'c1',
        contentType,
        priority: 4,
        timestamp: expect.any(Number),
        headers: {
          ...headers,
          'malabar-queue': 'orders',
          'malabar-topic': 'ship',
          'malabar-attempt': '1',
          traceparent: traceParent,
        },
      },
    });
  });

  test('the routing key is made of what the job says', async () => {
    const got = await listening('keys', '#');
    const exchange = exchangeOf('keys');
    const key = (routingKey: string, one: common.Job) =>
      deliver(targetOf({ exchange, routingKey }), one);
    const one = job('{"status":"done","params":{"n":5},"list":[1]}', {
      key: 'user-7',
      headers: { Country: 'DE' },
    });
    for (const template of [
      'fixed',
      '{body.status}.{body.params.n}',
      '{key}.{header.country}',
      '{{queue}}',
    ])
      expect(await key(template, one)).toMatchObject({ kind: DONE });
    await eventually(() =>
      expect(got.map(({ routingKey }) => routingKey)).toEqual([
        'fixed',
        'done.5',
        'user-7.DE',
        '{orders}',
      ]),
    );
    for (const template of ['{header.city}', '{body.list}', '{body.none}', '{body.params.n.x}'])
      expect(await key(template, one)).toMatchObject({
        kind: DEAD,
        errorCode: 'NO_ROUTING_KEY',
        error: `routing key '${template}': the job has no text for ${template}`,
      });
    expect(await key('{body.x}', job('no json'))).toMatchObject({ kind: DEAD });
    const long = await key('{body.x}', job(`{"x":"${'x'.repeat(256)}"}`));
    expect(long).toMatchObject({
      kind: DEAD,
      error: expect.stringContaining('256 bytes, 255 allowed'),
    });
  });

  test('what no queue gets is a failure that says so, unless it may be', async () => {
    const exchange = exchangeOf('lonely');
    const lost = await deliver(targetOf({ exchange }), job('x'));
    expect(lost).toMatchObject({
      kind: RETRY,
      errorCode: 'UNROUTABLE',
      error: "no queue of exchange 'lonely' gets the routing key 'orders'",
    });
    expect(await deliver(targetOf({ exchange, unroutableOk: true }), job('x'))).toMatchObject({
      kind: DONE,
    });
    expect(await deliver(targetOf({ routingKey: 'no.queue' }), job('x'))).toMatchObject({
      error: "there is no queue 'no.queue'",
    });
  });

  test('without an exchange the routing key is a queue, and headers that do not fit end a job', async () => {
    const peer = await connection();
    await peer.queue('straight');
    const target = targetOf({ routingKey: 'straight' });
    expect(await deliver(target, job('x'))).toMatchObject({ kind: DONE });
    expect(await peer.queue('straight')).toBe(1);
    const big = job('x', { headers: { big: 'x'.repeat(70_000) } });
    expect(await deliver(target, big)).toMatchObject({ kind: DEAD, errorCode: 'INVALID' });
    expect(await deliver(target, job('x'))).toMatchObject({ kind: DONE });
  });

  test('while RabbitMQ cannot be used nothing is delivered, no attempt is burnt, and the reason is told', async () => {
    const { user, password, url } = server;
    const reasons: Array<[Partial<keeper.RabbitmqTarget>, string | RegExp]> = [
      [{ server: { url: `amqp://127.0.0.1:${await freePort()}`, user, password } }, /ECONNREFUSED/],
      [{ server: { url, user, password: 'beet' } }, /: ACCESS_REFUSED - Login was refused/],
      [{ exchange: exchangeOf('absent', false) }, "NOT_FOUND - no exchange 'absent' in vhost '/'"],
    ];
    for (const [changes, reason] of reasons) {
      const target = targetOf(changes);
      await eventually(async () => {
        const verdict = await target.deliver(attemptOf());
        expect(verdict.kind).toBe(RELEASE);
        expect(verdict.error).toMatch(reason);
        expect(verdict.error).not.toContain(password);
      });
    }
  });

  test('an exchange that vanishes is made again, and what was not confirmed is tried again', async () => {
    const exchange = exchangeOf('vanishing');
    const target = targetOf({ exchange, unroutableOk: true });
    expect(await deliver(target, job('x'))).toMatchObject({ kind: DONE });
    const peer = await connection();
    await peer.deleteExchange('vanishing');
    expect(await target.deliver(attemptOf())).toMatchObject({
      kind: RETRY,
      errorCode: 'NOT_CONFIRMED',
      blocks: true,
    });
    expect(await deliver(target, job('x'))).toMatchObject({ kind: DONE });
  });

  test('a RabbitMQ that does not answer times out', async () => {
    const peer = await connection();
    await peer.queue('stopped');
    const target = targetOf({ routingKey: 'stopped' });
    expect(await deliver(target, job('x'))).toMatchObject({ kind: DONE });
    server.kill('SIGSTOP');
    const verdict = await target.deliver(attemptOf({ timeoutMs: 300 }));
    server.kill('SIGCONT');
    expect(verdict).toMatchObject({ kind: RETRY, errorCode: 'TIMEOUT', blocks: true });
  });

  test('while RabbitMQ is short of disk nothing is delivered, and what was on its way times out', async () => {
    const peer = await connection();
    await peer.queue('alarm');
    const target = targetOf({ routingKey: 'alarm' });
    expect(await deliver(target, job('x'))).toMatchObject({ kind: DONE });
    await server.control('set_disk_free_limit', '100000GB');
    const late = await target.deliver(attemptOf({ timeoutMs: 500 }));
    expect(late).toMatchObject({ kind: RETRY, errorCode: 'TIMEOUT' });
    expect(await target.deliver(attemptOf())).toMatchObject({
      kind: RELEASE,
      error: 'RabbitMQ takes no messages now: low on disk',
    });
    await server.control('set_disk_free_limit', '1MB');
    await eventually(async () =>
      expect(await target.deliver(attemptOf())).toMatchObject({ kind: DONE }),
    );
  });

  test('across kill -9 every delivery that is done is in the queue, and the others are told apart', async () => {
    const peer = await connection();
    await peer.queue('across');
    const target = targetOf({ routingKey: 'across' });
    await deliver(target, job('first'));
    const safe = new Set(['first']);
    const kinds = new Set<common.OutcomeKind>();
    const one = async (body: string): Promise<boolean> => {
      const { kind } = await target.deliver(attemptOf({ jobs: [job(body)] }));
      kinds.add(kind);
      if (kind === DONE) safe.add(body);
      return kind === DONE;
    };
    let n = 0;
    const untilItFails = async (): Promise<void> => {
      while (await one(`${n++}`));
    };
    const all = Array.from({ length: 50 }, untilItFails);
    await eventually(() => safe.size > 200, { everyMs: 1 });
    server.kill('SIGKILL');
    await Promise.all(all);
    await server.exited;
    expect(kinds).toContain(RETRY);
    await one('while it is away');
    expect(kinds).toContain(RELEASE);
    server = await rabbitmqServer({ after: server });
    expect(await deliver(target, job('last'))).toMatchObject({ kind: DONE });
    const got = new Set<string>();
    const again = await connection();
    await again.consume({
      queue: 'across',
      prefetch: 0,
      onMessage: ({ body }) => got.add(`${body}`),
    });
    await eventually(() => expect([...safe, 'last'].filter((body) => !got.has(body))).toEqual([]));
  });
});
