import { common, dispatcher, keeper } from '@malabar/contracts';
import { BusError, Channel, hashPassword } from '@malabar/core';
import { bind, connect, type RemoteClient, type RpcServer, serve } from '@malabar/rpc';
import type { Logger } from '@malabar/telemetry';
import { eventually, FakeClock, logToMemory, seededRandom } from '@malabar/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { StorageDouble } from './storage-double.suite.js';
import { createStorageLink, type StorageLink } from './storage-link.js';
import { WorkerRunner } from './targets/grpc.js';
import { workerServiceDefinition } from './work-encoding.js';
import { createWorkerService } from './worker-service.js';

const { CRASH, DEAD, EXTEND, RELEASE, RETRY } = common.OutcomeKind;

let clock: FakeClock;
let storage: StorageDouble;
let link: StorageLink;
let runner: WorkerRunner;
let service: ReturnType<typeof createWorkerService>;
let server: RpcServer;
let client: RemoteClient<typeof dispatcher.WorkerServiceDefinition>;
const workers: TestWorker[] = [];

function settings(changes: Partial<keeper.TopicConfig> = {}, passwordHash = '') {
  const config = { name: 't', concurrency: 100, timeoutMs: 30_000, ...changes };
  return { queue: 'q', hold: '', passwordHash, config: keeper.TopicConfig.fromPartial(config) };
}

beforeEach(async () => {
  clock = new FakeClock();
  storage = new StorageDouble(() => clock.now());
  const { log } = logToMemory<Logger>();
  const random = seededRandom(1);
  link = createStorageLink({
    client: storage,
    name: 'd',
    node: 'n',
    clock,
    random,
    log,
    turn: setImmediate,
  });
  const metrics = { ended: () => {}, took: () => {} };
  runner = new WorkerRunner({
    settings: settings(),
    context: { link, clock, random, log, metrics, prefetch: 1 },
    onIdle: () => {},
    turn: setImmediate,
  });
  const find = (path: string): WorkerRunner => {
    if (path === 'q/t') return runner;
    throw new BusError('UNKNOWN_TOPIC', `topic '${path}' is not delivered here`);
  };
  service = createWorkerService({ runner: find, clock });
  server = await serve({
    listen: '127.0.0.1:0',
    bindings: [bind(workerServiceDefinition, service, { access: 'public' })],
    log,
  });
  client = connect(dispatcher.WorkerServiceDefinition, { address: server.address });
});

afterEach(async () => {
  for (const worker of workers.splice(0)) worker.leave();
  client.close();
  await server.close();
  await link.stop();
});

/** A worker over a real gRPC stream that answers when the test says so. */
class TestWorker {
  readonly items: dispatcher.WorkItem[] = [];
  readonly lost: number[] = [];
  timeoutMs = 0;
  error: BusError | undefined;
  ended = false;
  readonly #out = new Channel<dispatcher.WorkRequest>();
  readonly #cancel = new AbortController();

  constructor(first: Partial<dispatcher.WorkRequest>) {
    workers.push(this);
    this.say(first);
    void this.#read();
  }

  say(request: Partial<dispatcher.WorkRequest>): void {
    this.#out.push(dispatcher.WorkRequest.fromPartial(request));
  }

  end(): void {
    this.#out.end();
  }

  leave(): void {
    this.#cancel.abort();
  }

  got(count: number): Promise<dispatcher.WorkItem[]> {
    return eventually(() => {
      expect(this.items).toHaveLength(count);
      return this.items;
    });
  }

  get bodies(): string[] {
    return this.items.map(({ job }) => Buffer.from(job?.body ?? []).toString());
  }

  async #read(): Promise<void> {
    try {
      for await (const response of client.work(this.#out, { signal: this.#cancel.signal })) {
        this.items.push(...response.items);
        this.lost.push(...response.lost);
        this.timeoutMs ||= response.timeoutMs;
      }
    } catch (error) {
      this.error = error as BusError;
    }
    this.ended = true;
  }
}

const joined = (count: number) => eventually(() => runner.status().workers === count);

test('a worker gets jobs, says done, and storage hears it', async () => {
  const worker = new TestWorker({ topic: 'q/t', capacity: 10, worker: 'w1' });
  await joined(1);
  storage.push('q/t', 'a', 'b');
  const items = await worker.got(2);
  expect(worker.bodies).toEqual(['a', 'b']);
  expect(items[0]).toMatchObject({ attempt: 1, acceptedAtMs: clock.now() });
  worker.say({ done: items.map(({ leaseId }) => leaseId) });
  await eventually(() => expect(storage.done).toEqual([1, 2]));
});

