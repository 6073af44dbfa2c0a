import { once } from 'node:events';
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { keeper } from '@malabar/contracts';
import { systemClock } from '@malabar/core';
import { createMetrics, type Logger } from '@malabar/telemetry';
import { eventually, logToMemory } from '@malabar/testkit';
import { afterEach, expect, test } from 'vitest';
import { Dispatcher } from './dispatcher.js';
import { createDispatcherMetrics, exportGauges } from './metrics.js';
import { Placement } from './placement.js';
import { CommandRuns } from './runs/runs.js';
import { StorageDouble } from './storage-double.suite.js';
import { createStorageLink } from './storage-link.js';
import { FastcgiPools } from './targets/fastcgi.js';

const stops: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

function start({ drainMs = 5_000, tags = ['batch'] } = {}) {
  const clock = systemClock;
  const storage = new StorageDouble(() => clock.now());
  const { log } = logToMemory<Logger>();
  const random = Math.random;
  const link = createStorageLink({
    client: storage,
    name: 'd1',
    node: 'n1',
    clock,
    random,
    log,
    turn: setImmediate,
  });
  const metrics = createMetrics();
  const pools = new FastcgiPools(clock);
  const heart = new Dispatcher({
    link,
    clock,
    random,
    log,
    metrics: createDispatcherMetrics(metrics),
    pools,
    runs: new CommandRuns({ clock, node: 'web-1' }),
    placement: new Placement('web-1', tags),
    environment: { PATH: process.env.PATH ?? '' },
    prefetch: 1,
    drainMs,
    turn: setImmediate,
  });
  exportGauges(metrics, () => heart.status(), pools);
  stops.push(async () => {
    await heart.stop();
    await link.stop();
  });
  return { storage, heart, link, metrics };
}

