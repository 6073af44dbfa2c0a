import { config } from '@malabar/contracts';
import { hashPassword, verifyPassword } from '@malabar/core';
import { expect, test } from 'vitest';
import { createPasswordHashes, filesToBusConfig, withHashes } from './index.js';

const DOCUMENT = JSON.stringify({
  password: { secret: 'keeper:any name' },
  topics: {
    ship: {
      password: { secret: 'keeper:ship' },
      target: { http: { url: 'http://x', headers: { password: { secret: 'keeper:header' } } } },
    },
  },
});

const queues = (document: string, secrets: Record<string, string>): config.ConfigFile =>
  config.ConfigFile.fromPartial({
    path: '/queues.conf',
    sections: [
      {
        name: 'paid',
        entries: [
          { key: 'document', type: 'json', raw: document },
          ...Object.entries(secrets).map(([key, raw]) => ({ key, type: 'secret', raw })),
        ],
      },
    ],
  });

test('a password that somebody sets becomes its hash, and nothing else does', async () => {
  const plain = queues(DOCUMENT, { 'any name': 'pw of q', ship: 'pw of t', header: 'shown' });
  const [queue] = filesToBusConfig(await withHashes([plain], createPasswordHashes())).queues;
  expect(await verifyPassword('pw of q', queue?.passwordHash ?? '')).toBe(true);
  expect(await verifyPassword('pw of t', queue?.topics[0]?.passwordHash ?? '')).toBe(true);
  expect(queue?.topics[0]?.target).toMatchObject({ value: { headers: { password: 'shown' } } });
});

test('the hash of before stays as long as the password does', async () => {
  const hash = await hashPassword('same');
  const hashes = createPasswordHashes(() => hash);
  const [file] = await withHashes([queues(DOCUMENT, { 'any name': 'same' })], hashes);
  expect(file?.sections[0]?.entries[1]?.raw).toBe(hash);
});

test('files without a password to hash are the same objects', async () => {
  const hash = await hashPassword('x');
  const files = [
    queues(DOCUMENT, { 'any name': hash, header: 'shown' }),
    queues('{"password": {"secret": "keeper:x"', { x: 'no JSON, no reference' }),
    config.ConfigFile.fromPartial({ path: '/systems.conf' }),
  ];
  const formed = await withHashes(files, createPasswordHashes());
  for (const [at, file] of files.entries()) expect(formed[at]).toBe(file);
});
