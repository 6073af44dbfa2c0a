import { config } from '@malabar/contracts';
import { hashPassword } from '@malabar/core';
import { expect, test } from 'vitest';
import { BusFilesReader, filesToBusConfig } from './index.js';

type Keys = Record<string, string | [type: string, raw: string]>;

function file(path: string, sections: Record<string, Keys>): config.ConfigFile {
  return config.ConfigFile.fromPartial({
    path,
    sections: Object.entries(sections).map(([name, keys]) => ({
      name,
      entries: Object.entries(keys).map(([key, value]) =>
        typeof value === 'string'
          ? { key, type: 'json', raw: value }
          : { key, type: value[0], raw: value[1] },
      ),
    })),
  });
}

const queues = (sections: Record<string, Keys>): config.ConfigFile =>
  file('/queues.conf', sections);
const lines = (...files: config.ConfigFile[]): string[] =>
  new BusFilesReader()
    .faults(files)
    .map(({ file, section, key, message }) =>
      [file, section, key, message].filter((part) => part !== '').join(' | '),
    );

const PULL = '{"topics": {"inbox": {"target": "pull"}}}';

test('a queue that somebody wrote by hand is a queue with every default', () => {
  const { queues: found } = filesToBusConfig([queues({ paid: { document: ['string', PULL] } })]);
  expect(found).toMatchObject([
    { name: 'paid', bodyBytesMax: 2 ** 20, topics: [{ name: 'inbox', concurrency: 10_000 }] },
  ]);
});

const BAD: Array<[what: string, keys: Keys, ...faults: string[]]> = [
  ['no JSON', { document: '{"topics": {}' }, 'document | is not JSON'],
  ['a list', { document: '[]' }, 'document | a list is not a mapping of keys'],
  [
    'no topics',
    { document: '{}' },
    'document | topics: is required; { } for a queue that only keeps its jobs',
  ],
  [
    'several faults',
    { document: '{"topics": {"t": {"target": "pul", "timeout": 30}}, "retension": "7d"}' },
    "document | topics.t.target: 'pul' is not a target: fastcgi://..., http://..., https://..., grpc or pull",
    "document | topics.t.timeout: '30' has no unit; write '30s' or '30ms'",
    "document | retension: unknown key; did you mean 'retention'?",
  ],
  [
    'an unknown system',
    { document: '{"topics": {}, "system": "shpo"}' },
    "document | system: 'shpo' is not one of systems; did you mean 'shop'?",
  ],
  [
    'a mistyped key',
    { docment: PULL },
    "docment | is neither document nor of type secret; did you mean 'document'?",
  ],
  [
    'a password in the document',
    { document: '{"topics": {}, "password": "tell nobody"}' },
    'document | password: does not belong into a document: set a key of type secret and write {"secret": "keeper:<key>"}',
  ],
  [
    'a secret of another machine',
    { document: '{"topics": {}, "password": {"secret": "file:/run/secrets/paid"}}' },
    'document | password: does not belong into a document: set a key of type secret and write {"secret": "keeper:<key>"}',
  ],
  [
    'a secret that is not there',
    { document: '{"topics": {}, "password": {"secret": "keeper:password"}}' },
    'document | password: there is no key password of type secret in this section',
  ],
  [
    'a secret that everybody sees',
    {
      document: '{"topics": {}, "password": {"secret": "keeper:password"}}',
      password: ['string', 'tell nobody'],
    },
    'password | is neither document nor of type secret',
    'document | password: there is no key password of type secret in this section',
  ],
  [
    'a password that is no hash',
    {
      document: '{"topics": {}, "password": {"secret": "keeper:password"}}',
      password: ['secret', 'tell nobody'],
    },
    'document | password: is no hash that we know; `malabar config hash-password` makes one',
  ],
  [
    'a secret in place of something else',
    {
      document: '{"topics": {}, "retention": {"secret": "keeper:x"}}',
      x: ['secret', 'tell nobody'],
    },
    'document | retention: a mapping is not a duration, e.g. 250ms, 30s, 5m, 2h or 7d',
  ],
];

test.each(BAD)('%s is refused with the words of malabar.yaml', (_, keys, ...faults) => {
  const systems = file('/systems.conf', { shop: { owner: ['string', ''] } });
  const found = lines(systems, queues({ paid: keys }));
  expect(found).toEqual(faults.map((fault) => `/queues.conf | paid | ${fault}`));
  expect(found.join()).not.toContain('tell nobody');
});

test('names that would be none in the file are none here', () => {
  expect(lines(queues({ DEFAULT: { document: PULL }, 'a:b': { document: PULL } }))).toEqual([
    "/queues.conf | DEFAULT | a name of a queue cannot be 'DEFAULT'",
    '/queues.conf | a:b | a name of a queue has only letters, digits, _ . -',
  ]);
});

test('systems are read as strictly', () => {
  expect(lines(file('/systems.conf', { shop: { ownr: ['string', 'x'] } }))).toEqual([
    "/systems.conf | shop | ownr | unknown key; did you mean 'owner'?",
  ]);
});

test('a file that the bus would not read cannot be published, and does not disturb a service', () => {
  const files = [queues({ paid: { document: PULL } }), file('/queue.conf', {})];
  expect(lines(...files)).toEqual([
    "/queue.conf | the bus reads /queues.conf, /schedules.conf, /sources.conf, /systems.conf; did you mean '/queues.conf'?",
  ]);
  expect(filesToBusConfig(files).queues).toHaveLength(1);
});

test('a section without a document is not a queue yet', async () => {
  const files = [queues({ paid: { password: ['secret', await hashPassword('x')] } })];
  expect(lines(...files)).toEqual([]);
  expect(filesToBusConfig(files).queues).toEqual([]);
});

test('a service that gets no secrets reads the rest', () => {
  const document =
    '{"password": {"secret": "keeper:password"}, "topics": {"t": {"target": {"http": ' +
    '{"url": "http://x", "headers": {"k": {"secret": "keeper:t:headers:k"}}}}}}}';
  const files = [queues({ paid: { document } })];
  expect(filesToBusConfig(files, { withoutSecrets: true }).queues).toMatchObject([
    { name: 'paid', passwordHash: '', topics: [{ target: { value: { headers: { k: '' } } } }] },
  ]);
});

test('what a service cannot read it says with file, section and key', () => {
  const files = [queues({ paid: { document: '{"topics": {"t": {"target": "pul"}}}' } })];
  expect(() => filesToBusConfig(files)).toThrow(
    '/queues.conf: paid.document: topics.t.target: ' +
      "'pul' is not a target: fastcgi://..., http://..., https://..., grpc or pull",
  );
});

test('a release is read against the one before, and the result is the same', async () => {
  const reader = new BusFilesReader();
  const of = (retention: string): config.ConfigFile[] => [
    queues({
      paid: { document: PULL },
      sent: { document: `{"topics": {}, "retention": "${retention}"}` },
    }),
  ];
  for (const retention of ['1d', '2d', '2d', '1d']) {
    expect(reader.busConfig(of(retention))).toEqual(filesToBusConfig(of(retention)));
  }
  expect(() => reader.busConfig(of('2'))).toThrow(/has no unit/);
  expect(reader.busConfig([queues({ paid: { document: PULL } })]).queues).toHaveLength(1);
});
