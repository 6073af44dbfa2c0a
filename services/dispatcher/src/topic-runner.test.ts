import { common, keeper } from '@malabar/contracts';
import type { Logger } from '@malabar/telemetry';
import { FakeClock, logToMemory, seededRandom } from '@malabar/testkit';
import { afterEach, expect, test } from 'vitest';
import { StorageDouble } from './storage-double.suite.js';
import { createStorageLink } from './storage-link.js';
import type { Attempt, Target } from './target.js';
import { TopicRunner } from './topic-runner.js';
import { crash, done, notDelivered, retry, type Verdict } from './verdict.js';

const { CRASH, DONE, EXTEND, RELEASE, RETRY } = common.OutcomeKind;

/** A consumer whose answers a test gives one by one. */
class ScriptedTarget implements Target {
  readonly kind = 'http';
  readonly address = 'scripted';
  chunkMax = Number.POSITIVE_INFINITY;
  pinged = false;
  closed = 0;
  pings = 0;
  /** '' is a good ping. */
  pingAnswer = '';
  readonly attempts: Attempt[] = [];
  readonly #answers: Array<(verdict: Verdict) => void> = [];

  deliver(attempt: Attempt): Promise<Verdict> {
    this.attempts.push(attempt);
    return new Promise((resolve) => this.#answers.push(resolve));
  }

  async ping(): Promise<string> {
    this.pings++;
    return this.pingAnswer;
  }

  async close(): Promise<void> {
    this.closed++;
  }

  get running(): number {
    return this.#answers.length;
  }

  answer(verdict: Verdict): void {
    this.#answers.shift()?.(verdict);
  }

  get bodies(): string[][] {
    return this.attempts.map(({ deliveries }) =>
      deliveries.map((delivery) => Buffer.from(delivery.decode().body).toString()),
    );
  }
}

const stops: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

function start(
  config: Partial<keeper.TopicConfig> = {},
  { prefetch = 1, target = new ScriptedTarget() } = {},
) {
  const clock = new FakeClock();
  const storage = new StorageDouble(() => clock.now());
  const { log } = logToMemory<Logger>();
  const random = seededRandom(1);
  const link = createStorageLink({
    client: storage,
    name: 'd1',
    node: 'n1',
    clock,
    random,
    log,
    turn: setImmediate,
  });
  const settings = (changes: Partial<keeper.TopicConfig> = {}, hold = '') => ({
    queue: 'q',
    hold,
    passwordHash: '',
    config: keeper.TopicConfig.fromPartial({
      name: 't',
      concurrency: 2,
      timeoutMs: 30_000,
      chunk: 1,
      ...config,
      ...changes,
    }),
  });
  let idle = 0;
  const metrics = { ended: () => {}, took: () => {} };
  const runner = new TopicRunner({
    settings: settings(),
    context: { link, clock, random, log, metrics, prefetch },
    target,
    onIdle: () => idle++,
  });
  stops.push(() => link.stop());
  /** Lets everything that waits for the event loop happen. */
  const settle = () => clock.advance(0).then(() => clock.advance(0));
  return { clock, storage, link, runner, target, settings, settle, idle: () => idle };
}

test('runs no more attempts than the share and holds prefetched leases behind them', async () => {
  const { storage, target, settle } = start({ concurrency: 2 });
  storage.push('q/t', 'a', 'b', 'c', 'd', 'e', 'f');
  await settle();
  expect(target.running).toBe(2);
  expect(storage.leased).toBe(4);
  expect(storage.ready('q/t')).toBe(2);
});

test('a settled lease is replaced without new credits', async () => {
  const { storage, target, settle } = start({ concurrency: 1 });
  storage.push('q/t', 'a', 'b', 'c');
  await settle();
  const messages = storage.requests.filter(({ subscribe }) => subscribe.length > 0).length;
  target.answer(done);
  await settle();
  target.answer(done);
  await settle();
  target.answer(done);
  await settle();
  expect(storage.done).toEqual([1, 2, 3]);
  expect(storage.requests.filter(({ subscribe }) => subscribe.length > 0)).toHaveLength(messages);
});

test("storage's share bounds the attempts and the credits", async () => {
  const { storage, target, settle } = start({ concurrency: 8 });
  await settle();
  storage.share('q/t', 3);
  await settle();
  expect(storage.credits('q/t')).toBe(6);
  storage.push('q/t', ...'abcdefghij');
  await settle();
  expect(target.running).toBe(3);
});

test('a chunk takes what is there, no more than its size, and is judged as one', async () => {
  const { storage, target, settle } = start({ concurrency: 1, chunk: 3 });
  storage.push('q/t', 'a');
  await settle();
  storage.push('q/t', 'b', 'c', 'd', 'e', 'f');
  await settle();
  target.answer(done);
  await settle();
  expect(target.bodies).toEqual([['a'], ['b', 'c', 'd']]);
  target.answer(retry('500', 'no'));
  await settle();
  expect(storage.outcomes.map(({ kind, error }) => [kind, error])).toEqual([
    [RETRY, 'no'],
    [RETRY, 'no'],
    [RETRY, 'no'],
  ]);
});

test('what has failed before goes alone, whatever is beside it', async () => {
  const { storage, target, settle } = start({ concurrency: 1, chunk: 10 }, { prefetch: 9 });
  await settle();
  storage.push('q/t', 'first');
  storage.push('q/t', 'a', 'b');
  storage.pushTried('q/t', 'poison', 2);
  storage.pushTried('q/t', 'neighbour', 2);
  storage.push('q/t', 'c', 'd');
  for (let i = 0; i < 5; i++) {
    await settle();
    target.answer(done);
  }
  await settle();
  expect(target.bodies).toEqual([['first'], ['a', 'b'], ['poison'], ['neighbour'], ['c', 'd']]);
});

test('a chunk stays below the bytes that a form may have', async () => {
  const { storage, target, settle } = start({ concurrency: 1, chunk: 10 });
  const large = { body: Buffer.alloc(1_000_000) };
  await settle();
  storage.push('q/t', large, large, large);
  await settle();
  expect(target.attempts[0]?.deliveries).toHaveLength(2);
});

test('what a failed attempt says reaches storage with its times', async () => {
  const { clock, storage, target, settle } = start();
  storage.push('q/t', 'a');
  await settle();
  const startedAtMs = clock.now();
  await clock.advance(1234);
  target.answer({ ...crash('CRASHED', 'gone'), retryAfterMs: 5 });
  await settle();
  expect(storage.outcomes).toMatchObject([
    {
      kind: CRASH,
      errorCode: 'CRASHED',
      error: 'gone',
      retryAfterMs: 5,
      startedAtMs,
      durationMs: 1234,
    },
  ]);
});

test('a target that cannot be reached burns no attempt, and the backlog stays at storage', async () => {
  const { storage, target, runner, settle } = start({ concurrency: 2 });
  storage.push('q/t', 'a', 'b', 'c', 'd', 'e');
  await settle();
  target.answer(notDelivered('ECONNREFUSED'));
  target.answer(notDelivered('ECONNREFUSED'));
  await settle();
  expect(storage.outcomes.every(({ kind }) => kind === RELEASE)).toBe(true);
  expect(storage.ready('q/t')).toBe(5);
  expect(storage.leased).toBe(0);
  expect(storage.credits('q/t')).toBe(0);
  expect(runner.status().blocked).toBe('ECONNREFUSED');
});

test('one probe at a time finds out whether the target is back; the pauses double', async () => {
  const { clock, storage, target, runner, settle } = start({ concurrency: 4 });
  storage.push('q/t', 'a', 'b', 'c');
  await settle();
  for (let i = 0; i < 3; i++) target.answer(notDelivered('refused'));
  const pauses: number[] = [];
  for (let i = 0; i < 4; i++) {
    await settle();
    expect(target.running).toBe(0);
    const from = clock.now();
    while (target.running === 0) await clock.advance((clock.nextDueAtMs ?? 0) - clock.now());
    pauses.push(clock.now() - from);
    expect(target.running).toBe(1);
    expect(storage.leased).toBe(1);
    target.answer(notDelivered('refused'));
  }
  expect(pauses.every((pause, i) => pause >= 50 * 2 ** i && pause <= 100 * 2 ** i)).toBe(true);
  await clock.advance(30_000);
  target.answer(done);
  await settle();
  expect(runner.status().blocked).toBe('');
  expect(target.running).toBe(2);
});

test('a success that began before the target went away does not close the breaker', async () => {
  const { storage, target, runner, settle } = start({ concurrency: 2 });
  storage.push('q/t', 'a', 'b');
  await settle();
  target.answer(notDelivered('refused'));
  await settle();
  target.answer(done);
  await settle();
  expect(storage.done).toEqual([2]);
  expect(runner.status().blocked).toBe('refused');
});

test('a target with ping gets no job before it names the topic', async () => {
  const target = new ScriptedTarget();
  target.pinged = true;
  target.pingAnswer = 'ping: Code 500';
  const { clock, storage, runner, settle } = start({}, { target });
  storage.push('q/t', 'a');
  await settle();
  await clock.advance(1000);
  expect(target.pings).toBeGreaterThan(1);
  expect(target.attempts).toEqual([]);
  expect(storage.leased).toBe(0);
  expect(runner.status().blocked).toBe('ping: Code 500');
  target.pingAnswer = '';
  await clock.advance(10_000);
  expect(target.attempts).toHaveLength(1);
  expect(runner.status().blocked).toBe('');
});

test('a consumer that does not know the topic is asked again before the next job', async () => {
  const target = new ScriptedTarget();
  target.pinged = true;
  const { storage, settle } = start({ concurrency: 1 }, { target });
  storage.push('q/t', 'a', 'b');
  await settle();
  expect(target.pings).toBe(1);
  target.answer({ ...retry('404', 'no such topic'), unknownTopic: true });
  await settle();
  expect(target.pings).toBe(2);
  expect(target.bodies).toEqual([['a'], ['b']]);
});

test('a broken stream drops what waits, ignores what still runs and takes it again', async () => {
  const { clock, storage, target, runner, settle } = start({ concurrency: 1 });
  storage.push('q/t', 'a', 'b');
  await settle();
  storage.cut();
  await settle();
  expect(runner.status().blocked).toBe('not connected to storage');
  target.answer(done);
  await clock.advance(10_000);
  expect(storage.streams).toBe(2);
  expect(storage.done).toEqual([]);
  expect(storage.stale).toEqual([]);
  target.answer(done);
  await settle();
  target.answer(done);
  await settle();
  expect(storage.done.sort()).toEqual([1, 2]);
});

test('a lease that ends while it waits is extended, one that has ended is dropped', async () => {
  const { clock, storage, runner, target, settle } = start({ concurrency: 1 });
  storage.leaseMs = 20_000;
  storage.push('q/t', 'a', 'b');
  await settle();
  await clock.advance(11_000);
  runner.tick(clock.now());
  await settle();
  const leases = storage.outcomes.filter(({ kind }) => kind === EXTEND).map((one) => one.leaseId);
  expect(leases).toEqual([1000, 1001]);
  // 'a' was extended when it started, with less than its timeout left; 'b' while it waited.
  await clock.advance(60_000);
  target.answer(done);
  await settle();
  expect(target.attempts).toHaveLength(1);
});

test('a new timeout gives back what waits under a lease for the old one', async () => {
  const { storage, runner, settings, settle } = start({ concurrency: 1 });
  storage.push('q/t', 'a', 'b');
  await settle();
  runner.reconfigure(settings({ timeoutMs: 600_000 }));
  await settle();
  expect(storage.outcomes.map(({ kind }) => kind)).toEqual([RELEASE]);
});

test('a running attempt ends on the target that it began with, which is closed then', async () => {
  const { storage, runner, target, settle } = start({ concurrency: 1 });
  storage.push('q/t', 'a', 'b');
  await settle();
  const other = new ScriptedTarget();
  runner.retarget(other);
  await settle();
  expect(target.closed).toBe(0);
  target.answer(done);
  await settle();
  expect(target.closed).toBe(1);
  expect(other.bodies).toEqual([['b']]);
});

test('a new target is tried at once, whatever the old one did', async () => {
  const { storage, runner, target, settle } = start({ concurrency: 1 });
  storage.push('q/t', 'a');
  await settle();
  target.answer(notDelivered('refused'));
  await settle();
  const other = new ScriptedTarget();
  runner.retarget(other);
  await settle();
  expect(other.running).toBe(1);
});

test('a paused topic gives back what waits and takes nothing until it goes on', async () => {
  const { storage, runner, target, settings, settle } = start({ concurrency: 1 });
  storage.push('q/t', 'a', 'b', 'c');
  await settle();
  runner.reconfigure(settings({}, 'paused'));
  await settle();
  target.answer(done);
  await settle();
  expect(storage.credits('q/t')).toBeUndefined();
  expect(storage.ready('q/t')).toBe(2);
  expect(runner.status().blocked).toBe('paused');
  runner.reconfigure(settings());
  await settle();
  expect(target.running).toBe(1);
});

test('a retired runner lets attempts end and says when the last one has', async () => {
  const { storage, runner, target, settle, idle } = start({ concurrency: 2 });
  storage.push('q/t', 'a', 'b', 'c', 'd');
  await settle();
  runner.retire();
  await settle();
  expect(storage.ready('q/t')).toBe(2);
  target.answer(done);
  await settle();
  expect(idle()).toBe(0);
  target.answer(done);
  await settle();
  expect(idle()).toBe(1);
  expect(storage.done).toEqual([1, 2]);
});

test('what is abandoned goes back to storage, and its late answer is not told', async () => {
  const { storage, runner, target, settle } = start({ concurrency: 1 });
  storage.push('q/t', 'a');
  await settle();
  runner.retire();
  await runner.abandon();
  await settle();
  expect(storage.ready('q/t')).toBe(1);
  target.answer(done);
  await settle();
  expect(storage.done).toEqual([]);
});

/** Its attempts go on by themselves, as commands do, until they are cancelled. */
class LingeringTarget extends ScriptedTarget {
  readonly cancelled: string[] = [];

