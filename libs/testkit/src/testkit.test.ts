import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { every } from '@malabar/core';
import { expect, onTestFinished, test } from 'vitest';
import {
  eventually,
  FakeClock,
  logToMemory,
  needs,
  packages,
  phpFpm,
  python,
  rabbitmqServer,
  redisServer,
  run,
  seededRandom,
  spawnServer,
  tempDir,
} from './index.js';
import { debianPackage } from './packages.js';
import { guarded } from './server.js';

test('a fake clock fires what is due in its order, and what that sets too', async () => {
  const clock = new FakeClock(0);
  const fired: string[] = [];
  clock.after(20, () => fired.push(`b@${clock.now()}`));
  clock.after(10, () => {
    fired.push(`a@${clock.now()}`);
    clock.after(5, () => fired.push(`c@${clock.now()}`));
  });
  const cancel = clock.after(15, () => fired.push('never'));
  cancel();
  await clock.advance(20);
  expect(fired).toEqual(['a@10', 'c@15', 'b@20']);
  expect(clock.now()).toBe(20);
  expect(clock.pending).toBe(0);
});

test('a fake clock lets asynchronous work run between two timers', async () => {
  const clock = new FakeClock();
  let runs = 0;
  const stop = every(clock, 1000, async () => {
    await Promise.resolve();
    runs++;
  });
  await clock.advance(3500);
  stop();
  expect(runs).toBe(3);
});

test('a seed gives the same numbers again, and another seed others', () => {
  const draw = (seed: number) => Array.from({ length: 5 }, seededRandom(seed));
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
  expect(draw(7).every((each) => each >= 0 && each < 1)).toBe(true);
});

test('eventually waits for success and rejects with the last error', async () => {
  let attempts = 0;
  expect(await eventually(() => ++attempts > 3 && attempts)).toBe(4);
  const failing = eventually(() => Promise.reject(new Error('no luck')), { timeoutMs: 30 });
  await expect(failing).rejects.toThrow('no luck');
});

test('run gives input, and returns code and both outputs', async () => {
  const result = await run('sh', ['-c', 'cat; echo oops >&2; exit 3'], { input: 'hello' });
  expect(result).toEqual({ code: 3, stdout: 'hello', stderr: 'oops\n' });
  await expect(run('sleep', ['10'], { timeoutMs: 50 })).rejects.toThrow('sleep 10: no end');
  await expect(run('no-such-command')).rejects.toThrow('ENOENT');
});

test('a server that ends at once rejects with its output', async () => {
  const starting = spawnServer({
    command: 'sh',
    args: ['-c', 'echo the reason; exit 4'],
    ready: () => false,
  });
  await expect(starting).rejects.toThrow(/ended with 4[\s\S]*the reason/);
});

test('a server that ignores SIGTERM is killed, its children too', async () => {
  const dir = tempDir();
  const file = join(dir, 'pid');
  const server = await spawnServer({
    command: 'sh',
    args: ['-c', `trap '' TERM; sleep 1000 & echo $! > ${file}; wait; wait`],
    ready: () => existsSync(file) && readFileSync(file, 'utf8') !== '',
    stopGraceMs: 50,
  });
  await server.stop();
  const child = Number(readFileSync(file, 'utf8'));
  await eventually(() => !isAlive(child));
});

test('a missing package is reported with the way to get it', async () => {
  const found = await debianPackage('malabar-example', ['false'], { install: false });
  expect(found.missing).toContain('apt-get install malabar-example');
});

test('needs skips when something is missing, and only then', () => {
  const asked: unknown[] = [];
  const probe = { skipIf: (condition: unknown) => asked.push(condition) };
  needs(probe, { name: 'a' });
  needs(probe, { name: 'a' }, { name: 'b', missing: 'b is only an example of this test' });
  expect(asked).toEqual([false, true]);
});

test('a memory logger keeps level, message and the fields of its parents', () => {
  const { log, entries } = logToMemory();
  log.child({ queue: 'q' }).warn({ topic: 't' }, 'hot');
  log.info('cold');
  expect(entries).toEqual([
    { level: 'warn', message: 'hot', fields: { queue: 'q', topic: 't' } },
    { level: 'info', message: 'cold', fields: {} },
  ]);
});

needs(test, await packages.redis())(
  'a redis server answers, and is gone when stopped',
  async () => {
    const server = await redisServer({ appendonly: true, appendfsync: 'always' });
    onTestFinished(() => server.stop());
    const ask = () => run('redis-cli', ['-p', `${server.port}`, 'config', 'get', 'appendfsync']);
    expect((await ask()).stdout).toContain('always');
    await server.stop();
    expect((await ask()).code).not.toBe(0);
  },
);

needs(test, await packages.rabbitmq())(
  'a RabbitMQ that is killed starts again on its port, and leaves nothing behind',
  async () => {
    const first = await rabbitmqServer();
    onTestFinished(() => first.stop());
    first.kill('SIGKILL');
    expect(await first.exited).toMatchObject({ signal: 'SIGKILL' });
    const again = await rabbitmqServer({ after: first });
    onTestFinished(() => again.stop());
    expect(again.url).toBe(first.url);
    await again.stop();
    const { stdout } = await run('ps', ['-eo', 'args']);
    const left = stdout.split('\n').filter((line) => /beam|epmd/.test(line));
    expect(left.join('\n')).not.toContain(again.dir);
    expect(left.join('\n')).not.toContain(`-port ${again.epmdPort}`);
  },
);

needs(test, await packages.phpFpm())(
  'php-fpm starts on both kinds of address and reloads',
  async () => {
    for (const listen of ['unix', 'tcp'] as const) {
      const fpm = await phpFpm({ listen, children: 2 });
      onTestFinished(() => fpm.stop());
      expect(fpm.address).toMatch(listen === 'unix' ? /^unix:\// : /^127\.0\.0\.1:\d+$/);
      const before = fpm.children();
      expect(before).toHaveLength(2);
      await fpm.reload();
      await eventually(() => fpm.children().length === 2);
      expect(fpm.children().some((pid) => before.includes(pid))).toBe(false);
      await fpm.stop();
      expect(isAlive(fpm.pid)).toBe(false);
    }
  },
);

needs(test, await packages.pythonRedis())("Debian's python has redis-py", async () => {
  expect((await python(['-c', 'import redis; print(redis.__name__)'])).stdout).toBe('redis\n');
});

test('a server ends with the thread that started it, even one that is terminated', async () => {
  const commandLine = JSON.stringify(guarded('sleep', ['1000']));
  const worker = new Worker(
    `const [command, ...args] = ${commandLine};
     const child = require('node:child_process').spawn(command, args, { detached: true });
     child.once('spawn', () => require('node:worker_threads').parentPort.postMessage(child.pid));
     setInterval(() => {}, 1000);`,
    { eval: true },
  );
  const [pid] = await once(worker, 'message');
  await eventually(() => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sleep\n');
  await worker.terminate();
  await eventually(() => !isAlive(pid));
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}
