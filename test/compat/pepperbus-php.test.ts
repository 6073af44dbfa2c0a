import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '@malabar/core';
import { createFastcgiPool } from '@malabar/fastcgi';
import { freePort, needs, packages, php, phpFpm, tempDir } from '@malabar/testkit';
import { expect, onTestFinished, test } from 'vitest';

const folder = fileURLToPath(new URL('./php/', import.meta.url));
const withSdk = needs(test, await packages.phpFpm(), await packages.phpMbstring());

/** A php-fpm, and `post` for a form to a script of the folder or by its whole path. */
async function consumer() {
  const fpm = await phpFpm();
  const pool = createFastcgiPool({
    address: fpm.address,
    connectionsMax: 1,
    connectTimeoutMs: 2000,
    idleTimeoutMs: 4000,
    requestsPerConnection: 100,
    clock: systemClock,
  });
  onTestFinished(async () => {
    await pool.close();
    await fpm.stop();
  });
  return async (script: string, form: Record<string, string>) => {
    const stdin = Buffer.from(new URLSearchParams(form).toString());
    const { status, headers, body, stderr } = await pool.request({
      params: {
        SCRIPT_FILENAME: script.startsWith('/') ? script : join(folder, script),
        REQUEST_METHOD: 'POST',
        CONTENT_LENGTH: `${stdin.length}`,
        CONTENT_TYPE: 'application/x-www-form-urlencoded',
      },
      stdin,
      timeoutMs: 10_000,
      stdoutBytesMax: 100_000,
    });
    const header = (name: string) => headers.get(name);
    return { status, header, body: body.toString(), stderr };
  };
}

const bus = { IS_PEPPER_BUS_REQUEST: 'true' };

function delivery(content: object | string, { topic = 'ship', tries = 1 } = {}) {
  const job = {
    id: '13613434702810595328',
    inTraceId: '13613434702810595328-0-12017',
    content: typeof content === 'string' ? content : JSON.stringify(content),
    retrying: 0,
    RetryTimes: tries,
    RetryTime: 1_900_000_000,
    IsRetry: true,
    BeginRetry: false,
    RetryResidueTime: 60,
  };
  const jobs = JSON.stringify([job]);
  return { ...bus, jobs, outTraceId: '1-0-12017', queue: 'shop', topic, type: 'data' };
}

withSdk('the consumer answers as the contract of the SDK says', async () => {
  const post = await consumer();
  const ask = async (form: Record<string, string>) => {
    const { header, body } = await post('pepperbus-sdk/consume.php', form);
    return [header('code'), header('error-code'), header('body-length'), body];
  };
  expect(await ask({ ...bus, type: 'ping' })).toEqual(['200', '0', '18', 'shop/ship,shop/sms']);
  expect(await ask(delivery('no JSON'))).toEqual(['200', '0', '1', '0']);
  expect(await ask(delivery({ do: 'false' }))).toEqual(['200', '0', '0', '']);
  const refused = { do: 'throw', message: 'nö' };
  expect(await ask(delivery(refused))).toEqual(['500', '42', '2', 'nö']);
  const unknown = 'The className or method empty. Queue: shop/none';
  expect(await ask(delivery({}, { topic: 'none' }))).toEqual(['404', '404', '47', unknown]);
  const stranger = 'cgi process not subscribe to this queue';
  expect(await ask({ type: 'ping' })).toEqual(['404', '404', '39', stranger]);
  const nameless = { ...delivery({}), queue: '' };
  expect(await ask(nameless)).toEqual(['500', '500', '14', 'Queue is empty']);
});

