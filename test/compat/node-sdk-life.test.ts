import { common, dispatcher } from '@malabar/contracts';
import { connect as dial } from '@malabar/rpc';
import { connect, createRegistry, type Malabar } from '@malabar/sdk';
import { type CuttingProxy, cuttingProxy, eventually, type Server } from '@malabar/testkit';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';
import { type ActParams, act } from './node/sdk/act.js';
import { counts, endedAt, recorded, startWorker } from './node-sdk.js';
import { deliveryOf } from './php-application.js';

const { DONE, DEAD } = common.DeliveryState;
const { CRASH } = common.OutcomeKind;
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const target = 'target: grpc, timeout: 2s, retry: { attempts: 5, backoff: fixed, min: 50ms }';
const names = ['dies', 'poison', 'killed', 'stored', 'stopped', 'cut', 'drained', 'steady'];
const documents = `
queues:
${names.map((name) => `  ${name}: { topics: { act: { ${target} } } }`).join('\n')}
`;

type Events = Record<string, ActParams>;

let bus: Bus;
let publisher: Malabar<Events>;
const servers: Server[] = [];
const connections: Malabar<Events>[] = [];

beforeAll(async () => {
  bus = await startBus({ mode: 'many-processes', documents });
  publisher = connect<Events>({ address: `127.0.0.1:${bus.ports.grpc.ingest}`, log: silent });
});

afterEach(async () => {
  for (const connection of connections.splice(0)) await connection.close();
  for (const server of servers.splice(0)) await server.stop();
});

afterAll(async () => {
  await publisher?.close();
  await bus?.stop();
});

/** A worker in a process of its own, through the dispatcher alone. */
async function workerProcess(queue: string, options = {}): Promise<Server> {
  const address = `127.0.0.1:${bus.ports.grpc.dispatcher}`;
  const worker = await startWorker(address, [`${queue}/act`], { topics: 'expect', ...options });
  servers.push(worker);
  return worker;
}

/** A worker in this process, which a test can look into. */
function workerHere(queue: string, address: string, options = {}) {
  const malabar = connect<Events>({ address, log: silent });
  connections.push(malabar);
  const registry = createRegistry<Events>().register(queue, 'act', act);
  const worker = malabar.worker(registry, { topics: 'expect', ...options });
  const running = worker.run();
  running.catch(() => {});
  return { worker, running };
}

async function publish(queue: string, ...params: ActParams[]): Promise<string[]> {
  const published = await publisher.publishAll(
    params.map((one) => ({ event: queue, params: one })),
  );
  return published.map(({ id }) => id);
}

test('jobs of a worker that is killed are done by another one, and remember the crash', async () => {
  const { record, begun, ended } = recorded();
  const [one, two] = [await workerProcess('dies'), await workerProcess('dies')];
  await eventually(async () => expect((await workersOf('dies')).workers).toBe(2));
  const jobs = [1, 2, 3, 4].map((n) => ({ record, do: 'sleep', ms: 1_500, n }) as const);
  const ids = await publish('dies', ...jobs);
  await eventually(() => expect(begun()).toHaveLength(4));
  one.kill('SIGKILL');
  let crashes = 0;
  for (const id of ids) {
    const { state, history } = await endedAt(bus, 'act', id);
    expect(state).toBe(DONE);
    for (const attempt of history)
      expect(attempt).toMatchObject({ outcome: CRASH, errorCode: 'WORKER_GONE' });
    crashes += history.length;
  }
  expect(crashes).toBe(2);
  expect(new Set(ended().map(({ pid }) => pid))).toEqual(new Set([two.pid]));
  expect(
    ended()
      .map(({ n }) => n)
      .sort(),
  ).toEqual([1, 2, 3, 4]);
});

