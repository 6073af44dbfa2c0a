import { expect, test } from 'vitest';
import { changedSettings, loadConfig, maskConfig, printConfig } from './index.js';

const TEXT = `
node: n
grpc: { token: hush, tls: { cert: c, key: k } }
storage: { bytes_max: 3GiB, settle_delay: 1500ms }
systems: { topics: { owner: them } }
queues:
  someMs:
    retention: 36h
    topics:
      t:
        target: { http: { url: 'http://x', headers: { x-a-Ms: hush } } }
        retry: { ladder: [90s] }
      u: { target: pull, password: hush }
`;

const load = (text: string) => loadConfig({ file: 'f', text });

test('what is in force is shown as one would write it, without secrets', () => {
  const shown = printConfig(load(TEXT));
  expect(shown).not.toContain('hush');
  expect(maskConfig(load(TEXT))).toMatchObject({
    grpc: { token: '[secret]' },
    storage: { bytes_max: '3GiB', settle_delay: '1500ms', cache_bytes: '32MiB' },
    systems: { topics: { owner: 'them' } },
    queues: {
      someMs: {
        retention: '36h',
        limits: { body: '1MiB', ready: 5_000_000 },
        topics: {
          t: {
            target: { http: { url: 'http://x', headers: { 'x-a-Ms': '[secret]' } } },
            retry: { backoff: 'ladder', ladder: ['90s'], age: '0ms' },
          },
          u: { target: 'pull', password: '[secret]' },
        },
      },
    },
  });
});

test('what is shown means the same when it is read again', () => {
  const config = load(TEXT);
  expect(maskConfig(load(printConfig(config)))).toEqual(maskConfig(config));
});

test('changed settings are named as the file spells them; documents are none', () => {
  const other = TEXT.replace('3GiB', '4GiB').replace('token: hush,', 'insecure: true,');
  expect(changedSettings(load(TEXT), load(other.replace('36h', '1d')))).toEqual([
    'grpc.insecure',
    'grpc.token',
    'storage.bytes_max',
  ]);
  expect(changedSettings(load(TEXT), load(TEXT))).toEqual([]);
});