withSdk('the consumer dies as PHP does: no Code, or the one that was sent before', async () => {
  const post = await consumer();
  const ask = (content: object) => post('pepperbus-sdk/consume.php', delivery(content));
  const error = await ask({ do: 'error' });
  expect([error.status, error.header('code')]).toEqual([500, undefined]);
  expect(error.stderr).toContain('PHP Fatal error:  Uncaught Error');
  const late = await ask({ do: 'fatal-after-code' });
  expect([late.status, late.header('code')]).toEqual([500, '200']);
  const memory = await ask({ do: 'memory' });
  expect([memory.status, memory.header('code')]).toEqual([500, undefined]);
  expect(memory.stderr).toContain('Allowed memory size');
  const silent = await ask({ do: 'exit' });
  expect([silent.status, silent.header('code')]).toEqual([200, undefined]);
  const loud = await ask({ do: 'warn' });
  expect([loud.header('code'), loud.body]).toEqual(['200', '0']);
  expect(loud.stderr).toContain('a line for the log');
  await expect(ask({ do: 'kill' })).rejects.toMatchObject({ kind: 'crashed' });
});

withSdk('jobs are recorded with id, try and path, and may succeed at a later try', async () => {
  const post = await consumer();
  const record = join(tempDir(), 'record');
  const content = { do: 'fail-until', times: 3, record, n: 7 };
  const codes: unknown[] = [];
  for (const tries of [1, 2, 3]) {
    const { header } = await post('pepperbus-sdk/consume.php', delivery(content, { tries }));
    codes.push(header('code'));
  }
  expect(codes).toEqual(['500', '500', '200']);
  const lines = readFileSync(record, 'utf8').trim().split('\n');
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { id: '13613434702810595328', try: 1, path: 'shop/ship', n: 7 },
    { try: 2 },
    { try: 3 },
  ]);
});

withSdk('an entry script of a test serves the topics that it names', async () => {
  const post = await consumer();
  const entry = join(tempDir(), 'entry.php');
  const consume = JSON.stringify(join(folder, 'pepperbus-sdk/consume.php'));
  writeFileSync(entry, `<?php $topics = ['a/b', 'c/d']; require ${consume};`);
  expect((await post(entry, { ...bus, type: 'ping' })).body).toBe('a/b,c/d');
});

withSdk('the plain consumer answers with the outcome that the job names', async () => {
  const post = await consumer();
  const ask = async (content: object) => {
    const { header, body } = await post('plain.php', delivery(content));
    return [header('malabar-outcome'), header('retry-after'), header('error-code'), body];
  };
  expect(await ask({})).toEqual(['done', undefined, undefined, '']);
  const later = { outcome: 'retry', after: 5, say: 'later' };
  expect(await ask(later)).toEqual(['retry', '5', undefined, 'later']);
  expect(await ask({ outcome: 'dead' })).toEqual(['dead', undefined, undefined, '']);
  expect(await ask({ outcome: 'nothing' })).toEqual([undefined, undefined, undefined, '']);
  const no = 'the handler says no';
  expect(await ask({ do: 'throw' })).toEqual(['retry', undefined, '42', no]);
});

const withPhpRedis = needs(test, await packages.phpRedis());

withPhpRedis(
  'the producer authenticates, pushes raw bytes and returns the bulk reply',
  async () => {
    const answer = '{"jobs":["1"],"inTraceId":"1-0-12017","error":""}';
    let heard = '';
    const port = await freePort();
    const gateway = createServer((socket) => {
      socket.on('data', (chunk) => {
        const text = chunk.toString();
        heard += text;
        socket.write(/AUTH/i.test(text) ? '+OK\r\n' : `$${answer.length}\r\n${answer}\r\n`);
      });
    });
    await new Promise<void>((resolve) => gateway.listen(port, '127.0.0.1', resolve));
    onTestFinished(() => void gateway.close());
    const script = join(folder, 'pepperbus-sdk/produce.php');
    const result = await php([script, '127.0.0.1', `${port}`, 'shop', 'secret', 'a', 'b']);
    expect(result).toEqual({ code: 0, stdout: `${answer}\n${answer}\n`, stderr: '' });
    expect(heard).toContain('$4\r\nAUTH\r\n$11\r\nshop:secret\r\n');
    expect(heard).toContain('$5\r\nlpush\r\n$12\r\nshop/default\r\n$1\r\nb\r\n');
  },
);
