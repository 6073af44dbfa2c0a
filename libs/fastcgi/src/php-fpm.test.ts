import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '@malabar/core';
import { eventually, needs, type PhpFpm, type PhpFpmOptions, packages } from '@malabar/testkit';
import { expect, onTestFinished, test } from 'vitest';
import type { FastcgiError } from './error.js';
import { asking, asleep, fastcgiSuite, phpWith, scripts } from './fastcgi.suite.js';
import { createFastcgiPool, type FastcgiPoolOptions } from './pool.js';

const withFpm = needs(test, await packages.phpFpm());

function client(address: string, options: Partial<FastcgiPoolOptions> = {}) {
  const pool = createFastcgiPool({
    address,
    connectionsMax: 2,
    connectTimeoutMs: 2000,
    idleTimeoutMs: 4000,
    requestsPerConnection: 1000,
    clock: systemClock,
    ...options,
  });
  onTestFinished(() => pool.close());
  return pool;
}

await fastcgiSuite('libs/fastcgi', ({ address, connectionsMax }) => {
  const pool = client(address, { connectionsMax, waitTimeoutMs: 10_000 });
  return {
    request: (request) => pool.request({ ...request, stdoutBytesMax: 16 * 1024 * 1024 }),
    close: () => pool.close(),
  };
});

const more = {
  ...scripts,
  'count.php':
    '<?php file_put_contents(__DIR__ . "/ran", $_POST["n"] . "\\n", FILE_APPEND); echo 1;',
  'memory.php': '<?php header("Code: 200"); $a = str_repeat("x", 64 << 20); echo "never";',
  'flood.php': '<?php for ($i = 0; $i < 1000; $i++) echo str_repeat("y", 100000);',
  'noisy.php': '<?php for ($i = 0; $i < 300; $i++) error_log(str_repeat("e", 900)); echo "ok";',
  'suicide.php':
    '<?php file_put_contents(__DIR__ . "/ran", "x", FILE_APPEND); posix_kill(getmypid(), 9); sleep(9);',
};

/** php-fpm, a pool, and `ask` for one of its scripts. */
async function setup(fpmOptions?: PhpFpmOptions, options?: Partial<FastcgiPoolOptions>) {
  const fpm = await phpWith(more, fpmOptions);
  const pool = client(fpm.address, options);
  const ask = asking(fpm, (request) => pool.request({ ...request, stdoutBytesMax: 1_000_000 }));
  const sleeping = (ms: number, timeoutMs = 10_000) =>
    ask('sleep.php', { params: { QUERY_STRING: `ms=${ms}` }, timeoutMs });
  return { fpm, pool, ask, sleeping };
}

function failure(request: Promise<unknown>): Promise<FastcgiError> {
  return request.then(
    () => expect.unreachable('the request succeeded'),
    (error) => error,
  );
}

/** Until php-fpm's own status page says that so many children work, the asking one too. */
async function working(fpm: PhpFpm, count: number): Promise<void> {
  const status = client(fpm.address);
  await eventually(async () => {
    const params = { SCRIPT_FILENAME: '/status', SCRIPT_NAME: '/status', REQUEST_METHOD: 'GET' };
    const request = { params, stdin: Buffer.alloc(0), timeoutMs: 5000, stdoutBytesMax: 10_000 };
    const { body } = await status.request(request);
    expect(body.toString()).toMatch(new RegExp(`^active processes: +${count}$`, 'm'));
  });
  await status.close();
}

withFpm(
  'more connections than children: the one in the backlog times out, the rest goes on',
  async () => {
    const { ask, sleeping } = await setup({ children: 1 });
    const first = sleeping(1500);
    const second = await failure(ask('pid.php', { timeoutMs: 200 }));
    expect(second.kind).toBe('timeout');
    expect((await first).body.toString()).toBe('woken');
    expect((await ask('pid.php')).headers.get('code')).toBe('200');
  },
);

withFpm(
  'as many connections as children: nobody hangs, who waits too long is not delivered',
  async () => {
    const { ask, sleeping } = await setup(
      { children: 1 },
      { connectionsMax: 1, waitTimeoutMs: 200 },
    );
    const first = sleeping(800);
    const second = await failure(ask('pid.php'));
    expect(second.kind).toBe('not-delivered');
    expect((await first).body.toString()).toBe('woken');
  },
);

withFpm('a reload in the middle of a request is crashed; the next request is served', async () => {
  const { fpm, pool, ask, sleeping } = await setup({ children: 2 });
  await Promise.all([ask('pid.php'), ask('pid.php')]);
  const cut = failure(sleeping(5000));
  await asleep(fpm);
  await fpm.reload();
  const error = await cut;
  expect(error.kind).toBe('crashed');
  expect(error.message).toContain('on a connection used before');
  await eventually(() => expect(pool.stats().open).toBe(0));
  expect((await ask('pid.php')).headers.get('code')).toBe('200');
});

withFpm('php-fpm that is gone is not delivered, and served again when it is back', async () => {
  const { fpm, pool, ask } = await setup();
  await ask('pid.php');
  await fpm.stop();
  await eventually(() => expect(pool.stats().open).toBe(0));
  expect((await failure(ask('pid.php'))).kind).toBe('not-delivered');
});

withFpm(
  'a child that is killed is crashed, and php-fpm gives the next request another one',
  async () => {
    const { fpm, ask, sleeping } = await setup({ children: 1 });
    const before = (await ask('pid.php')).body.toString();
    const cut = failure(sleeping(5000));
    await asleep(fpm);
    process.kill(Number(before), 'SIGKILL');
    expect((await cut).kind).toBe('crashed');
    const after = (await ask('pid.php')).body.toString();
    expect(after).not.toBe(before);
    expect(fpm.children().map(String)).toEqual([after]);
  },
);

