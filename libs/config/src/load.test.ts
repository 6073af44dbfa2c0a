import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { ConfigError, type ConfigSources, loadConfig } from './index.js';

const dir = mkdtempSync(join(tmpdir(), 'malabar-config-'));
afterAll(() => rmSync(dir, { recursive: true }));

const EXAMPLES = fileURLToPath(new URL('../../../deploy/examples/', import.meta.url));

const SHOP = `
systems:
  shop: { owner: shop-team }
queues:
  order_paid:
    system: shop
    password: { secret: file:/run/secrets/order_paid }
    retention: 7d
    limits: { body: 1MiB, ready: 5_000_000 }
    topics:
      ship:
        target: fastcgi://unix:/run/php/php-fpm.sock/srv/shop/consume.php
        concurrency: 8
        timeout: 30s
        retry: { attempts: 10, backoff: exponential, min: 1s, max: 1h, jitter: 0.2 }
      sms: { target: https://sms.internal/jobs, delay: 10s }
      points: { target: grpc }
`;

/** The faults of a configuration, one line each. */
function faults(sources: ConfigSources): string[] {
  try {
    loadConfig(sources);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message.split('\n');
  }
  return [];
}

const load = (text: string, sources: ConfigSources = {}) =>
  loadConfig({ file: 'malabar.yaml', text, ...sources });

test('without any source every setting has a default on loopback', () => {
  const config = loadConfig({});
  expect(config.node).toMatch(/-\d+$/);
  expect({ ...config, node: '' }).toMatchObject({
    data: './data',
    log: { level: 'info', pretty: false },
    grpc: { insecure: false },
    addresses: { keeper: ['127.0.0.1:7401'] },
    ingest: {
      redis: { listen: '127.0.0.1:6380', enabled: true },
      pepperbus: { listen: '127.0.0.1:12017', enabled: true },
      http: { listen: '127.0.0.1:7480', enabled: true },
      connectionsMax: 20_000,
      connectionBytesMax: 4 * 2 ** 20,
      totalBytesMax: 256 * 2 ** 20,
    },
    storage: { path: join('data', 'store'), cacheBytes: 32 * 2 ** 20, settleDelayMs: 5 },
    dispatcher: { prefetch: 1, drainMs: 30_000 },
    documents: { systems: {}, queues: {} },
  });
  expect(config.ops.listen).toBeUndefined();
});

test('the example of the design is understood', () => {
  const { systems, queues } = load(SHOP).documents;
  expect(systems).toEqual({ shop: { owner: 'shop-team' } });
  const topics = queues.order_paid?.topics ?? {};
  expect(queues.order_paid).toMatchObject({
    system: 'shop',
    retentionMs: 604_800_000,
    limits: { body: 2 ** 20, ready: 5_000_000 },
  });
  expect(topics.ship).toMatchObject({
    target: {
      kind: 'fastcgi',
      fastcgi: {
        address: 'unix:/run/php/php-fpm.sock',
        script: '/srv/shop/consume.php',
        connections: 8,
        ping: false,
      },
    },
    concurrency: 8,
    timeoutMs: 30_000,
    retry: { attempts: 10, backoff: 'exponential', minMs: 1_000, maxMs: 3_600_000, crashes: 3 },
  });
  expect(topics.sms).toMatchObject({
    target: { kind: 'http', http: { url: 'https://sms.internal/jobs', format: 'raw' } },
    concurrency: 8,
    delayMs: 10_000,
  });
  expect(topics.points).toMatchObject({ target: { kind: 'grpc' }, concurrency: 256, chunk: 1 });
});

test('the environment wins over the file, and flags win over the environment', () => {
  const text = 'ingest: { redis: { listen: 127.0.0.1:1 } }\nstorage: { bytes_max: 1MiB }';
  const env = { MALABAR_INGEST_REDIS_LISTEN: '127.0.0.1:2', MALABAR_STORAGE_BYTES_MAX: '2GiB' };
  const flags = { 'ingest.redis.listen': '[::1]:0' };
  expect(load(text).ingest.redis.listen).toBe('127.0.0.1:1');
  expect(load(text, { env }).ingest.redis.listen).toBe('127.0.0.1:2');
  expect(load(text, { env, flags }).ingest.redis.listen).toBe('[::1]:0');
  expect(load(text, { env, flags }).storage.bytesMax).toBe(2 * 2 ** 30);
});

test('text from outside of the file becomes what the setting needs', () => {
  const env = {
    MALABAR_LOG_PRETTY: 'true',
    MALABAR_INGEST_CONNECTIONS_MAX: '1_000',
    MALABAR_ADDRESSES_STORAGE: 'a:1, b:2',
    MALABAR_GRPC_TOKEN: '{ secret: env:TOKEN }',
    MALABAR_OPS_LISTEN: '',
    MALABAR_ADDRESS: 'for the command',
    TOKEN: 'hidden',
  };
  const flags = { 'addresses.ingest': '[c:3]', 'dispatcher.drain': '5s' };
  const config = loadConfig({ env, flags });
  expect(config.log.pretty).toBe(true);
  expect(config.ingest.connectionsMax).toBe(1_000);
  expect(config.addresses).toMatchObject({ storage: ['a:1', 'b:2'], ingest: ['c:3'] });
  expect(config.grpc.token).toBe('hidden');
  expect(config.ops.listen).toBeUndefined();
  expect(config.dispatcher.drainMs).toBe(5_000);
});

