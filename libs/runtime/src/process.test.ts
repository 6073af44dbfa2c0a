import { metrics } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { Client } from '@malabar/rpc';
import { eventually, freePort, tempDir } from '@malabar/testkit';
import { afterEach, expect, test } from 'vitest';
import type { Module } from './module.js';
import { answerOf, journaled, memoryKeeper, schedulerOf, startModules } from './process.suite.js';

type SchedulerClient = Client<typeof metrics.MetricsServiceDefinition>;

const running: Array<{ stop(): Promise<void> }> = [];
afterEach(async () => {
  for (const process of running.splice(0).reverse()) await process.stop();
});
const begin: typeof startModules = async (...args) => {
  const process = await startModules(...args);
  running.push(process);
  return process;
};

/** A module that only takes a client of the scheduler. */
function caller(take: (client: SchedulerClient) => void): Module {
  return {
    ...journaled([], 'dispatcher'),
    async start({ client }) {
      take(client('scheduler', metrics.MetricsServiceDefinition));
      return { stop: async () => {} };
    },
  };
}

async function get(address: string, path: string): Promise<[status: number, text: string]> {
  const response = await fetch(`http://${address}${path}`);
  return [response.status, await response.text()];
}

test('modules start behind what they need; all drain before any stops, the way in first', async () => {
  const journal: string[] = [];
  const process = await begin([
    journaled(journal, 'ingest', ['keeper', 'storage']),
    journaled(journal, 'dispatcher', ['storage', 'keeper']),
    journaled(journal, 'storage', ['keeper']),
    journaled(journal, 'keeper'),
  ]);
  const order = ['keeper', 'storage', 'dispatcher', 'ingest'];
  expect(process.services).toEqual(order);
  await process.stop();
  const reverse = [...order].reverse();
  expect(journal).toEqual([
    ...order.map((name) => `start ${name}`),
    ...reverse.map((name) => `drain ${name}`),
    ...reverse.map((name) => `stop ${name}`),
  ]);
});

test('modules that need each other in a circle are refused', async () => {
  const circle = [journaled([], 'keeper', ['storage']), journaled([], 'storage', ['keeper'])];
  await expect(startModules(circle)).rejects.toThrow(/needs itself/);
});

test('a module that cannot start stops those before it, and the error says why', async () => {
  const journal: string[] = [];
  const broken: Module = {
    ...journaled(journal, 'storage', ['keeper']),
    start: async () => {
      throw new BusError('CORRUPT', 'the store is damaged');
    },
  };
  await expect(startModules([broken, journaled(journal, 'keeper')])).rejects.toMatchObject({
    code: 'CORRUPT',
  });
  expect(journal).toEqual(['start keeper', 'drain keeper', 'stop keeper']);
});

test('a taken port is an error that names it, and nothing is left running', async () => {
  const first = await begin([journaled([], 'keeper')]);
  for (const flag of ['grpc.listen', 'ops.listen']) {
    const address = flag === 'grpc.listen' ? first.grpcAddress : first.opsAddress;
    const journal: string[] = [];
    const second = startModules([journaled(journal, 'storage')], { [flag]: address });
    await expect(second).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining(address),
    });
    const both = ['start storage', 'drain storage', 'stop storage'];
    expect(journal).toEqual(flag === 'grpc.listen' ? both : []);
  }
});

test('a service in the same process is called directly, also if it starts later', async () => {
  let client: SchedulerClient | undefined;
  await begin([caller((given) => (client = given)), schedulerOf('here'), memoryKeeper().module]);
  expect(await client?.gather({})).toEqual(answerOf('here'));
});

test('a service of another process is found at the keeper, and found anew where it moves', async () => {
  const { module, instances } = memoryKeeper();
  const { grpcAddress } = await begin([module]);
  const keeperAt = { 'addresses.keeper': grpcAddress };
  let client: SchedulerClient | undefined;
  await begin([caller((given) => (client = given))], { ...keeperAt, node: 'c' });
  await expect(client?.gather({})).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringContaining('no running scheduler'),
  });
  const first = await begin([schedulerOf('one')], { ...keeperAt, node: 'a' });
  await eventually(() => expect([...instances.keys()]).toContain('a/scheduler'));
  const found = await eventually(() => client?.gather({}));
  expect(found).toEqual(answerOf('one'));
  await first.stop();
  expect([...instances.keys()]).not.toContain('a/scheduler');
  await begin([schedulerOf('two')], { ...keeperAt, node: 'b' });
  const moved = await eventually(() => client?.gather({}));
  expect(moved).toEqual(answerOf('two'));
});