test('without a worker no job leaves storage, and the status says why', async () => {
  storage.push('q/t', 'a');
  await clock.advance(0);
  expect(storage.leased).toBe(0);
  expect(runner.status().blocked).toBe('no worker connected');
  const worker = new TestWorker({ topic: 'q/t' });
  await worker.got(1);
  expect(runner.status()).toMatchObject({ blocked: '', workers: 1, running: 1 });
});

test('a worker holds no more than its capacity, 1 if it says none', async () => {
  const worker = new TestWorker({ topic: 'q/t' });
  await joined(1);
  storage.push('q/t', 'a', 'b', 'c');
  await worker.got(1);
  worker.say({ capacity: 2 });
  await worker.got(2);
  expect(runner.running).toBe(2);
});

test('the worker that holds least gets the next job', async () => {
  const one = new TestWorker({ topic: 'q/t', capacity: 10 });
  const two = new TestWorker({ topic: 'q/t', capacity: 10 });
  await joined(2);
  storage.push('q/t', 'a', 'b', 'c', 'd');
  await one.got(2);
  await two.got(2);
});

test("storage's share bounds what all workers hold together", async () => {
  const worker = new TestWorker({ topic: 'q/t', capacity: 50 });
  await joined(1);
  await eventually(() => expect(storage.credits('q/t')).toBe(100));
  storage.share('q/t', 3);
  await eventually(() => expect(storage.credits('q/t')).toBe(6));
  storage.push('q/t', ...'abcdefgh');
  await worker.got(3);
});

test('a stream that breaks without a word has crashed on each of the jobs that it had', async () => {
  const one = new TestWorker({ topic: 'q/t', capacity: 5, worker: 'w1' });
  await joined(1);
  storage.push('q/t', 'a', 'b');
  await one.got(2);
  one.leave();
  const error = 'the stream of w1 broke while it had 2 jobs';
  const said = { kind: CRASH, errorCode: 'WORKER_GONE', error, consumer: 'w1' };
  await eventually(() => expect(storage.outcomes).toMatchObject([said, said]));
  expect(runner.running).toBe(0);
});

test('a worker that has said that it leaves is not to blame when its stream breaks', async () => {
  const one = new TestWorker({ topic: 'q/t', capacity: 5 });
  await joined(1);
  storage.push('q/t', 'a', 'b');
  await one.got(2);
  const two = new TestWorker({ topic: 'q/t', capacity: 5 });
  await joined(2);
  one.say({ leaving: true });
  await eventually(() => expect(storage.credits('q/t')).toBe(10));
  one.leave();
  await two.got(2);
  expect(storage.outcomes.map(({ kind }) => kind)).toEqual([RELEASE, RELEASE]);
});

test('nobody is to blame while the topic is drained', async () => {
  const one = new TestWorker({ topic: 'q/t', capacity: 5 });
  await joined(1);
  storage.push('q/t', 'a');
  await one.got(1);
  runner.retire();
  one.leave();
  await eventually(() => expect(storage.outcomes).toMatchObject([{ kind: RELEASE }]));
});

test('what has crashed a worker before goes alone, once a worker is free of others', async () => {
  const worker = new TestWorker({ topic: 'q/t', capacity: 3 });
  await joined(1);
  storage.push('q/t', 'a', 'b');
  await worker.got(2);
  storage.pushTried('q/t', 'poison', 2, 1);
  storage.push('q/t', 'c');
  worker.say({ done: [worker.items[0]?.leaseId ?? 0] });
  await eventually(() => expect(storage.done).toEqual([1]));
  expect(worker.bodies).toEqual(['a', 'b']);
  worker.say({ done: [worker.items[1]?.leaseId ?? 0] });
  await worker.got(3);
  expect(worker.bodies).toEqual(['a', 'b', 'poison']);
  worker.say({ done: [worker.items[2]?.leaseId ?? 0] });
  await worker.got(4);
  expect(worker.bodies.at(-1)).toBe('c');
});

test('other workers go on with the others while one is kept for what has crashed before', async () => {
  const one = new TestWorker({ topic: 'q/t', capacity: 2 });
  await joined(1);
  storage.push('q/t', 'a');
  await one.got(1);
  const two = new TestWorker({ topic: 'q/t', capacity: 2 });
  await joined(2);
  storage.push('q/t', 'b');
  await two.got(1);
  storage.pushTried('q/t', 'poison', 3, 2);
  storage.push('q/t', 'c');
  await eventually(() => expect([...one.bodies, ...two.bodies]).toHaveLength(3));
  const kept = one.bodies.includes('c') ? two : one;
  kept.say({ done: [kept.items[0]?.leaseId ?? 0] });
  await eventually(() => expect(kept.bodies).toContain('poison'));
});