test('faults from outside of the file name the variable or the flag', () => {
  const env = { MALABAR_STORAGE_BYTES_MAX: '12x', MALABAR_LOG_LEVL: 'debug', MALABAR_X: '1' };
  const flags = { 'ingest.http.listen': 'here', 'ingest.htp.listen': 'a:1' };
  expect(faults({ env, flags })).toEqual([
    "environment: MALABAR_LOG_LEVL: unknown variable; did you mean 'MALABAR_LOG_LEVEL'?",
    'environment: MALABAR_X: unknown variable',
    "--set: ingest.htp.listen: unknown setting; did you mean 'ingest.http.listen'?",
    "--set: ingest.http.listen: 'here' is not host:port, e.g. 127.0.0.1:6380 or [::1]:6380",
    "environment: MALABAR_STORAGE_BYTES_MAX: '12x' is not a size, e.g. 512, 64KiB or 1MiB",
  ]);
});

test('documents come from the file only', () => {
  expect(faults({ flags: { 'queues.a.retention': '1d' } })).toEqual([
    '--set: queues.a.retention: unknown setting',
  ]);
});

test('a file that is not there is a fault like any other', () => {
  const file = join(dir, 'nothing.yaml');
  expect(faults({ file })).toEqual([`${file}: cannot be read: there is no such file`]);
});

test('all faults of a file are reported at once, in its order, each as an object', () => {
  const text = `${SHOP.replace('timeout: 30s', 'timeout: 30').replace('1MiB', '1MB')}\nx: 1\n`;
  const error = (() => {
    try {
      return load(text);
    } catch (thrown) {
      return thrown;
    }
  })() as ConfigError;
  expect(error.faults).toEqual([
    {
      file: 'malabar.yaml',
      line: 9,
      column: 15,
      key: 'queues.order_paid.limits.body',
      message:
        "'1MB' is not a size, e.g. 512, 64KiB or 1MiB; units are KiB, MiB, GiB, TiB, without a space",
    },
    {
      file: 'malabar.yaml',
      line: 14,
      column: 9,
      key: 'queues.order_paid.topics.ship.timeout',
      message: "'30' has no unit; write '30s' or '30ms'",
    },
    { file: 'malabar.yaml', line: 19, column: 1, key: 'x', message: 'unknown key' },
  ]);
});

test('secrets of settings are read when the configuration is', () => {
  const file = join(dir, 'token');
  writeFileSync(file, 'from a file\n');
  expect(load(`grpc: { token: { secret: 'file:${file}' } }`).grpc.token).toBe('from a file');
  expect(load('grpc: { token: inline }').grpc.token).toBe('inline');
  expect(faults({ file: 'm', text: 'grpc: { token: { secret: env:NONE } }' })).toEqual([
    'm:1:9: grpc.token: the variable of env:NONE is not set',
  ]);
});

test('a secret shows itself nowhere', () => {
  const { documents } = load('queues: { a: { password: hush hush, topics: {} } }');
  const { password } = documents.queues.a ?? {};
  expect(password?.reveal()).toBe('hush hush');
  expect(
    `${password} ${JSON.stringify(documents)} ${inspect(documents, { depth: 9 })}`,
  ).not.toMatch(/hush/);
});

const SECRETS = [
  'queues: { a: { password: *hush, topics: {} } }',
  'queues: { a: { password: !hush x, topics: {} } }',
  'queues: { a: { password: scrypt$hush, topics: {} } }',
  'queues: { a: { password: [hush], topics: {} } }',
  'queues: { a: { password: { secret: hush }, topics: {} } }',
  'queues: { a: { topics: { t: { target: "http://u:hush@h/" } } } }',
];

test.each(SECRETS)('no message shows a secret: %s', (text) => {
  const lines = faults({ file: 'm', text });
  expect(lines).not.toEqual([]);
  expect(lines.join('\n')).not.toContain('hush');
});

test('every example file is valid', () => {
  const token = join(dir, 'token');
  writeFileSync(token, 'a token');
  const files = readdirSync(EXAMPLES, { recursive: true, encoding: 'utf8' });
  // That of `malabar agent` has a form of its own.
  const examples = files.filter((name) => name.endsWith('.yaml') && name !== 'agent.yaml');
  expect(examples.length).toBeGreaterThanOrEqual(7);
  for (const file of examples) {
    const text = readFileSync(join(EXAMPLES, file), 'utf8');
    expect(faults({ file, text: text.replaceAll('/run/secrets/malabar_token', token) })).toEqual(
      [],
    );
  }
});