test('a process that has met its keeper finds the others without it, also when it starts anew', async () => {
  const { module, instances } = memoryKeeper();
  const keeperProcess = await startModules([module]);
  const keeperAt = { 'addresses.keeper': keeperProcess.grpcAddress };
  await begin([schedulerOf('one')], { ...keeperAt, node: 'a' });
  await eventually(() => expect([...instances.keys()]).toContain('a/scheduler'));
  let client: SchedulerClient | undefined;
  const own = { ...keeperAt, data: tempDir('caller') };
  const first = await begin([caller((given) => (client = given))], own);
  const answer = answerOf('one');
  expect(await eventually(() => client?.gather({}))).toEqual(answer);
  await keeperProcess.stop();
  expect(await client?.gather({})).toEqual(answer);
  await first.stop();
  await begin([caller((given) => (client = given))], own);
  expect(await client?.gather({})).toEqual(answer);
});

test('a service whose address is configured needs no keeper', async () => {
  const nowhere = { 'addresses.keeper': `127.0.0.1:${await freePort()}` };
  const { grpcAddress } = await begin([schedulerOf('fixed')], nowhere);
  let client: SchedulerClient | undefined;
  const flags = { ...nowhere, 'addresses.scheduler': grpcAddress };
  await begin([caller((given) => (client = given))], flags);
  expect(await client?.gather({})).toEqual(answerOf('fixed'));
});

test('a process registers its services, also at a keeper that comes later', async () => {
  const port = await freePort();
  const flags = { 'addresses.keeper': `127.0.0.1:${port}`, node: 'early' };
  const early = await begin([schedulerOf('early')], flags);
  await eventually(() => {
    const tries = early.entries.filter(({ message }) => message.startsWith('cannot register'));
    expect(tries).toMatchObject([{ level: 'warn' }]);
  });
  const { module, instances } = memoryKeeper();
  await begin([module], { 'grpc.listen': `127.0.0.1:${port}` });
  await eventually(() => expect(instances.has('early/scheduler')).toBe(true));
  expect(instances.get('early/scheduler')).toMatchObject({
    service: 'scheduler',
    addresses: { grpc: early.grpcAddress, ops: early.opsAddress },
    tags: { node: 'early' },
  });
});

test('the ops endpoint tells why a module is not ready, and counts calls', async () => {
  const reasons = ['no configuration yet'];
  const { module } = memoryKeeper();
  const storage = journaled([], 'storage', ['keeper'], { notReady: () => reasons });
  const { opsAddress, grpcAddress } = await begin([storage, module]);
  const [status, text] = await get(opsAddress, '/readyz');
  expect(status).toBe(503);
  expect(JSON.parse(text)).toMatchObject({
    ready: false,
    reasons: ['storage: no configuration yet'],
  });
  reasons.pop();
  expect((await get(opsAddress, '/readyz'))[0]).toBe(200);
  const keeperAt = { 'addresses.keeper': grpcAddress };
  await begin([schedulerOf('x')], { ...keeperAt, node: 'other' });
  await eventually(async () => {
    const [, text] = await get(opsAddress, '/metrics');
    expect(text).toMatch(/grpc_server_handled_total\{.*grpc_method="Register",grpc_code="OK"\} 1/);
  });
});

test('starting and stopping over and over leaves nothing behind', async () => {
  for (let round = 0; round < 20; round++) {
    const journal: string[] = [];
    const process = await startModules([
      memoryKeeper().module,
      schedulerOf('x'),
      journaled(journal, 'ingest', ['scheduler']),
    ]);
    await Promise.all([process.stop(), process.stop()]);
    await process.stop();
    expect(journal).toEqual(['start ingest', 'drain ingest', 'stop ingest']);
    await expect(fetch(`http://${process.opsAddress}/healthz`)).rejects.toThrow();
  }
});

test('a module that cannot stop does not keep the others from stopping', async () => {
  const journal: string[] = [];
  const fail = async () => {
    throw new Error('stuck');
  };
  const process = await startModules([
    journaled(journal, 'keeper'),
    journaled(journal, 'storage', ['keeper'], { drain: fail, stop: fail }),
  ]);
  await process.stop();
  expect(journal.slice(2)).toEqual(['drain keeper', 'stop keeper']);
  expect(process.entries.filter(({ level }) => level === 'error')).toHaveLength(2);
});