test('a job that kills its worker three times is quarantined, and its neighbours are done', async () => {
  const { record, begun, ended } = recorded();
  const options = { concurrency: 3 };
  let stopped = false;
  const respawn = async (): Promise<void> => {
    while (!stopped) {
      const worker = await workerProcess('poison', options);
      if (!stopped) await worker.exited;
    }
  };
  const respawning = respawn();
  await eventually(async () => expect((await workersOf('poison')).workers).toBe(1));
  const sleeps = [1, 2].map((n) => ({ record, do: 'sleep', ms: 1_000, n }) as const);
  const [one, two, poison] = await publish('poison', ...sleeps, { record, do: 'die', n: 3 });
  const dead = await endedAt(bus, 'act', poison as string);
  expect(dead).toMatchObject({ state: DEAD, quarantined: true, crashes: 3 });
  expect(dead.history.map(({ outcome }) => outcome)).toEqual([CRASH, CRASH, CRASH]);
  for (const id of [one, two])
    expect(await endedAt(bus, 'act', id as string)).toMatchObject({ state: DONE });
  // The neighbours were there at its first crash only.
  expect(begun().filter(({ n }) => n === 3)).toHaveLength(3);
  for (const n of [1, 2]) {
    expect(begun().filter((line) => line.n === n).length).toBeLessThanOrEqual(2);
    expect(ended().filter((line) => line.n === n)).toHaveLength(1);
  }
  stopped = true;
  for (const server of servers.splice(0)) await server.stop();
  await respawning;
}, 120_000);

test('a dispatcher that is killed while jobs run makes none of them run twice', async () => {
  const { record, begun, ended } = recorded();
  const { worker } = workerHere('killed', `127.0.0.1:${bus.ports.grpc.dispatcher}`);
  // Some are over while the dispatcher is away, others outlast it.
  const waits = [10, 50, 100, 300, 6_000, 7_000];
  const jobs = waits.map((ms, n) => ({ record, do: 'deaf', ms, n }) as const);
  const ids = await publish('killed', ...jobs);
  await eventually(() => expect(begun()).toHaveLength(6));
  await bus.kill('dispatcher', 'SIGKILL');
  await eventually(() => expect(ended().length).toBeGreaterThanOrEqual(4));
  expect(worker.running).toBe(2);
  await bus.start('dispatcher');
  for (const id of ids) {
    expect(await endedAt(bus, 'act', id)).toMatchObject({ state: DONE, history: [] });
  }
  expect(begun()).toHaveLength(6);
  expect(ended()).toHaveLength(6);
});

test('a store that is killed loses the leases; handlers hear of it, and none runs twice', async () => {
  const { record, begun, ended } = recorded();
  workerHere('stored', `127.0.0.1:${bus.ports.grpc.dispatcher}`);
  const jobs = [3_000, 4_000].map((ms, n) => ({ record, do: 'deaf', ms, n }) as const);
  const ids = await publish('stored', ...jobs);
  await eventually(() => expect(begun()).toHaveLength(2));
  await bus.kill('storage', 'SIGKILL');
  await bus.start('storage');
  for (const id of ids) {
    const delivery = await eventually(() => endedAt(bus, 'act', id), { timeoutMs: 60_000 });
    expect(delivery).toMatchObject({ state: DONE, history: [] });
  }
  expect(begun()).toHaveLength(2);
  expect(ended().map(({ aborted }) => aborted)).toEqual([true, true]);
});

test('SIGTERM lets running jobs end, starts no other, and leaves nothing behind', async () => {
  const { record, begun, ended } = recorded();
  const first = await workerProcess('stopped', { concurrency: 2 });
  const jobs = Array.from(
    { length: 6 },
    (_, n) => ({ record, do: 'sleep', ms: 1_500, n }) as const,
  );
  const ids = await publish('stopped', ...jobs);
  await eventually(() => expect(begun()).toHaveLength(2));
  first.kill('SIGTERM');
  expect(await first.exited).toEqual({ code: 0, signal: null });
  expect([begun().length, ended().length]).toEqual([2, 2]);
  expect((await counts(bus, 'stopped')).done).toBe(2);
  await workerProcess('stopped');
  for (const id of ids) expect(await endedAt(bus, 'act', id)).toMatchObject({ history: [] });
  expect(
    ended()
      .map(({ n }) => n)
      .sort(),
  ).toEqual([0, 1, 2, 3, 4, 5]);
});