  cancel(_attempt: Attempt, reason: string): void {
    this.cancelled.push(reason);
    this.answer(notDelivered(reason));
  }
}

test('what goes on by itself is ended with its lease, and its verdict does not count', async () => {
  const target = new LingeringTarget();
  const { storage, runner, settle } = start({ concurrency: 1 }, { target });
  storage.push('q/t', 'a');
  await settle();
  storage.cut();
  await settle();
  expect(target.cancelled).toEqual(['its lease is lost']);
  expect(runner.running).toBe(0);
  expect(runner.status().blocked).toBe('not connected to storage');
  expect(storage.outcomes).toEqual([]);
});

test('what goes on by itself is ended before it is given back', async () => {
  const target = new LingeringTarget();
  const { storage, runner, settle, idle } = start({ concurrency: 1 }, { target });
  storage.push('q/t', 'a');
  await settle();
  runner.retire();
  await runner.abandon();
  await settle();
  expect(target.cancelled).toEqual(['the dispatcher stops']);
  expect(storage.outcomes.map(({ kind }) => kind)).toEqual([RELEASE]);
  expect(idle()).toBe(1);
});

test('an attempt that outlives its time, as a command in its grace does, keeps its lease', async () => {
  const { storage, clock, runner, target, settle } = start({ concurrency: 1, timeoutMs: 30_000 });
  storage.leaseMs = 45_000;
  storage.push('q/t', 'a');
  await settle();
  for (let seconds = 0; seconds < 60; seconds += 5) {
    await clock.advance(5_000);
    runner.tick(clock.now());
  }
  await settle();
  expect(storage.outcomes.map(({ kind }) => kind)).toEqual([EXTEND]);
  target.answer(done);
  await settle();
  expect(storage.done).toEqual([1]);
});

test('a fault of the target counts as a try and makes the topic back off', async () => {
  const { storage, runner, target, settle } = start({ concurrency: 1 });
  storage.push('q/t', 'a', 'b');
  await settle();
  target.answer({ ...retry('NOT_STARTED', 'there is no program x'), blocks: true });
  await settle();
  expect(storage.outcomes.map(({ kind }) => kind)).toEqual([RETRY, RELEASE]);
  expect(runner.status().blocked).toBe('there is no program x');
  expect(target.running).toBe(0);
});

test('a yes that somebody is told of says when it was, and what was printed', async () => {
  const result = { queue: 'told', of: [keeper.ResultStatus.DONE] };
  const { clock, storage, target, settle } = start({ result });
  const startedAtMs = clock.now();
  storage.push('q/t', 'a');
  await settle();
  await clock.advance(70);
  target.answer({ ...done, output: 'all well', exitCode: 0 });
  await settle();
  const told = { kind: DONE, startedAtMs, durationMs: 70, output: 'all well', exitCode: 0 };
  expect(storage.outcomes).toMatchObject([told]);
  expect(storage.done).toEqual([]);
});

test('what nobody is told of does not travel: a yes is only its lease, a no leaves its output behind', async () => {
  const { storage, target, settle } = start({ concurrency: 1 });
  storage.push('q/t', 'a', 'b');
  await settle();
  target.answer({ ...done, output: 'all well' });
  await settle();
  target.answer({ ...retry('1', 'all bad'), output: 'all bad' });
  await settle();
  expect(storage.done).toEqual([1]);
  expect(storage.outcomes).toMatchObject([{ kind: RETRY, error: 'all bad', output: '' }]);
});

test('what storage refuses is visible', async () => {
  const { storage, runner, settle } = start();
  await settle();
  storage.fault('q/t', "topic 'q/t' does not exist");
  await settle();
  expect(runner.status().blocked).toBe("topic 'q/t' does not exist");
});
