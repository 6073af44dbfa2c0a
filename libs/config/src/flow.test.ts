import type { keeper } from '@malabar/contracts';
import { expect, test } from 'vitest';
import { createPasswordHashes, documentsToFiles, filesToBusConfig, readConfig } from './index.js';

/** What a topic becomes on its way through the keeper's files. */
async function topicOf(settings: string): Promise<keeper.TopicConfig | undefined> {
  const text = `queues: { q: { topics: { t: { target: pull, ${settings} } } } }`;
  const documents = readConfig({ file: 'f', text });
  const files = await documentsToFiles(documents, { env: {}, hashes: createPasswordHashes() });
  return filesToBusConfig(files).queues[0]?.topics[0];
}

test.each([
  ['rate: 200/s', { limit: 200, perMs: 1_000, burst: 20 }],
  ['rate: 30/m', { limit: 30, perMs: 60_000, burst: 1 }],
  ['rate: 1_000/h', { limit: 1_000, perMs: 3_600_000, burst: 1 }],
  ['rate: { limit: 5 }', { limit: 5, perMs: 1_000, burst: 1 }],
  ['rate: { limit: 50, per: 10s, burst: 7 }', { limit: 50, perMs: 10_000, burst: 7 }],
])('%s', async (settings, rate) => {
  expect((await topicOf(settings))?.rate).toEqual(rate);
});

test.each([
  ['key: { }', { concurrency: 1, from: '', strict: false }],
  ['key: job', { concurrency: 1, from: '', strict: false }],
  ['key: $.user_id', { concurrency: 1, from: '$.user_id', strict: false }],
  ['key: header:X-User', { concurrency: 1, from: 'header:X-User', strict: false }],
  [
    'key: { from: $.user.id, concurrency: 3 }',
    { concurrency: 3, from: '$.user.id', strict: false },
  ],
  ['key: { order: strict }', { concurrency: 1, from: '', strict: true }],
])('%s', async (settings, key) => {
  expect((await topicOf(settings))?.key).toEqual(key);
});

test('a topic that says neither has neither', async () => {
  const topic = await topicOf('');
  expect([topic?.rate, topic?.key]).toEqual([undefined, undefined]);
});
