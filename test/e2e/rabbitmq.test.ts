import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AmqpConnection } from '@malabar/amqp';
import { common, storage } from '@malabar/contracts';
import {
  eventually,
  needs,
  packages,
  phpFpm,
  type RabbitmqServer,
  rabbitmqServer,
  tempDir,
} from '@malabar/testkit';
import { afterAll, describe, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';
import { commandLine } from '../harness/command.js';

const PATIENCE = { timeoutMs: 60_000, everyMs: 100 };
const PAGE = readFileSync(
  fileURLToPath(new URL('../../docs/rabbitmq.md', import.meta.url)),
  'utf8',
);
const PACKAGE = fileURLToPath(new URL('../../libs/sdk-php/', import.meta.url));
const KILLS = 2;
const requirements = [await packages.rabbitmq(), await packages.phpFpm()];

/** The first code block of the page in a language. */
function block(language: string): string {
  const found = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'm').exec(PAGE);
  if (found === null) throw new Error(`docs/rabbitmq.md has no ${language}`);
  return found[1] as string;
}

needs(describe, ...requirements)('the example of docs/rabbitmq.md', () => {
  const open: Array<{ stop(): Promise<void> }> = [];
  let rabbit: RabbitmqServer;
  afterAll(async () => {
    for (const one of open.reverse()) await one.stop();
    await rabbit?.stop();
  });

  /** The example as it stands there, but for where things are on this machine. */
  async function started(): Promise<{ bus: Bus; log: () => string[] }> {
    const dir = tempDir('rabbitmq-example');
    const autoload = join(dir, 'vendor/autoload.php');
    mkdirSync(dirname(autoload));
    writeFileSync(autoload, `<?php require '${PACKAGE}autoload.php';`);
    writeFileSync(join(dir, 'consume.php'), block('php').replaceAll('/srv/shop', dir));
    writeFileSync(join(dir, 'password'), `${rabbit.password}\n`);
    const fpm = await phpFpm();
    open.push(fpm);
    const documents = block('yaml')
      .replaceAll('amqp://rabbitmq.internal:5672', rabbit.url)
      .replaceAll('/run/secrets/rabbitmq', join(dir, 'password'))
      .replaceAll('unix:/run/php/php-fpm.sock', fpm.address)
      .replaceAll('/srv/shop', dir);
    const bus = await startBus({ documents });
    open.push(bus);
    const file = join(dir, 'warehouse.log');
    const log = () => (existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n') : []);
    return { bus, log };
  }

  /** What the exchange `outcomes` tells, as the orders by status; begins anew on each RabbitMQ. */
  async function listen(told: Map<string, Set<number>>): Promise<AmqpConnection> {
    const connection = await AmqpConnection.open(rabbit, 'others');
    await connection.exchange({ name: 'outcomes', type: 'topic', declare: true });
    await connection.queue('others');
    await connection.bind('others', 'outcomes', [{ routingKey: '#', headers: {} }]);
    const consumer = await connection.consume({
      queue: 'others',
      prefetch: 100,
      onMessage({ tag, body, routingKey }) {
        const { params } = JSON.parse(`${body}`) as { params: { order?: number } };
        const orders = told.get(routingKey) ?? new Set();
        told.set(routingKey, orders.add(params.order ?? 0));
        setImmediate(() => consumer.ack(tag, false));
      },
    });
    return connection;
  }

  const serialized = (order: number): string =>
    `a:2:{s:5:"etime";i:1481000000;s:4:"body";a:1:{s:5:"order";i:${order};}}`;

  /** Publishes trades until RabbitMQ is gone; those that it has confirmed. */
  async function publish(first: number, count: number, enough: () => void): Promise<number[]> {
    const connection = await AmqpConnection.open(rabbit, 'old publisher');
    const publisher = await connection.publisher();
    const confirmed: number[] = [];
    const one = async (order: number): Promise<void> => {
      const message = {
        exchange: 'trades',
        routingKey: `shop${order % 7}.taobao.WAIT_SELLER_SEND_GOODS`,
        body: Buffer.from(serialized(order)),
        properties: { messageId: `trade-${order}`, contentType: 'text/plain' },
      };
      await publisher.publish(message);
      if (confirmed.push(order) === count / 4) enough();
    };
    const orders = Array.from({ length: count }, (_, n) => first + n);
    await Promise.allSettled(orders.map(one));
    await connection.close();
    return confirmed;
  }

  /** Every job of the event that storage holds, by its order. */
  async function ordersOf(bus: Bus): Promise<number[]> {
    const orders: number[] = [];
    let cursor = '';
    do {
      const page = await bus.storage.listJobs(
        storage.ListJobsRequest.fromPartial({
          queue: 'order_wait_send',
          topic: 'tell_warehouse',
          state: common.DeliveryState.DONE,
          limit: 1000,
          cursor,
          withBody: true,
        }),
      );
      for (const { job } of page.deliveries)
        orders.push(JSON.parse(Buffer.from(job?.body ?? []).toString()).order);
      cursor = page.nextCursor;
    } while (cursor !== '');
    return orders;
  }

  test('loses nothing while RabbitMQ is killed and restarted', { timeout: 300_000 }, async () => {
    rabbit = await rabbitmqServer();
    const { bus, log } = await started();
    const command = commandLine(bus);
    const consumes = (state: RegExp) =>
      eventually(async () => expect(await command.ok('sources')).toMatch(state), PATIENCE);
    await consumes(/trades .* connected$/m);
    const told = new Map<string, Set<number>>();
    const confirmed: number[] = [];
    let others = await listen(told);
    for (let kill = 0; kill < KILLS; kill++) {
      const orders = await publish(kill * 10_000 + 1, 2_000, () => rabbit.kill('SIGKILL'));
      confirmed.push(...orders);
      await rabbit.exited;
      await others.close();
      const doctor = await command.run('doctor');
      expect(doctor.stdout).toMatch(
        /wrong +source trades .*(ECONNREFUSED|closed|ended|ECONNRESET)/,
      );
      rabbit = await rabbitmqServer({ after: rabbit });
      others = await listen(told);
      await consumes(/trades .* connected$/m);
    }
    confirmed.push(...(await publish(100_000, 40, () => {})));
    const poison = await AmqpConnection.open(rabbit, 'old publisher');
    const publisher = await poison.publisher();
    const key = 'shop1.taobao.WAIT_SELLER_SEND_GOODS';
    const evil = { exchange: 'trades', routingKey: key, properties: { messageId: 'evil' } };
    await publisher.publish({ ...evil, body: Buffer.from('O:7:"Exploit":0:{}') });
    const unasked = { ...evil, routingKey: 'shop1.taobao.TRADE_CLOSED', body: Buffer.from('N;') };
    await expect(publisher.publish(unasked)).rejects.toMatchObject({ kind: 'unroutable' });
    await eventually(
      async () => expect(await poison.queue('malabar.trades.poison')).toBe(1),
      PATIENCE,
    );
    await poison.close();

    const missing = (got: Iterable<number>) => {
      const all = new Set(got);
      return confirmed.filter((order) => !all.has(order));
    };
    const numbered = () => log().map((line) => Number(line.split(' ')[1]));
    await eventually(() => expect(missing(numbered())).toEqual([]), PATIENCE);
    const one = confirmed[0] as number;
    expect(log()).toContain(`shop${one % 7} ${one}`);
    const done = () => told.get('order_wait_send.done') ?? [];
    await eventually(() => expect(missing(done())).toEqual([]), PATIENCE);
    expect([...told.keys()]).toEqual(['order_wait_send.done']);
    const jobs = await ordersOf(bus);
    expect(missing(jobs)).toEqual([]);
    expect(jobs.length).toBe(new Set(jobs).size);
    // Else nothing was at risk.
    expect(confirmed.length).toBeGreaterThan(KILLS * 500);
    await others.close();
    expect((await command.run('doctor')).stdout).toMatch(
      /ok +source trades .*acknowledged, 1 put aside as poison/,
    );
  });
});
