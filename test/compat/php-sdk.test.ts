import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { common } from '@malabar/contracts';
import { eventually, needs, type PhpFpm, packages, phpFpm, type Server } from '@malabar/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';
import { deliveryOf, ended, recordFile } from './php-application.js';
import { APPLICATION, phpCode, phpValue, publish, startWorker } from './php-sdk.js';

const { DONE, DEAD } = common.DeliveryState;
const { CRASH, RETRY } = common.OutcomeKind;
const requirements = [await packages.phpFpm(), await packages.php()];
const retry = 'retry: { attempts: 3, min: 20ms, max: 20ms, backoff: fixed }';
const ACT_TWICE = { once: true };

needs(describe, ...requirements)('tasks on the PHP package', () => {
  const open: Array<{ stop(): Promise<void> }> = [];
  let bus: Bus;
  let worker: Server;

  beforeAll(async () => {
    const fpm = await phpFpm({ phpIni: { memory_limit: '64M' } });
    open.push(fpm);
    bus = await startBus({ documents: documents(fpm) });
    open.push(bus);
    const topics = ['by_worker/act', 'by_worker/strange'];
    worker = await startWorker({ bus, args: ['--processes', '2', ...topics] });
    open.push(worker);
  });

  afterAll(async () => {
    for (const one of open.reverse()) await one.stop();
  });

  /** The delivery of a job to one of the topics of its queue, once it is done or dead. */
  async function endedAt(topic: string, jobId: string) {
    return eventually(
      async () => {
        const { deliveries } = await bus.storage.getJob({ jobId });
        const found = deliveries.find((delivery) => delivery.topic === topic);
        expect([DONE, DEAD]).toContain(found?.state);
        return found as NonNullable<typeof found>;
      },
      { timeoutMs: 20_000, everyMs: 20 },
    );
  }

  describe.each(['by_fpm', 'by_worker'])('%s', (event) => {
    test('a handler gets the parameters and what the bus knows of the job', async () => {
      const { record, starts } = recordFile();
      const before = Date.now();
      const params = { record, text: '\u961f "&=+"', list: [1, 2.5, null], n: 1 };
      const [id = ''] = await publish(bus, event, params);
      expect(await endedAt('act', id)).toMatchObject({ state: DONE, history: [] });
      const [start] = starts();
      expect(start).toMatchObject({ id, try: 1, path: `${event}/act`, event, params });
      expect(Number(start?.acceptedAt) * 1000).toBeGreaterThan(before - 1000);
      expect(start?.secondsLeft).toBeGreaterThan(20);
      expect(start?.secondsLeft).toBeLessThan(31);
    });

    test('headers that were published reach the handler', async () => {
      const { record, starts } = recordFile();
      const id = await phpCode(`Bus::configure(['address' => '127.0.0.1:${bus.ports.redis}']);
        echo Event::name('${event}')->header('tenant', 'no')->header('X-User', "\u{961f} 7%")
          ->header('Tenant', 'acme')->publish(${phpValue({ record })});`);
      expect(await endedAt('act', id)).toMatchObject({ state: DONE });
      expect(starts()[0]?.headers).toEqual({ Tenant: 'acme', 'X-User': '\u961f 7%' });
    });

    test('headers and a body that is no envelope come as they are', async () => {
      const { record, starts } = recordFile();
      const body = Buffer.from(JSON.stringify({ record, n: 4 }));
      const job = common.Job.fromPartial({ body, headers: { tenant: 'de' } });
      const { jobId } = await bus.ingest.submit({ queue: event, job });
      expect(await endedAt('act', jobId)).toMatchObject({ state: DONE });
      expect(starts()).toMatchObject([{ n: 4, event, headers: { tenant: 'de' } }]);
    });

    test('RetryException is called again after its seconds, and no sooner', async () => {
      const { record, starts } = recordFile();
      const [id = ''] = await publish(bus, event, {
        record,
        do: 'retry',
        after: 1.5,
        ...ACT_TWICE,
      });
      const { history, state } = await endedAt('act', id);
      expect(state).toBe(DONE);
      const error = expect.stringContaining('Malabar\\RetryException: not yet (attempt 1)');
      expect(history).toMatchObject([{ outcome: RETRY, errorCode: '7', error }]);
      expect(starts().map((start) => start.try)).toEqual([1, 2]);
      const [first = 0, second = 0] = starts().map((start) => Number(start.at));
      expect(second - first).toBeGreaterThanOrEqual(1.49);
      expect(second - first).toBeLessThan(5);
    });

    test('TaskException is dead at once, with its words', async () => {
      const { record } = recordFile();
      const [id = ''] = await publish(bus, event, { record, do: 'dead' });
      const { state, history, error, errorCode } = await endedAt('act', id);
      expect([state, history.length, errorCode]).toEqual([DEAD, 1, 'Malabar\\TaskException']);
      expect(error).toBe('Malabar\\TaskException: no such order (attempt 1)');
    });

    test('any other exception or error is tried again, its class and words and place kept', async () => {
      const { record } = recordFile();
      const acts = [{ do: 'throw' }, { do: 'error' }];
      const [thrown = '', error = ''] = await publish(
        bus,
        event,
        ...acts.map((act) => ({ record, ...act })),
      );
      const dead = await endedAt('act', thrown);
      expect(dead).toMatchObject({ state: DEAD, errorCode: 'RuntimeException' });
      expect(dead.history.map((attempt) => attempt.error)).toEqual(
        [1, 2, 3].map((n) =>
          expect.stringMatching(
            new RegExp(
              `^RuntimeException: kein Bestand: 0 Stück \\(attempt ${n}\\)\n(printed: .*\n)?at .*Act.php:`,
            ),
          ),
        ),
      );
      expect((await endedAt('act', error)).error).toMatch(/^Error: Call to undefined function/);
    });

    test('what nobody handles fails and says so', async () => {
      const { record } = recordFile();
      const [id = ''] = await publish(bus, event, { record });
      const strange = await endedAt('strange', id);
      const where = `no handler for event ${event} at ${event}/strange; this program has: `;
      expect(strange).toMatchObject({ state: DEAD, error: expect.stringContaining(where) });
      expect(strange.history).toHaveLength(3);
    });

    test('exit() in a handler is no success', async () => {
      const { record } = recordFile();
      const [id = ''] = await publish(bus, event, { record, do: 'exit', ...ACT_TWICE });
      const { state, history } = await endedAt('act', id);
      const error = expect.stringContaining('the handler ended the process (exit or die)');
      expect([state, history]).toMatchObject([DONE, [{ outcome: RETRY, error }]]);
    });

    test('a handler that runs out of memory is a crash with its words', async () => {
      const { record } = recordFile();
      const [id = ''] = await publish(bus, event, { record, do: 'memory', ...ACT_TWICE });
      const { state, history } = await endedAt('act', id);
      const error = expect.stringContaining('Allowed memory size of');
      expect([state, history]).toMatchObject([
        DONE,
        [{ outcome: CRASH, errorCode: 'FATAL', error }],
      ]);
    });

    test('what a handler prints does not spoil the answer', async () => {
      const { record } = recordFile();
      const [id = ''] = await publish(bus, event, { record, do: 'print' });
      expect(await endedAt('act', id)).toMatchObject({ state: DONE, history: [] });
    });
  });

  test('what a handler printed before it failed is kept with its words', async () => {
    const { record } = recordFile();
    const [id = ''] = await publish(bus, 'by_fpm', { record, do: 'throw' });
    expect((await endedAt('act', id)).error).toMatch(/\nprinted: looking for stock\nat /);
  });

  test('a handler that does not exist is a failure that names it', async () => {
    const [id = ''] = await publish(bus, 'by_fpm', { record: '/dev/null' });
    const words = 'no_such_function is neither a class that implements Malabar\\Task nor callable';
    expect((await endedAt('nothing', id)).error).toContain(words);
  });

  test("async-task-lib's task classes run as they are, and a missing method is no success", async () => {
    const { record } = recordFile();
    const [id = ''] = await publish(bus, 'legacy', { record });
    expect(await endedAt('closeOrder', id)).toMatchObject({ state: DONE });
    expect((await endedAt('reopenOrder', id)).error).toContain(
      'TaskOrderModel has no method reopenOrderTask',
    );
  });

  test('jobs of one request share an answer, and with a store none is done twice', async () => {
    const { record, starts } = recordFile();
    const jobs = Array.from({ length: 6 }, (_, n) => ({ record, n }));
    const troubled = jobs.map((job) => (job.n === 3 ? { ...job, do: 'dead', ...ACT_TWICE } : job));
    const ids = await publish(bus, 'chunked', ...troubled);
    for (const id of ids) expect((await ended(bus, id)).state).toBe(DONE);
    const tries = jobs.map(({ n }) => starts().filter((start) => start.n === n).length);
    expect(tries).toEqual([1, 1, 1, 2, 1, 1]);
  });

  test('a process that is killed is replaced, and its job done by another at once', async () => {
    const { record, starts } = recordFile();
    const act = { record, do: 'sleep', seconds: 600, ...ACT_TWICE };
    const [id = ''] = await publish(bus, 'by_worker', act);
    const { pid } = await eventually(() => starts()[0] ?? false);
    process.kill(pid, 'SIGKILL');
    const { state, history } = await endedAt('act', id);
    const error = `the worker's process ${pid} was killed by signal 9`;
    expect([state, history]).toMatchObject([
      DONE,
      [{ outcome: CRASH, errorCode: 'WORKER_DIED', error }],
    ]);
    expect(starts()[1]?.pid).not.toBe(pid);
    expect(worker.log()).toContain(`process ${pid} was killed by signal 9`);
  });

  test('a job that kills whoever does it is quarantined', async () => {
    const { record, starts } = recordFile();
    const [id = ''] = await publish(bus, 'by_worker', { record, do: 'die' });
    const { state, history } = await endedAt('act', id);
    expect([state, history.length]).toEqual([DEAD, 3]);
    expect(new Set(starts().map((start) => start.pid)).size).toBe(3);
  });

  test('SIGTERM lets a job end and starts no other', async () => {
    const { record, starts } = recordFile();
    const other = await startWorker({ bus, args: ['--queue', 'brief', '--timeout', '20'] });
    open.push(other);
    const jobs = [1, 2].map((n) => ({ record, do: 'sleep', seconds: 1.2, n }));
    const [first = '', second = ''] = await publish(bus, 'brief', ...jobs);
    await eventually(() => starts().length > 0);
    other.kill('SIGTERM');
    expect(await other.exited).toEqual({ code: 0, signal: null });
    // Longer than the topic's timeout: its lease was kept meanwhile.
    expect(await deliveryOf(bus, first)).toMatchObject({ state: DONE, history: [] });
    expect(await deliveryOf(bus, second)).toMatchObject({ attempts: 0, history: [] });
    expect(starts()).toHaveLength(1);
    const next = await startWorker({ bus, args: ['--queue', 'brief', '--timeout', '20'] });
    open.push(next);
    expect((await ended(bus, second)).state).toBe(DONE);
    await next.stop();
  });

  test('a job that hangs beyond --timeout loses its process, and says so', async () => {
    const { record } = recordFile();
    const args = ['--queue', 'brief', '--topic', 'act', '--timeout', '1'];
    const other = await startWorker({ bus, args });
    open.push(other);
    const act = { record, do: 'sleep', seconds: 600, ...ACT_TWICE };
    const [id = ''] = await publish(bus, 'brief', act);
    const { state, history } = await ended(bus, id);
    const words = {
      outcome: CRASH,
      errorCode: 'TIMEOUT',
      error: 'took longer than --timeout 1 allows',
    };
    expect([state, history]).toMatchObject([DONE, [words]]);
    await other.stop();
  });

  test('a worker waits for a bus that died, and goes on', async () => {
    const { record, starts } = recordFile();
    await bus.kill('all', 'SIGKILL');
    await eventually(() => expect(worker.log()).toMatch(/connect|closed/), { timeoutMs: 20_000 });
    await bus.start('all');
    const [id = ''] = await publish(bus, 'by_worker', { record });
    expect(await endedAt('act', id)).toMatchObject({ state: DONE, history: [] });
    expect(starts()).toHaveLength(1);
  });

  test('without pcntl a worker is one process, which ends its job on SIGTERM too', async () => {
    const { record, starts } = recordFile();
    const ini = ['disable_functions=pcntl_fork'];
    const single = await startWorker({ bus, ini, args: ['brief/act'] });
    open.push(single);
    const [id = ''] = await publish(bus, 'brief', { record, do: 'sleep', seconds: 0.5 });
    await eventually(() => starts().length > 0);
    expect(starts()[0]?.pid).toBe(single.pid);
    single.kill('SIGTERM');
    expect(await single.exited).toEqual({ code: 0, signal: null });
    expect(await deliveryOf(bus, id)).toMatchObject({ state: DONE, history: [] });
    const many = await startWorker({ bus, ini, args: ['--processes', '2', 'brief/act'] });
    expect((await many.exited).code).toBe(2);
  });

  test('a process has its share of jobs, and is then started anew', async () => {
    const { record, starts } = recordFile();
    const other = await startWorker({ bus, args: ['--max-jobs', '2', 'brief/act'] });
    open.push(other);
    const ids = await publish(bus, 'brief', ...[1, 2, 3, 4, 5].map((n) => ({ record, n })));
    for (const id of ids) expect((await ended(bus, id)).state).toBe(DONE);
    expect(new Set(starts().map((start) => start.pid)).size).toBe(3);
    await other.stop();
  });
});

