import { common } from '@malabar/contracts';
import { connect, createRegistry, type Malabar, type Worker } from '@malabar/sdk';
import { eventually } from '@malabar/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';
import { type ActParams, act } from './node/sdk/act.js';
import { endedAt, recorded } from './node-sdk.js';

const { DONE, DEAD } = common.DeliveryState;
const { RETRY } = common.OutcomeKind;
const retry = { attempts: 3, backoff: 'fixed', min: '20ms', max: '20ms' } as const;

const documents = `
queues:
  orders:
    topics:
      strange: { target: grpc, retry: { attempts: 3, backoff: fixed, min: 20ms, max: 20ms } }
`;

interface Events {
  orders: ActParams;
  brief: ActParams;
  late: ActParams;
  hung: ActParams;
  told: ActParams;
  results: object;
}

let bus: Bus;
let malabar: Malabar<Events>;
const workers: Worker[] = [];
const failures: unknown[] = [];
const results: unknown[] = [];

beforeAll(async () => {
  bus = await startBus({ documents });
  malabar = connect<Events>({ address: `127.0.0.1:${bus.ports.grpc.all}` });
  const registry = createRegistry<Events>()
    .register('orders', 'act', { retry, timeout: '30s' }, act)
    .register('brief', 'act', { retry, timeout: '1s' }, act)
    .register('late', 'act', { delay: '2s' }, act)
    .register('told', 'act', { retry, result: { queue: 'results', of: ['retrying', 'done'] } }, act)
    .register('results', 'keep', (params) => results.push(params));
  const hung = createRegistry<Events>().register('hung', 'act', { retry, concurrency: 5 }, act);
  await malabar.createTopics(registry);
  await malabar.createTopics(hung);
  const only = [
    'orders/act',
    'orders/strange',
    'brief/act',
    'late/act',
    'told/act',
    'results/keep',
  ];
  start(malabar.worker(registry, { name: 'w1', only }));
  start(malabar.worker(hung, { name: 'w2', timeout: '1s' }));
});

function start(worker: Worker): void {
  workers.push(worker);
  worker.run().catch((error) => failures.push(error));
}

afterAll(async () => {
  await malabar?.close();
  await bus?.stop();
  expect(failures).toEqual([]);
});

test('a handler gets the parameters and what the bus knows of the job', async () => {
  const { record, begun } = recorded();
  const before = Date.now();
  const { id, duplicate } = await malabar.publish(
    'orders',
    { record, n: 7 },
    { headers: { tenant: 'de' }, key: 'user-7' },
  );
  expect(duplicate).toBe(false);
  expect(await endedAt(bus, 'act', id)).toMatchObject({ state: DONE, history: [] });
  const facts = { headers: { tenant: 'de' }, key: 'user-7', contentType: 'application/json' };
  expect(begun()).toMatchObject([
    { id, try: 1, path: 'orders/act', event: 'orders', n: 7, ...facts },
  ]);
  expect(Math.abs(Number(begun()[0]?.acceptedAt) - before)).toBeLessThan(60_000);
});

test('a body that is no envelope comes as it is', async () => {
  const { record, begun } = recorded();
  const body = Buffer.from(JSON.stringify({ record, n: 4 }));
  const job = common.Job.fromPartial({ body });
  const { jobId } = await bus.ingest.submit({ queue: 'orders', job });
  expect(await endedAt(bus, 'act', jobId)).toMatchObject({ state: DONE });
  expect(begun()).toMatchObject([{ n: 4, event: 'orders', contentType: '' }]);
});

test('RetryException is called again after its time, and no sooner', async () => {
  const { record, begun } = recorded();
  const params: ActParams = { record, do: 'retry', after: '1500ms', once: true };
  const { id } = await malabar.publish('orders', params);
  const { state, history } = await endedAt(bus, 'act', id);
  expect(state).toBe(DONE);
  expect(history).toMatchObject([
    {
      outcome: RETRY,
      errorCode: 'RetryException',
      error: 'RetryException: not yet (attempt 1)',
      consumer: 'w1',
    },
  ]);
  const [first, second] = begun();
  expect([first?.try, second?.try]).toEqual([1, 2]);
  expect(Number(second?.at) - Number(first?.at)).toBeGreaterThanOrEqual(1_490);
});

test('TaskException is dead at once, with its words', async () => {
  const { record } = recorded();
  const { id } = await malabar.publish('orders', { record, do: 'dead' });
  const { state, history, error, errorCode } = await endedAt(bus, 'act', id);
  expect([state, history.length, errorCode]).toEqual([DEAD, 1, 'TaskException']);
  expect(error).toBe('TaskException: no such order (attempt 1)');
});