test('a worker that ends its side is a worker that leaves', async () => {
  const worker = new TestWorker({ topic: 'q/t' });
  await joined(1);
  worker.end();
  await eventually(() => expect(storage.credits('q/t')).toBe(0));
  await clock.advance(500);
  await joined(0);
  await eventually(() => worker.ended);
  expect(worker.error).toBeUndefined();
});

test('outcomes reach storage with the words of the worker and our times', async () => {
  const worker = new TestWorker({ topic: 'q/t', capacity: 5 });
  await joined(1);
  const startedAtMs = clock.now();
  storage.push('q/t', 'a', 'b', 'c');
  const ids = (await worker.got(3)).map(({ leaseId }) => leaseId);
  await clock.advance(40);
  worker.say({
    outcomes: [
      { leaseId: ids[0], kind: RETRY, retryAfterMs: 500, errorCode: 'E1', error: 'no stock' },
      { leaseId: ids[1], kind: DEAD, error: 'x'.repeat(100_000) },
      { leaseId: ids[2], kind: 0 },
    ].map((outcome) => common.Outcome.fromPartial(outcome)),
  });
  await eventually(() => expect(storage.outcomes).toHaveLength(3));
  expect(storage.outcomes).toMatchObject([
    { kind: RETRY, retryAfterMs: 500, error: 'no stock', startedAtMs, durationMs: 40 },
    { kind: DEAD },
    { kind: RETRY, errorCode: 'BAD_ANSWER' },
  ]);
  expect(storage.outcomes[1]?.error).toHaveLength(16 * 1024);
});

test('a yes that somebody is told of says who said it and how long it took', async () => {
  const result = { queue: 'told', of: [keeper.ResultStatus.DONE] };
  runner.reconfigure(settings({ result }));
  const worker = new TestWorker({ topic: 'q/t', worker: 'w1', capacity: 1 });
  await joined(1);
  storage.push('q/t', 'a');
  const [item] = await worker.got(1);
  await clock.advance(40);
  worker.say({ done: [item?.leaseId ?? 0] });
  const told = { kind: common.OutcomeKind.DONE, consumer: 'w1', durationMs: 40 };
  await eventually(() => expect(storage.outcomes).toMatchObject([told]));
});

test('a job without an answer times out; its place stays taken until the worker answers', async () => {
  const worker = new TestWorker({ topic: 'q/t', capacity: 1 });
  await joined(1);
  storage.push('q/t', 'a', 'b');
  const [item] = await worker.got(1);
  await clock.advance(30_000);
  runner.tick(clock.now());
  await eventually(() => expect(storage.outcomes[0]).toMatchObject({ errorCode: 'TIMEOUT' }));
  expect(storage.ready('q/t')).toBe(1);
  await eventually(() => expect(worker.lost).toEqual([item?.leaseId]));
  await clock.advance(1000);
  expect(worker.items).toHaveLength(1);
  worker.say({ done: [item?.leaseId ?? 0] });
  await worker.got(2);
  expect(storage.done).toEqual([]);
});

test('a worker is told how long it has, and when storage has lost its leases', async () => {
  const worker = new TestWorker({ topic: 'q/t', capacity: 2 });
  await joined(1);
  storage.push('q/t', 'a', 'b');
  const items = await worker.got(2);
  expect(worker.timeoutMs).toBe(30_000);
  storage.cut();
  await eventually(() => expect(worker.lost).toEqual(items.map(({ leaseId }) => leaseId)));
});

test('a worker that leaves gets no more jobs, and answers for those that it has', async () => {
  const worker = new TestWorker({ topic: 'q/t', capacity: 5 });
  await joined(1);
  storage.push('q/t', 'a');
  const [item] = await worker.got(1);
  worker.say({ leaving: true });
  await eventually(() => expect(storage.credits('q/t')).toBe(0));
  storage.push('q/t', 'b');
  worker.say({ done: [item?.leaseId ?? 0] });
  await eventually(() => expect(storage.done).toEqual([1]));
  worker.end();
  await eventually(() => worker.ended);
  expect(worker.items).toHaveLength(1);
  expect(storage.ready('q/t')).toBe(1);
});

test('a worker that asks for more time gets it', async () => {
  const worker = new TestWorker({ topic: 'q/t' });
  await joined(1);
  storage.push('q/t', 'a');
  const [item] = await worker.got(1);
  await clock.advance(29_000);
  const outcome = { leaseId: item?.leaseId ?? 0, kind: EXTEND };
  worker.say({ outcomes: [common.Outcome.fromPartial(outcome)] });
  await eventually(() => expect(storage.outcomes).toMatchObject([{ kind: EXTEND }]));
  await clock.advance(29_000);
  runner.tick(clock.now());
  expect(runner.running).toBe(1);
  await clock.advance(1000);
  runner.tick(clock.now());
  expect(runner.running).toBe(0);
});

