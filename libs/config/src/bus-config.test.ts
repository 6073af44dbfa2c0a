import { keeper } from '@malabar/contracts';
import { hashPassword, verifyPassword } from '@malabar/core';
import { expect, test } from 'vitest';
import {
  createPasswordHashes,
  documentsToFiles,
  type Environment,
  filesToBusConfig,
  readConfig,
} from './index.js';

/** The way of a file to the services: as files of the domain, and back. */
async function busConfig(
  text: string,
  env: Environment = {},
  hashes = createPasswordHashes(),
): Promise<keeper.BusConfig> {
  return filesToBusConfig(await documentsToFiles(readConfig({ file: 'f', text }), { env, hashes }));
}

const FULL = `
systems: { shop: }
queues:
  paid:
    system: shop
    retention: 7d
    limits: { body: 64KiB, ready: 0 }
    topics:
      ship:
        target:
          fastcgi:
            address: unix:/run/fpm
            script: /srv/x.php
            connections: 6
            connect_timeout: 2s
            idle_timeout: 5s
            requests_per_connection: 100
            ping: true
        chunk: 20
        timeout: 1m
        delay: 10s
        start: beginning
        paused: true
        retry: { attempts: 4, ladder: [1s, 1m], jitter: 0, age: 1d, crashes: 2, replays: 7 }
      mail:
        target: { http: { url: 'http://x/y', headers: { x-key: { secret: env:KEY } } } }
  archive: { topics: { all: { target: pull }, live: { target: grpc } } }
`;

test('a document reaches the contract with all it says', async () => {
  const { release, queues } = await busConfig(FULL, { KEY: 'a key' });
  expect(release).toBe(0);
  expect(queues.map(({ name }) => name)).toEqual(['archive', 'paid']);
  expect(queues[1]).toEqual({
    name: 'paid',
    system: 'shop',
    passwordHash: '',
    retentionMs: 604_800_000,
    bodyBytesMax: 65_536,
    waitingMax: 0,
    topics: [
      expect.objectContaining({
        name: 'mail',
        concurrency: 8,
        target: {
          $case: 'http',
          value: {
            url: 'http://x/y',
            headers: { 'x-key': 'a key' },
            format: keeper.HttpFormat.RAW,
            connectionsMax: 8,
            connectTimeoutMs: 3_000,
            responseBytesMax: 2 ** 20,
            ping: false,
          },
        },
      }),
      {
        name: 'ship',
        passwordHash: '',
        target: {
          $case: 'fastcgi',
          value: {
            address: 'unix:/run/fpm',
            script: '/srv/x.php',
            connectionsMax: 6,
            connectTimeoutMs: 2_000,
            idleTimeoutMs: 5_000,
            requestsPerConnection: 100,
            ping: true,
          },
        },
        concurrency: 6,
        concurrencyEach: false,
        timeoutMs: 60_000,
        delayMs: 10_000,
        start: keeper.TopicStart.BEGINNING,
        paused: true,
        chunk: 20,
        retry: {
          attempts: 4,
          backoff: keeper.Backoff.LADDER,
          minMs: 1_000,
          maxMs: 3_600_000,
          jitter: 0,
          ageMaxMs: 86_400_000,
          crashesMax: 2,
          replaysMax: 7,
          ladderMs: [1_000, 60_000],
        },
      },
    ],
  });
  expect(queues[0]?.topics.map(({ target }) => target?.$case)).toEqual(['pull', 'grpc']);
});

test('what the contract carries survives its own encoding', async () => {
  const config = await busConfig(FULL, { KEY: 'a key' });
  expect(keeper.BusConfig.decode(keeper.BusConfig.encode(config).finish())).toEqual(config);
});

test('passwords of queues and topics become hashes, and hashes stay as they are', async () => {
  const made = await hashPassword('made before');
  const { queues } = await busConfig(
    `queues:
       a: { password: 'pw:a', topics: { t: { target: pull, password: { secret: env:T } } } }
       b: { password: '${made}', topics: { } }
       c: { password: { secret: env:MADE }, topics: { } }`,
    { T: 'pw of t', MADE: made },
  );
  expect(await verifyPassword('pw:a', queues[0]?.passwordHash ?? '')).toBe(true);
  expect(await verifyPassword('pw of t', queues[0]?.topics[0]?.passwordHash ?? '')).toBe(true);
  expect(queues[1]?.passwordHash).toBe(made);
  expect(queues[2]?.passwordHash).toBe(made);
});

test('every secret that cannot be read is named with its line', async () => {
  const text = `queues:
  a:
    password: { secret: file:/nowhere/a }
    topics:
      t: { target: { http: { url: 'http://x', headers: { k: { secret: env:K } } } } }
  b: { password: { secret: env:EMPTY }, topics: { } }`;
  await expect(busConfig(text, { EMPTY: '' })).rejects.toThrow(
    [
      'f:3:5: queues.a.password: the secret of file:/nowhere/a cannot be read: ENOENT',
      'f:5:58: queues.a.topics.t.target.http.headers.k: the variable of env:K is not set',
      'f:6:8: queues.b.password: the secret of env:EMPTY is empty',
    ].join('\n'),
  );
});