test('anything else that is thrown is tried again, its name and words and place kept', async () => {
  const { record } = recorded();
  const thrown = await malabar.publish('orders', { record, do: 'throw' });
  const text = await malabar.publish('orders', { record, do: 'text' });
  const dead = await endedAt(bus, 'act', thrown.id);
  expect(dead).toMatchObject({ state: DEAD, errorCode: 'E_STOCK' });
  const errors = dead.history.map(({ error }) => error);
  expect(errors).toEqual(
    [1, 2, 3].map((n) =>
      expect.stringMatching(
        new RegExp(`^RangeError: kein Bestand: 0 St\u00fcck \\(attempt ${n}\\)\nat .*act.ts:`),
      ),
    ),
  );
  expect(errors[0]).not.toContain('libs/sdk');
  const words = { state: DEAD, errorCode: 'string', error: 'string: only words (attempt 3)' };
  expect(await endedAt(bus, 'act', text.id)).toMatchObject(words);
});

test('what nobody handles fails and says so', async () => {
  const { record } = recorded();
  const { id } = await malabar.publish('orders', { record });
  const { state, error, errorCode, history } = await endedAt(bus, 'strange', id);
  expect([state, history.length, errorCode]).toEqual([DEAD, 3, 'UNKNOWN_TASK']);
  const where = 'no handler for event orders at orders/strange; this program has: orders/act';
  expect(error).toContain(where);
});

test('a task waits for its own delay', async () => {
  const { record, begun } = recorded();
  const { id } = await malabar.publish('late', { record });
  expect(await endedAt(bus, 'act', id)).toMatchObject({ state: DONE });
  const [line] = begun();
  expect(Number(line?.at) - Number(line?.acceptedAt)).toBeGreaterThanOrEqual(1_990);
});

test('a handler that outlives its lease keeps it', async () => {
  const { record, begun, ended } = recorded();
  const { id } = await malabar.publish('brief', { record, do: 'sleep', ms: 4_000 });
  expect(await endedAt(bus, 'act', id)).toMatchObject({ state: DONE, history: [] });
  expect([begun().length, ended().length]).toEqual([1, 1]);
  expect(ended()[0]?.aborted).toBe(false);
});

test('a handler that cannot give a sign of life loses its job, and hears of it', async () => {
  const { record, begun, ended } = recorded();
  // It blocks the event loop for longer than the bus waits, and the job has to be done anew.
  const { id } = await malabar.publish('brief', { record, do: 'block', ms: 1_500, once: true });
  const { state, history } = await endedAt(bus, 'act', id);
  expect([state, history]).toMatchObject([DONE, [{ outcome: RETRY, errorCode: 'TIMEOUT' }]]);
  expect(begun().map((line) => line.try)).toEqual([1, 2]);
  expect(ended()).toHaveLength(2);
});

test('a handler that takes longer than its worker allows is told to end', async () => {
  const { record, ended } = recorded();
  const params: ActParams = { record, do: 'sleep', ms: 600_000, once: true };
  const { id } = await malabar.publish('hung', params);
  const { state, history } = await endedAt(bus, 'act', id);
  const error = expect.stringMatching(/^took longer than the 1000 ms .*\nAbortError: /);
  expect([state, history]).toMatchObject([DONE, [{ errorCode: 'TIMEOUT', error }]]);
  expect(ended().map((line) => line.try)).toEqual([2]);
});

test('one that does not listen is given up', async () => {
  const { record, begun } = recorded();
  const { id } = await malabar.publish('hung', { record, do: 'deaf', ms: 20_000, once: true });
  const { state, history } = await endedAt(bus, 'act', id);
  const error = expect.stringContaining('and goes on');
  expect([state, history]).toMatchObject([DONE, [{ errorCode: 'TIMEOUT', error }]]);
  expect(begun().map((line) => line.try)).toEqual([1, 2]);
});

test('results are events like any other', async () => {
  const { record } = recorded();
  const { id } = await malabar.publish('told', { record, do: 'retry', once: true });
  await eventually(() => expect(results).toHaveLength(2), { timeoutMs: 20_000 });
  expect(results).toMatchObject([
    { event: 'told', task: 'act', jobId: id, status: 'retrying', attempt: 1 },
    { event: 'told', task: 'act', jobId: id, status: 'done', attempt: 2 },
  ]);
});
