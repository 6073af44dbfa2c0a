import { createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { common } from '@malabar/contracts';
import { type ConnectOptions, connect, PublishAllError, type PublishError } from '@malabar/sdk';
import { type CuttingProxy, cuttingProxy, eventually, freePort } from '@malabar/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';
import { counts } from './node-sdk.js';
import { deliveryOf } from './php-application.js';

const { READY, SCHEDULED } = common.DeliveryState;

const documents = `
queues:
  orders: { topics: { t: { target: pull } } }
  bulk: { topics: { t: { target: pull } } }
  torn: { topics: { t: { target: pull } } }
  killed: { topics: { t: { target: pull } } }
  guarded: { password: s3cret, topics: { t: { target: pull } } }
  small: { limits: { body: 1KiB, ready: 3 }, topics: { t: { target: pull } } }
`;

interface Events {
  orders: { order?: number; price?: number; name?: string };
  order_create: object;
}

let bus: Bus;
let proxy: CuttingProxy;
const open: Array<{ close(): Promise<void> }> = [];

beforeAll(async () => {
  bus = await startBus({ documents });
  proxy = await cuttingProxy({ port: bus.ports.grpc.all });
});

afterAll(async () => {
  await Promise.all(open.map((malabar) => malabar.close()));
  await proxy?.stop();
  await bus?.stop();
});

// biome-ignore lint/suspicious/noExplicitAny: as the library's own default.
function connected<E extends object = Record<string, any>>(options: ConnectOptions = {}) {
  const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const address = `127.0.0.1:${bus.ports.grpc.all}`;
  const malabar = connect<E>({ address, log: silent, ...options });
  open.push(malabar);
  return malabar;
}

async function refusal(publishing: Promise<unknown>): Promise<PublishError> {
  const outcome = await publishing.then(
    () => undefined,
    (error) => error,
  );
  expect(outcome).toMatchObject({ name: 'PublishError' });
  return outcome;
}

test('options travel with the event, and the body is the same in every language', async () => {
  const malabar = connected<Events>();
  const { id } = await malabar.publish(
    'orders',
    { order: 7, price: 1.5, name: '\u961f/' },
    { delay: '1h', key: 'user-7', priority: 3, ttl: '2h', headers: { tenant: 'de' } },
  );
  const { job, deliveries } = await bus.storage.getJob({ jobId: id });
  expect(Buffer.from(job?.body ?? []).toString()).toBe(
    '{"v":1,"event":"orders","params":{"order":7,"price":1.5,"name":"\u961f/"}}',
  );
  expect(job).toMatchObject({ key: 'user-7', priority: 3, headers: { tenant: 'de' } });
  const accepted = deliveries[0]?.acceptedAtMs ?? 0;
  expect((job?.deliverAtMs ?? 0) - accepted).toBeLessThanOrEqual(3_600_000);
  expect((job?.deliverAtMs ?? 0) - accepted).toBeGreaterThan(3_590_000);
  expect((job?.expiresAtMs ?? 0) - (job?.deliverAtMs ?? 0)).toBe(3_600_000);
  expect(deliveries[0]?.state).toBe(SCHEDULED);
});

test('an event without parameters has none, and its queue may have another name', async () => {
  const malabar = connected<Events>();
  const { id } = await malabar.publish('order_create', undefined, { queue: 'orders' });
  const { job } = await bus.storage.getJob({ jobId: id });
  expect(Buffer.from(job?.body ?? []).toString()).toBe(
    '{"v":1,"event":"order_create","params":{}}',
  );
});

test('the same unique key is the same event', async () => {
  const malabar = connected();
  const once = () => malabar.publish('orders', { n: 1 }, { unique: 'FB138', uniqueFor: '1m' });
  const first = await once();
  expect(first.duplicate).toBe(false);
  expect(await once()).toEqual({ id: first.id, duplicate: true });
});

test('with a debounce the last of a row takes the place of the others', async () => {
  const malabar = connected();
  const options = { unique: 'debounced', debounce: '10m', maxWait: '1h' } as const;
  const first = await malabar.publish('orders', { n: 1 }, options);
  const second = await malabar.publish('orders', { n: 2 }, options);
  expect(second.duplicate).toBe(false);
  const [one] = (await bus.storage.getJob({ jobId: first.id })).deliveries;
  expect(one).toMatchObject({ state: common.DeliveryState.DISCARDED, errorCode: 'REPLACED' });
  expect(one?.error).toContain(second.id);
  const [two] = (await bus.storage.getJob({ jobId: second.id })).deliveries;
  expect(two?.state).toBe(common.DeliveryState.SCHEDULED);
});

test('thousands that are published at once travel together, each with its answer', async () => {
  const malabar = connected();
  const publishing = Array.from({ length: 5_000 }, (_, n) => malabar.publish('bulk', { n }));
  const ids = (await Promise.all(publishing)).map(({ id }) => id);
  expect(new Set(ids).size).toBe(5_000);
  expect((await deliveryOf(bus, ids[4_999] ?? '')).state).toBe(READY);
});

test('publishAll takes no more from its source than the bus follows', async () => {
  const malabar = connected({ address: proxy.address, waitingMax: 500 });
  let taken = 0;
  async function* source() {
    for (; taken < 5_000; taken++) yield { event: 'bulk', params: { n: taken } };
  }
  await malabar.publish('orders');
  const before = (await counts(bus, 'bulk')).ready;
  proxy.cut();
  const publishing = malabar.publishAll(source());
  await eventually(() => taken >= 250);
  for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(taken).toBe(250);
  proxy.heal();
  const published = await publishing;
  expect(new Set(published.map(({ id }) => id)).size).toBe(5_000);
  expect((await counts(bus, 'bulk')).ready).toBe(before + 5_000);
});

test('whoever publishes more than may wait hears BUSY at once, and ready() says when to go on', async () => {
  const malabar = connected({ waitingMax: 10 });
  const publishing = Array.from({ length: 11 }, (_, n) => malabar.publish('bulk', { n }));
  expect(await refusal(publishing[10] as Promise<unknown>)).toMatchObject({
    code: 'BUSY',
    retryable: true,
    mayHaveHappened: false,
  });
  await malabar.ready();
  await malabar.publish('bulk', { n: 12 });
  expect(await Promise.all(publishing.slice(0, 10))).toHaveLength(10);
});

test("a refusal has the bus's code, and of several says which ones it was", async () => {
  const malabar = connected();
  const nowhere = await refusal(malabar.publish('nowhere'));
  expect(nowhere).toMatchObject({
    code: 'UNKNOWN_QUEUE',
    retryable: false,
    mayHaveHappened: false,
  });
  expect(nowhere.message).toContain('nowhere');
  const some = await malabar
    .publishAll([
      { event: 'orders' },
      { event: 'nowhere' },
      { event: 'small', params: { x: 'x'.repeat(2_000) } },
      { event: 'orders' },
    ])
    .catch((error) => error);
  expect(some).toBeInstanceOf(PublishAllError);
  expect(some.published.map(Boolean)).toEqual([true, false, false, true]);
  expect(some.refusals).toMatchObject([
    { index: 1, error: { code: 'UNKNOWN_QUEUE' } },
    { index: 2, error: { code: 'TOO_LARGE' } },
  ]);
  await malabar.publishAll([1, 2, 3].map(() => ({ event: 'small' })));
  expect(await refusal(malabar.publish('small'))).toMatchObject({
    code: 'QUEUE_FULL',
    retryable: true,
  });
});

test('a queue with a password takes who knows it, and does not disturb the others', async () => {
  const right = connected({ passwords: { guarded: 's3cret' } });
  const [guarded, plain] = await Promise.all([right.publish('guarded'), right.publish('orders')]);
  expect(guarded?.id).not.toBe(plain?.id);
  const wrong = connected({ passwords: { guarded: 'guess' } });
  const none = connected();
  const publishing = [wrong.publish('guarded'), none.publish('guarded')].map(refusal);
  expect((await Promise.all(publishing)).map(({ code }) => code)).toEqual([
    'WRONG_PASSWORD',
    'UNAUTHENTICATED',
  ]);
  expect((await wrong.publish('orders')).duplicate).toBe(false);
});

test('what is wrong with an event is said before anything is sent', async () => {
  const malabar = connected();
  const faults: Array<[Promise<unknown>, string]> = [
    [malabar.publish('no/slash'), 'event "no/slash": a name has'],
    [malabar.publish('orders', {}, { delay: 10 as never }), 'delay: 10 is not a duration'],
    [malabar.publish('orders', {}, { priority: 10 }), 'priority 10: 0 (usual) to 9'],
    [malabar.publish('orders', {}, { colour: 'red' } as never), "has no option 'colour'"],
    [malabar.publish('orders', 'text' as never), 'its parameters are an object, not string'],
    [malabar.publish('orders', {}, { uniqueFor: '1m' }), 'uniqueFor means nothing without unique'],
    [malabar.publish('orders', {}, { debounce: '1s' }), 'debounce means nothing without unique'],
    [malabar.publish('orders', {}, { maxWait: '1s' }), 'maxWait means nothing without debounce'],
  ];
  for (const [publishing, words] of faults) await expect(publishing).rejects.toThrow(words);
  expect(() => connect({ address: 'a:1', keeper: 'b:2' })).toThrow('not both');
});

test('connections that break while thousands are under way lose and double none', async () => {
  const malabar = connected({ address: proxy.address });
  let isDone = false;
  let tears = 0;
  const tearing = (async () => {
    for (; !isDone; tears++) {
      await new Promise((resolve) => setTimeout(resolve, 60));
      proxy.reset();
    }
  })();
  const ids = new Set<string>();
  let rounds = 0;
  for (; rounds < 20 || tears < 5; rounds++) {
    const batch = Array.from({ length: 300 }, (_, n) => malabar.publish('torn', { n }));
    for (const { id, duplicate } of await Promise.all(batch)) {
      expect(duplicate).toBe(false);
      ids.add(id);
    }
  }
  isDone = true;
  await tearing;
  expect(ids.size).toBe(rounds * 300);
  expect((await counts(bus, 'torn')).ready).toBe(rounds * 300);
});

test('a bus that is killed while events are under way loses and doubles none', async () => {
  const malabar = connected();
  const publishing: Promise<{ id: string }>[] = [];
  const feed = (async () => {
    for (let n = 0; n < 3_000; n++) {
      publishing.push(malabar.publish('killed', { n }));
      if (n % 50 === 49) await new Promise((resolve) => setTimeout(resolve, 10));
    }
  })();
  await eventually(() => publishing.length > 500);
  await bus.kill('all', 'SIGKILL');
  await bus.start('all');
  await feed;
  const ids = (await Promise.all(publishing)).map(({ id }) => id);
  expect(new Set(ids).size).toBe(3_000);
  expect((await counts(bus, 'killed')).ready).toBe(3_000);
});

test('a bus that is away is an error in time, which says whether it may have happened', async () => {
  const away = connected({ address: `127.0.0.1:${await freePort()}`, timeout: '500ms' });
  const never = await refusal(away.publish('orders'));
  expect(never).toMatchObject({ code: 'TIMEOUT', retryable: true });
  expect(never.message).toMatch(/queue orders: not confirmed within 500 ms: .*ECONNREFUSED/);
  const silent = createServer();
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const { port } = silent.address() as AddressInfo;
  const mute = connected({ address: `127.0.0.1:${port}`, timeout: '500ms' });
  const maybe = await refusal(mute.publish('orders'));
  expect(maybe).toMatchObject({ code: 'TIMEOUT', mayHaveHappened: true });
  silent.close();
});

test('after close nothing is taken, and what was under way has its answer', async () => {
  const malabar = connected();
  const publishing = [1, 2, 3].map((n) => malabar.publish('orders', { n }));
  await malabar.close();
  expect(await Promise.all(publishing)).toHaveLength(3);
  expect(await refusal(malabar.publish('orders'))).toMatchObject({ code: 'UNAVAILABLE' });
});