/** An HTTP consumer; by default it says yes and keeps the bodies. */
async function consumer(
  answer: (response: ServerResponse) => void = (response) => response.end(),
): Promise<{ url: string; bodies: string[]; waiting: ServerResponse[] }> {
  const bodies: string[] = [];
  const waiting: ServerResponse[] = [];
  const handler: RequestListener = async (request, response) => {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += chunk;
    bodies.push(body);
    waiting.push(response);
    answer(response);
  };
  const server: Server = createServer(handler).listen(0, '127.0.0.1');
  await once(server, 'listening');
  stops.push(async () => {
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return { url, bodies, waiting };
}

type Topics = Record<string, Partial<keeper.TopicConfig>>;

function release(topics: Topics): keeper.BusConfig {
  const common = { concurrency: 2, timeoutMs: 5_000, chunk: 1 };
  return keeper.BusConfig.fromPartial({
    release: 1,
    queues: [
      {
        name: 'q',
        topics: Object.entries(topics).map(([name, topic]) => ({ name, ...common, ...topic })),
      },
    ],
  });
}

function http(url: string): Partial<keeper.TopicConfig> {
  const value = keeper.HttpTarget.fromPartial({
    url,
    format: keeper.HttpFormat.RAW,
    connectionsMax: 2,
    connectTimeoutMs: 1_000,
    responseBytesMax: 1024,
  });
  return { target: { $case: 'http', value } };
}

function command(
  script: string,
  changes: Partial<keeper.CommandTarget> = {},
): Partial<keeper.TopicConfig> {
  const value = keeper.CommandTarget.fromPartial({
    argv: ['/bin/sh', '-c', script],
    graceMs: 200,
    outputBytesMax: 4096,
    ...changes,
  });
  return { target: { $case: 'command', value } };
}

const grpc: Partial<keeper.TopicConfig> = { target: { $case: 'grpc', value: {} } };
const pull: Partial<keeper.TopicConfig> = { target: { $case: 'pull', value: {} } };

test('every topic that is not fetched is delivered to its target', async () => {
  const { storage, heart } = start();
  const one = await consumer();
  heart.configure(release({ ship: http(one.url), fetch: pull, work: grpc }));
  storage.push('q/ship', 'a', 'b', 'c');
  storage.push('q/fetch', 'x');
  await eventually(() => expect(storage.done).toHaveLength(3));
  expect(one.bodies.sort()).toEqual(['a', 'b', 'c']);
  expect(heart.status()).toMatchObject([
    { topic: 'ship', kind: 'http', address: one.url, blocked: '', concurrency: 2 },
    { topic: 'work', kind: 'grpc', blocked: 'no worker connected' },
  ]);
  expect(storage.ready('q/fetch')).toBe(1);
});

test('a changed target gets the next jobs; a topic beside it is not disturbed', async () => {
  const { storage, heart } = start();
  const [one, two, three] = [await consumer(), await consumer(), await consumer()];
  heart.configure(release({ ship: http(one.url), sms: http(three.url) }));
  storage.push('q/ship', 'a');
  await eventually(() => expect(storage.done).toHaveLength(1));
  const before = storage.requests.length;
  heart.configure(release({ ship: http(two.url), sms: http(three.url) }));
  storage.push('q/ship', 'b');
  await eventually(() => expect(storage.done).toHaveLength(2));
  expect([one.bodies, two.bodies]).toEqual([['a'], ['b']]);
  const wishes = storage.requests
    .slice(before)
    .flatMap(({ subscribe, unsubscribe }) => [
      ...subscribe.map(({ topic }) => topic),
      ...unsubscribe,
    ]);
  expect(wishes).toEqual([]);
});

test('a topic may change from one kind of target to another and back', async () => {
  const { storage, heart } = start();
  const one = await consumer();
  heart.configure(release({ ship: grpc }));
  storage.push('q/ship', 'a');
  expect(heart.workers('q/ship').status().topic).toBe('ship');
  heart.configure(release({ ship: http(one.url) }));
  await eventually(() => expect(storage.done).toHaveLength(1));
  expect(() => heart.workers('q/ship')).toThrow('goes to http');
  heart.configure(release({ ship: pull }));
  storage.push('q/ship', 'b');
  await eventually(() => expect(storage.credits('q/ship')).toBeUndefined());
  expect(heart.status()).toEqual([]);
  expect(() => heart.workers('q/ship')).toThrow('not delivered here');
});

test('a removed topic takes no more, and what runs counts', async () => {
  const { storage, heart } = start();
  const one = await consumer(() => {});
  heart.configure(release({ ship: http(one.url) }));
  storage.push('q/ship', 'a');
  await eventually(() => expect(one.waiting).toHaveLength(1));
  heart.configure(release({}));
  await eventually(() => expect(storage.credits('q/ship')).toBeUndefined());
  storage.push('q/ship', 'b');
  one.waiting[0]?.end();
  await eventually(() => expect(storage.done).toEqual([1]));
  expect(storage.ready('q/ship')).toBe(1);
});

test('a target that this build cannot serve stops no other topic', async () => {
  const { storage, heart } = start();
  const one = await consumer();
  heart.configure(release({ odd: http('no url at all'), ship: http(one.url) }));
  storage.push('q/ship', 'a');
  await eventually(() => expect(storage.done).toHaveLength(1));
});

test('a drain puts back what has not started and waits for what runs', async () => {
  const { storage, heart } = start();
  const one = await consumer(() => {});
  heart.configure(release({ ship: { ...http(one.url), concurrency: 1 } }));
  storage.push('q/ship', 'a', 'b', 'c');
  await eventually(() => expect(one.waiting).toHaveLength(1));
  const drained = heart.drain();
  await eventually(() => expect(storage.ready('q/ship')).toBe(2));
  expect(storage.leased).toBe(1);
  one.waiting[0]?.end();
  await drained;
  await eventually(() => expect(storage.done).toEqual([1]));
  expect(() => heart.workers('q/ship')).toThrow('takes no workers now');
});

test('a drain that takes too long puts back what still runs', async () => {
  const { storage, heart, link } = start({ drainMs: 50 });
  const one = await consumer(() => {});
  heart.configure(release({ ship: http(one.url) }));
  storage.push('q/ship', 'a');
  await eventually(() => expect(one.waiting).toHaveLength(1));
  await heart.drain();
  await heart.stop();
  await link.stop();
  expect(storage.ready('q/ship')).toBe(1);
  expect(storage.done).toEqual([]);
});

test('a command runs where its tag is carried or its node is named, and is left to others elsewhere', async () => {
  const { storage, heart, metrics } = start({ tags: ['batch'] });
  heart.configure(
    release({
      any: command('true'),
      tagged: command('true', { tag: 'batch' }),
      named: command('true', { tag: 'web-1' }),
      here: command('true', { node: 'web-1' }),
      gpu: command('true', { tag: 'gpu' }),
      there: command('true', { tag: 'batch', node: 'web-2' }),
    }),
  );
  const topics = ['any', 'tagged', 'named', 'here', 'gpu', 'there'];
  for (const topic of topics) storage.push(`q/${topic}`, 'x');
  await eventually(() => expect(storage.done).toHaveLength(4));
  expect(topics.filter((topic) => storage.ready(`q/${topic}`) === 1)).toEqual(['gpu', 'there']);
  expect(heart.status().slice(4)).toMatchObject([
    {
      topic: 'gpu',
      kind: 'command',
      address: '/bin/sh -c true',
      blocked: 'this dispatcher does not carry the tag gpu',
      lacks: 'the tag gpu',
    },
    { topic: 'there', lacks: 'the name web-2' },
  ]);
  expect(await metrics.registry.metrics()).toContain(
    'malabar_dispatcher_blocked_topics{queue="q",topic="gpu"} 0',
  );
  heart.configure(release({ gpu: command('true') }));
  await eventually(() => expect(storage.done).toHaveLength(5));
});

test('a dispatcher that a person drains takes no more, runs on and can be resumed', async () => {
  const { storage, heart } = start();
  const one = await consumer(() => {});
  const topics = release({ ship: { ...http(one.url), concurrency: 1 }, work: grpc });
  heart.configure(topics);
  storage.push('q/ship', 'a', 'b');
  await eventually(() => expect(one.waiting).toHaveLength(1));
  expect(heart.drainFor('drained by ann: new disk')).toBe(1);
  await eventually(() => expect(storage.credits('q/ship')).toBeUndefined());
  expect(heart.status().map(({ blocked }) => blocked)).toEqual(
    Array(2).fill('drained by ann: new disk'),
  );
  heart.configure(topics);
  one.waiting[0]?.end();
  await eventually(() => expect(storage.done).toEqual([1]));
  expect(storage.ready('q/ship')).toBe(1);
  heart.resume();
  await eventually(() => expect(one.waiting).toHaveLength(2));
  one.waiting[1]?.end();
});

test('a drain that takes too long ends commands before it gives them back', async () => {
  const { storage, heart } = start({ drainMs: 50 });
  heart.configure(release({ report: command('trap "" TERM; while :; do sleep 0.05; done') }));
  storage.push('q/report', 'a');
  await eventually(() => expect(heart.status()[0]?.running).toBe(1));
  await heart.drain();
  await eventually(() => expect(storage.ready('q/report')).toBe(1));
  expect(storage.outcomes).toMatchObject([{ error: 'the dispatcher stops' }]);
});

test('what is delivered and what is not shows in the metrics', async () => {
  const { storage, heart, metrics } = start();
  const one = await consumer();
  const gone = await consumer();
  await stops.pop()?.();
  heart.configure(release({ ship: http(one.url), sms: http(gone.url) }));
  storage.push('q/ship', 'a', 'b');
  storage.push('q/sms', 'x');
  await eventually(async () => {
    const text = await metrics.registry.metrics();
    expect(text).toContain(
      'malabar_dispatcher_attempts_total{queue="q",topic="ship",outcome="done"} 2',
    );
    expect(text).toContain(
      'malabar_dispatcher_attempt_duration_seconds_count{queue="q",topic="ship"} 2',
    );
    expect(text).toMatch(/malabar_dispatcher_not_delivered_total\{queue="q",topic="sms"\} [1-9]/);
    expect(text).toContain('malabar_dispatcher_blocked_topics{queue="q",topic="sms"} 1');
    expect(text).toContain('malabar_dispatcher_blocked_topics{queue="q",topic="ship"} 0');
  });
  expect(heart.status()[1]?.blocked).toContain('ECONNREFUSED');
});

test('fifty starts and stops leave nothing behind', async () => {
  for (let i = 0; i < 50; i++) {
    const { heart, link } = start();
    heart.configure(release({ ship: http('http://127.0.0.1:1/'), work: grpc }));
    await Promise.all([heart.drain(), heart.stop()]);
    await heart.stop();
    await link.stop();
  }
});