test('a worker that puts jobs back rests before it gets others', async () => {
  const worker = new TestWorker({ topic: 'q/t' });
  await joined(1);
  storage.push('q/t', 'a');
  const [item] = await worker.got(1);
  const outcome = { leaseId: item?.leaseId ?? 0, kind: RELEASE };
  worker.say({ outcomes: [common.Outcome.fromPartial(outcome)] });
  await eventually(() => expect(storage.ready('q/t')).toBe(1));
  await clock.advance(900);
  runner.tick(clock.now());
  expect(runner.running).toBe(0);
  await clock.advance(100);
  runner.tick(clock.now());
  await worker.got(2);
});

test('outcomes of leases that the worker does not hold change nothing', async () => {
  const worker = new TestWorker({ topic: 'q/t' });
  await joined(1);
  const outcomes = [common.Outcome.fromPartial({ leaseId: 4, kind: RETRY })];
  worker.say({ done: [1, 2, 3], outcomes });
  storage.push('q/t', 'a');
  await worker.got(1);
  expect([storage.done, storage.outcomes, storage.stale]).toEqual([[], [], []]);
});

test.each([
  ['an unknown topic', { topic: 'q/other' }, 'UNKNOWN_TOPIC'],
  ['no topic', {}, 'UNKNOWN_TOPIC'],
  ['a capacity without measure', { topic: 'q/t', capacity: 4_000_000_000 }, 'INVALID'],
])('a worker with %s is refused', async (_name, first, code) => {
  const worker = new TestWorker(first);
  await eventually(() => worker.ended);
  expect(worker.error?.code).toBe(code);
});

test('a topic with a password takes workers that know it', async () => {
  const hash = await hashPassword('s3cret');
  runner.reconfigure(settings({}, hash));
  const none = new TestWorker({ topic: 'q/t' });
  const wrong = new TestWorker({ topic: 'q/t', password: 'guess' });
  const right = new TestWorker({ topic: 'q/t', password: 's3cret' });
  await joined(1);
  await eventually(() => none.ended && wrong.ended);
  expect([none.error?.code, wrong.error?.code]).toEqual(['UNAUTHENTICATED', 'WRONG_PASSWORD']);
  runner.reconfigure(settings({}, ''));
  await eventually(() => right.ended);
  expect(right.error?.code).toBe('UNAUTHENTICATED');
});

test('a worker that connects and says nothing is sent away', async () => {
  const silent = client.work(new Channel<dispatcher.WorkRequest>());
  const first = silent[Symbol.asyncIterator]().next();
  await eventually(() => clock.pending > 0);
  await clock.advance(10_000);
  await expect(first).rejects.toMatchObject({ code: 'INVALID' });
});

test('a topic that goes away sends its workers away when their jobs have ended', async () => {
  const worker = new TestWorker({ topic: 'q/t', capacity: 2 });
  await joined(1);
  storage.push('q/t', 'a');
  const [item] = await worker.got(1);
  runner.retire();
  storage.push('q/t', 'b');
  worker.say({ done: [item?.leaseId ?? 0] });
  await eventually(() => expect(storage.done).toEqual([1]));
  await runner.close();
  await eventually(() => worker.ended);
  expect(worker.error?.code).toBe('UNAVAILABLE');
  expect(worker.items).toHaveLength(1);
});

test('jobs of a megabyte go in messages that every client takes', async () => {
  const worker = new TestWorker({ topic: 'q/t', capacity: 20 });
  await joined(1);
  const body = Buffer.alloc(900_000, 1);
  storage.push('q/t', ...Array.from({ length: 12 }, () => ({ body })));
  await worker.got(12);
});

test('on a bus with a token a topic without a password takes only workers that show it', async () => {
  const { log } = logToMemory<Logger>();
  const bindings = [bind(workerServiceDefinition, service, { access: 'public' })];
  const guarded = await serve({ listen: '127.0.0.1:0', bindings, log, token: 'bus-token' });
  const { address } = guarded;
  const stranger = connect(dispatcher.WorkerServiceDefinition, { address });
  const friend = connect(dispatcher.WorkerServiceDefinition, { address, token: 'bus-token' });
  const cancel = new AbortController();
  const work = (from: typeof friend): AsyncIterator<dispatcher.WorkResponse> => {
    const requests = new Channel<dispatcher.WorkRequest>();
    requests.push(dispatcher.WorkRequest.fromPartial({ topic: 'q/t', capacity: 1 }));
    return from.work(requests, { signal: cancel.signal })[Symbol.asyncIterator]();
  };
  await expect(work(stranger).next()).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  const waiting = work(friend).next();
  await eventually(() => runner.status().workers === 1);
  cancel.abort();
  await expect(waiting).rejects.toThrow();
  stranger.close();
  friend.close();
  await guarded.close();
});