test('what outlasts the drain is told to end, and given back without an attempt', async () => {
  const { record, begun } = recorded();
  const address = `127.0.0.1:${bus.ports.grpc.dispatcher}`;
  const { worker, running } = workerHere('drained', address, { drain: '200ms' });
  const [id = ''] = await publish('drained', { record, do: 'sleep', ms: 600_000 });
  await eventually(() => expect(begun()).toHaveLength(1));
  await worker.stop();
  await running;
  const delivery = await eventually(async () => {
    const found = await deliveryOf(bus, id);
    expect(found.state).toBe(common.DeliveryState.READY);
    return found;
  });
  expect(delivery).toMatchObject({ attempts: 0, history: [] });
});

test('a connection that breaks is opened again, and stop ends it', async () => {
  const proxy: CuttingProxy = await cuttingProxy({ port: bus.ports.grpc.dispatcher });
  const { record, begun, ended } = recorded();
  const { running } = workerHere('cut', proxy.address);
  const [first = ''] = await publish('cut', { record, n: 1 });
  await endedAt(bus, 'act', first);
  proxy.reset();
  const [second = ''] = await publish('cut', { record, n: 2 });
  expect(await endedAt(bus, 'act', second)).toMatchObject({ state: DONE });
  expect([begun().length, ended().length]).toEqual([2, 2]);
  for (const connection of connections.splice(0)) await connection.close();
  await running;
  await proxy.stop();
});

test('thousands flow through several workers while they and the dispatcher are killed', async () => {
  const { record, begun, ended } = recorded();
  await workerProcess('steady', { concurrency: 50 });
  const doomed = await workerProcess('steady', { concurrency: 50 });
  const params = Array.from({ length: 2_000 }, (_, n) => ({ record, n }));
  const publishing = publish('steady', ...params);
  await eventually(() => expect(begun().length).toBeGreaterThan(200));
  doomed.kill('SIGKILL');
  await bus.kill('dispatcher', 'SIGKILL');
  await bus.start('dispatcher');
  const ids = await publishing;
  await eventually(async () => expect((await counts(bus, 'steady')).done).toBe(2_000), {
    timeoutMs: 60_000,
  });
  expect(new Set(ended().map(({ id }) => id))).toEqual(new Set(ids));
  // Only what the killed worker had begun may have been begun again.
  const again = begun().length - 2_000;
  expect(again).toBeLessThanOrEqual(50);
  const twice = ended().length - 2_000;
  const ofDoomed = ended().filter(({ pid }) => pid === doomed.pid);
  expect(twice).toBeLessThanOrEqual(ofDoomed.length);
});

test('keepers say where everything is, also where it is anew', async () => {
  const keeper = [`127.0.0.1:${bus.ports.grpc.keeper}`];
  const malabar = connect<Events>({ keeper, log: silent });
  connections.push(malabar);
  const registry = createRegistry<Events>().register('found', 'act', act);
  const worker = malabar.worker(registry);
  const running = worker.run();
  const { record, begun } = recorded();
  await malabar.createTopics(registry);
  const first = await malabar.publish('found', { record, n: 1 });
  expect(await endedAt(bus, 'act', first.id)).toMatchObject({ state: DONE });
  await bus.kill('dispatcher', 'SIGKILL');
  await bus.kill('ingest', 'SIGKILL');
  const second = malabar.publish('found', { record, n: 2 });
  await bus.start('ingest');
  await bus.start('dispatcher');
  expect(await endedAt(bus, 'act', (await second).id)).toMatchObject({ state: DONE });
  expect(begun().map(({ n }) => n)).toEqual([1, 2]);
  await worker.stop();
  await running;
});

test('a worker that finds no keeper to make its topics says what to do', async () => {
  const address = `127.0.0.1:${bus.ports.grpc.dispatcher}`;
  const malabar = connect<Events>({ address, log: silent });
  connections.push(malabar);
  const registry = createRegistry<Events>().register('steady', 'act', act);
  await expect(malabar.worker(registry).run()).rejects.toMatchObject({
    name: 'RegistrationError',
    message: expect.stringContaining('no keeper answers at this address; connect with `keeper`'),
  });
});

async function workersOf(queue: string) {
  const address = `127.0.0.1:${bus.ports.grpc.dispatcher}`;
  const client = dial(dispatcher.DispatcherServiceDefinition, { address });
  try {
    const { targets } = await client.listTargets(
      dispatcher.ListTargetsRequest.fromPartial({ queue }),
    );
    return targets.find((one) => one.queue === queue) as (typeof targets)[number];
  } finally {
    client.close();
  }
}
