import { hashPassword, isPasswordHash } from '@malabar/core';
import { seededRandom } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { queueConfig } from './bus-config.js';
import { createPasswordHashes, documentsToFiles, filesToBusConfig, readConfig } from './index.js';
import { randomDocuments } from './random-documents.suite.js';

function compiled(text: string, env: Record<string, string> = {}) {
  const hashes = createPasswordHashes();
  return documentsToFiles(readConfig({ file: 'f', text }), { env, hashes });
}

const KEYS = `
systems: { shop: { owner: shop-team }, empty: }
queues:
  paid:
    password: { secret: env:PAID }
    topics:
      ship:
        target: { http: { url: 'http://x/y', headers: { authorization: Bearer abc } } }
        password: pw
      target: { target: pull, password: pw }
`;

test('a queue is a section: its document as it was written, and a key for each secret', async () => {
  const [systems, queues] = await compiled(KEYS, { PAID: 'tell nobody' });
  expect(systems).toEqual({
    path: '/systems.conf',
    parent: '',
    schema: '',
    sections: [
      { name: 'empty', entries: [text('description', ''), text('owner', '')] },
      { name: 'shop', entries: [text('description', ''), text('owner', 'shop-team')] },
    ],
  });
  const entries = queues?.sections[0]?.entries ?? [];
  expect(entries.map(({ key, type }) => [key, type])).toEqual([
    ['document', 'json'],
    ['password', 'secret'],
    ['ship:headers:authorization', 'secret'],
    ['ship:password', 'secret'],
    ['target:password', 'secret'],
  ]);
  expect(JSON.parse(entries[0]?.raw ?? '')).toEqual({
    password: { secret: 'keeper:password' },
    topics: {
      ship: {
        target: {
          http: {
            url: 'http://x/y',
            headers: { authorization: { secret: 'keeper:ship:headers:authorization' } },
          },
        },
        password: { secret: 'keeper:ship:password' },
      },
      target: { target: 'pull', password: { secret: 'keeper:target:password' } },
    },
  });
  expect(entries[2]?.raw).toBe('Bearer abc');
  expect(isPasswordHash(entries[1]?.raw ?? '')).toBe(true);
});

const text = (key: string, raw: string) => ({ key, type: 'string', raw });

test('only the documents that a file has become files', async () => {
  const paths = async (text: string) => (await compiled(text)).map(({ path }) => path);
  expect(await paths('log: { level: debug }')).toEqual([]);
  expect(await paths('queues: {}')).toEqual(['/queues.conf']);
  expect(await paths('systems:')).toEqual(['/systems.conf']);
});

test('a file that was only rearranged or spelled otherwise is the same', async () => {
  const one = await compiled(`queues:
    b: { topics: {} }
    a: { retention: 7d, topics: { t: { timeout: 3s, target: pull } } }`);
  const other = await compiled(`queues:
    # A comment.
    a:
      topics: { t: { target: pull, timeout: '3s' } }
      retention: 7d
    "b": { topics: {} }`);
  expect(other).toEqual(one);
});

test('a secret under a long name has a key that a file may have', async () => {
  const [topic, header] = ['t'.repeat(120), 'h'.repeat(120)];
  const target = { http: { url: 'http://x', headers: { [header]: 'value' } } };
  const files = await compiled(stringify({ queues: { q: { topics: { [topic]: { target } } } } }));
  const keys = files[0]?.sections[0]?.entries.map(({ key }) => key) ?? [];
  expect(keys[0]).toMatch(/^[0-9a-f]{64}$/);
  expect(filesToBusConfig(files).queues[0]?.topics[0]?.target).toMatchObject({
    value: { headers: { [header]: 'value' } },
  });
});

test('whatever documents say reaches the services', async () => {
  const random = seededRandom(7);
  const hashes = await Promise.all(['a', 'b', 'c'].map((password) => hashPassword(password)));
  for (let round = 0; round < 100; round++) {
    const documents = randomDocuments(random, hashes);
    const loaded = readConfig({ file: 'f', text: stringify(documents) });
    const files = await documentsToFiles(loaded, { env: {}, hashes: createPasswordHashes() });
    const queues = Object.entries(loaded.config.documents.queues)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, queue]) => queueConfig(name, queue));
    expect(filesToBusConfig(files)).toEqual({ release: 0, queues, schedules: [], sources: [] });
  }
});