withFpm('request_terminate_timeout of php-fpm is crashed', async () => {
  const { sleeping } = await setup({ requestTerminateTimeout: 1 });
  expect((await failure(sleeping(8000))).kind).toBe('crashed');
});

withFpm(
  'a child that was killed while idle and unseen costs nothing: the request is resent',
  async () => {
    const { fpm, ask } = await setup({ children: 1 });
    const before = (await ask('pid.php')).body.toString();
    // Synchronous, so that this process cannot see the connection end before it writes on it.
    spawnSync('sh', ['-c', `kill -9 ${before}; while kill -0 ${before}; do sleep 0.01; done`]);
    const after = (await ask('pid.php')).body.toString();
    expect(after).not.toBe(before);
    expect(fpm.log()).toContain(`child ${before} exited on signal 9`);
  },
);

/** Two hundred requests through a child that ends every five; what came of each, and what ran. */
async function acrossMaxRequests(listen: 'unix' | 'tcp', direct?: boolean) {
  const options = { connectionsMax: 1, direct };
  const { fpm, ask } = await setup({ children: 1, maxRequests: 5, listen }, options);
  const failed: { n: string; error: FastcgiError }[] = [];
  for (let n = 0; n < 200; n++) {
    const request = ask('count.php', { stdin: Buffer.from(`n=${n}`) });
    await request.catch((error) => failed.push({ n: `${n}`, error }));
  }
  const ran = readFileSync(join(fpm.dir, 'ran'), 'utf8').trim().split('\n');
  return { failed, ran };
}

for (const [listen, direct] of [
  ['unix', undefined],
  ['tcp', true],
] as const) {
  withFpm(
    `pm.max_requests costs nothing on direct ${listen}: every request runs, once`,
    async () => {
      const { failed, ran } = await acrossMaxRequests(listen, direct);
      expect(failed).toEqual([]);
      expect(ran).toEqual(Array.from({ length: 200 }, (_, n) => `${n}`));
    },
  );
}

withFpm('pm.max_requests over TCP may end as crashed, never silently and never twice', async () => {
  const { failed, ran } = await acrossMaxRequests('tcp');
  expect(new Set(ran).size).toBe(ran.length);
  expect(ran.length + failed.length).toBe(200);
  for (const { n, error } of failed) {
    expect(error).toMatchObject({ kind: 'crashed' });
    expect(ran).not.toContain(n);
  }
});

for (const listen of ['unix', 'tcp'] as const) {
  withFpm(`a script that kills its child is crashed and not run again, on ${listen}`, async () => {
    const { fpm, ask } = await setup({ children: 1, listen }, { connectionsMax: 1, direct: true });
    for (let n = 0; n < 20; n++) {
      await ask('pid.php');
      const error = await failure(ask('suicide.php', { stdin: Buffer.from(`n=${n}`) }));
      expect(error.kind).toBe('crashed');
      expect(error.message).toContain('ECONNRESET');
    }
    expect(readFileSync(join(fpm.dir, 'ran'), 'utf8')).toBe('x'.repeat(20));
  });
}

withFpm(
  'requestsPerConnection that divides pm.max_requests never meets a closed connection',
  async () => {
    const options = { connectionsMax: 1, requestsPerConnection: 5 };
    const { ask } = await setup({ children: 1, maxRequests: 10 }, options);
    for (let n = 0; n < 100; n++) {
      expect((await ask('count.php', { stdin: Buffer.from(`n=${n}`) })).status).toBe(200);
    }
  },
);

withFpm('out of memory keeps the headers sent before and says so as error text', async () => {
  const { ask } = await setup({ phpIni: { memory_limit: '16M' } });
  const { status, headers, stderr } = await ask('memory.php');
  expect([status, headers.get('code')]).toEqual([500, '200']);
  expect(stderr).toContain('Allowed memory size of 16777216 bytes exhausted');
});

withFpm('an endless answer is cut at the limit', async () => {
  const { pool, ask } = await setup();
  expect((await failure(ask('flood.php'))).kind).toBe('too-large');
  expect(pool.stats().open).toBe(0);
  expect((await ask('pid.php')).status).toBe(200);
});

withFpm('error text is cut at 64 KiB, the answer is not', async () => {
  const { ask } = await setup();
  const { body, stderr } = await ask('noisy.php');
  expect([body.toString(), stderr.length]).toEqual(['ok', 64 * 1024]);
});

withFpm('an idle connection holds its child, and gives it back after idleTimeoutMs', async () => {
  const { fpm, pool, ask } = await setup({ children: 2 }, { idleTimeoutMs: 300 });
  await ask('pid.php');
  expect(pool.stats().idle).toBe(1);
  await eventually(() => expect(pool.stats().open).toBe(0));
  await working(fpm, 1);
});

for (const listen of ['unix', 'tcp'] as const) {
  withFpm(`a full backlog on ${listen} is not delivered`, async () => {
    const options = { connectionsMax: 64, connectTimeoutMs: 500, waitTimeoutMs: 5000 };
    const { fpm, ask } = await setup({ children: 1, listen, backlog: 1 }, options);
    const [child] = fpm.children();
    process.kill(child as number, 'SIGSTOP');
    onTestFinished(() => void process.kill(child as number, 'SIGCONT'));
    const requests = Array.from({ length: 20 }, () => failure(ask('pid.php', { timeoutMs: 1500 })));
    const kinds = (await Promise.all(requests)).map(({ kind }) => kind);
    expect(new Set(kinds)).toEqual(new Set(['timeout', 'not-delivered']));
    expect(kinds.filter((kind) => kind === 'timeout').length).toBeLessThan(5);
  });
}