/** consume.php with a memory of what is done, in its own folder. */
function rememberingScript({ dir }: PhpFpm): string {
  const script = join(dir, 'consume-once.php');
  const store = 'new Malabar\\Idempotence\\FileStore(__DIR__)';
  const serve = `Malabar\\FastCgi\\Consumer::serve($registry, ${store});`;
  writeFileSync(script, `<?php $registry = require '${APPLICATION}tasks.php'; ${serve}`);
  return script;
}

function documents(fpm: PhpFpm): string {
  const target = (script: string) =>
    `target: { fastcgi: { address: '${fpm.address}', script: ${script}, ping: false } }, ${retry}`;
  const consume = `${APPLICATION}consume.php`;
  const pull = `target: pull, ${retry}`;
  return `
queues:
  by_fpm:
    topics:
      act: { ${target(consume)}, timeout: 30s }
      strange: { ${target(consume)} }
      nothing: { ${target(consume)} }
  by_worker: { topics: { act: { ${pull}, timeout: 30s }, strange: { ${pull} } } }
  legacy:
    topics:
      closeOrder: { ${target(consume)} }
      reopenOrder: { ${target(consume)} }
  chunked: { topics: { act: { ${target(rememberingScript(fpm))}, chunk: 10, concurrency: 1 } } }
  brief: { topics: { act: { ${pull}, timeout: 1s } } }
`;
}
