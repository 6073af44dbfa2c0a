import { keeper } from '@malabar/contracts';
import { expect, test } from 'vitest';
import {
  BusFilesReader,
  ConfigError,
  createPasswordHashes,
  documentsToFiles,
  filesToBusConfig,
  loadConfig,
  maskConfig,
  printConfig,
  readConfig,
} from './index.js';

const QUEUES = 'queues: { order_wait_send: { topics: {} } }';
const RABBIT = 'rabbitmq: { url: "amqp://rabbit:5672/shop", user: bus, password: carrot }';
const file = (sources: string): string => `${QUEUES}\nsources:\n  ${sources}\n`;
const trades = (rest: string): string =>
  file(`trades: { ${RABBIT}, push: order_wait_send, ${rest} }`);

/** Every fault, as `key: message`. */
function faults(text: string): string[] {
  try {
    loadConfig({ file: 'f', text });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.faults.map(({ key, message }) => `${key}: ${message}`);
  }
  return [];
}

const filesOf = (text: string, env = {}) =>
  documentsToFiles(readConfig({ file: 'f', text }), { env, hashes: createPasswordHashes() });

async function sourcesOf(text: string, env = {}): Promise<readonly keeper.SourceConfig[]> {
  return filesToBusConfig(await filesOf(text, env)).sources;
}

const { RabbitmqExchangeType: Type, SourceBody: Body } = keeper;

test('a source has defaults, and its password is at hand', async () => {
  const bind = 'bind: ["*.*.WAIT_SELLER_SEND_GOODS"]';
  expect(await sourcesOf(trades(`exchange: trades, ${bind}`))).toEqual([
    {
      name: 'trades',
      server: { url: 'amqp://rabbit:5672/shop', user: 'bus', password: 'carrot' },
      exchange: { name: 'trades', type: Type.TOPIC, declare: true },
      bindings: [{ routingKey: '*.*.WAIT_SELLER_SEND_GOODS', headers: {} }],
      from: 'malabar.trades',
      poison: 'malabar.trades.poison',
      push: 'order_wait_send',
      body: Body.RAW,
      prefetch: 500,
      unique: true,
    },
  ]);
});

test('a source reads what it says', async () => {
  const rest = 'from: q, poison: bad, body: php, prefetch: 7, unique: false';
  const headers = 'type: headers, declare: false, bind: { country: DE, x-match: any }';
  expect(await sourcesOf(trades(`${rest}, exchange: e, ${headers}`))).toMatchObject([
    {
      exchange: { name: 'e', type: Type.HEADERS, declare: false },
      bindings: [{ routingKey: '', headers: { country: 'DE', 'x-match': 'any' } }],
      from: 'q',
      poison: 'bad',
      body: Body.PHP,
      prefetch: 7,
      unique: false,
    },
  ]);
  expect(await sourcesOf(trades('exchange: e, type: fanout'))).toMatchObject([
    { exchange: { type: Type.FANOUT }, bindings: [{ routingKey: '', headers: {} }] },
  ]);
  expect(await sourcesOf(trades('from: q'))).toMatchObject([{ exchange: undefined, bindings: [] }]);
});

test('the password of a source is a secret beside its document, as it is', async () => {
  const text = file(
    'trades: { rabbitmq: { url: amqp://rabbit, user: bus, password: { secret: env:P } }, push: order_wait_send }',
  );
  const sections = (await filesOf(text, { P: 'carrot' }))[1]?.sections ?? [];
  expect(sections[0]?.entries).toMatchObject([
    { key: 'document', raw: expect.stringContaining('"keeper:rabbitmq:password"') },
    { key: 'rabbitmq:password', type: 'secret', raw: 'carrot' },
  ]);
  expect(sections[0]?.entries[0]?.raw).not.toContain('carrot');
  expect(await sourcesOf(text, { P: 'carrot' })).toMatchObject([
    { server: { password: 'carrot' } },
  ]);
});

test('the effective configuration can be read again, and does not show the password', () => {
  const text = trades('exchange: e, type: headers, bind: [{ Country: DE }]');
  const config = loadConfig({ file: 'f', text });
  expect(printConfig(config)).not.toContain('carrot');
  expect(maskConfig(config)).toMatchObject({ sources: { trades: { bind: [{ Country: 'DE' }] } } });
});

const AT = 'sources.trades';
const BAD: Array<[text: string, ...faults: string[]]> = [
  [
    file('trades: { push: order_wait_send }'),
    `${AT}.rabbitmq.url: is required`,
    `${AT}.rabbitmq.user: is required`,
    `${AT}.rabbitmq.password: is required`,
  ],
  [
    file(
      'trades: { rabbitmq: { url: "amqp://u:p@rabbit", user: u, password: p }, push: order_wait_send }',
    ),
    `${AT}.rabbitmq.url: a URL shows its password in every log; use user and password`,
  ],
  [
    file(
      'trades: { rabbitmq: { url: "http://rabbit", user: u, password: p }, push: order_wait_send }',
    ),
    `${AT}.rabbitmq.url: 'http://rabbit' is not an amqp:// or amqps:// URL with a host`,
  ],
  [
    file(
      'trades: { rabbitmq: { url: "amqp://rabbit/a/b", user: u, password: p }, push: order_wait_send }',
    ),
    `${AT}.rabbitmq.url: 'amqp://rabbit/a/b' names more than a vhost; write a / inside of it as %2F`,
  ],
  [
    file(
      'trades: { rabbitmq: { url: "amqp://rabbit?heartbeat=1", user: u, password: p }, push: order_wait_send }',
    ),
    `${AT}.rabbitmq.url: 'amqp://rabbit?heartbeat=1' has a ? or # part, which means nothing here`,
  ],
  [
    file(`trades: { ${RABBIT}, push: order_wait_sent }`),
    `${AT}.push: 'order_wait_sent' is not one of queues; did you mean 'order_wait_send'?`,
  ],
  [trades('exchange: e'), `${AT}.bind: is required of a topic exchange`],
  [trades('bind: [a]'), `${AT}.bind: means nothing without exchange`],
  [trades('type: direct'), `${AT}.type: means nothing without exchange`],
  [
    trades('exchange: e, bind: [{ a: b }]'),
    `${AT}.bind: a topic exchange is bound by routing keys, e.g. ['*.paid']`,
  ],
  [
    trades('exchange: e, type: headers, bind: [a]'),
    `${AT}.bind: a headers exchange is bound by mappings of headers, e.g. { country: DE }`,
  ],
  [
    trades('exchange: e, type: headers, bind: { n: 3 }'),
    `${AT}.bind: n: '3' is not text; only text headers can be matched`,
  ],
  [
    trades('exchange: e, type: headers, bind: { x-match: some }'),
    `${AT}.bind: x-match: 'some' is not one of all, any, all-with-x, any-with-x`,
  ],
  [trades('exchange: e, bind: [5]'), `${AT}.bind: '5' is not a routing key`],
  [
    trades('exchange: amq.topic, bind: [a]'),
    `${AT}.exchange: is one of RabbitMQ itself, which nobody declares; write declare: false`,
  ],
  [trades('body: xml'), `${AT}.body: 'xml' is not one of raw, json, php`],
  [trades('prefetch: 0'), `${AT}.prefetch: '0' is below the least, 1`],
  [trades('prefetch: 65536'), `${AT}.prefetch: '65536' is above the most, 65535`],
  [trades('fom: q'), `${AT}.fom: unknown key; did you mean 'from'?`],
  [
    trades(`from: ${'q'.repeat(256)}`),
    `${AT}.from: '${'q'.repeat(60)}...' has more than 255 bytes`,
  ],
];

test.each(BAD)('%j is refused', (text, ...lines) => {
  expect(faults(text)).toEqual(lines);
});

test('a release names the source that a fault is in', () => {
  const document = {
    push: 'nowhere',
    rabbitmq: { url: 'amqp://rabbit', user: 'bus', password: 'p' },
  };
  const entries = [{ key: 'document', type: 'json', raw: JSON.stringify(document) }];
  const found = new BusFilesReader().faults([
    { path: '/sources.conf', parent: '', schema: '', sections: [{ name: 'trades', entries }] },
  ]);
  expect(found.map(({ section, message }) => `${section}: ${message}`).sort()).toEqual([
    "trades: push: 'nowhere' is not one of queues",
    'trades: rabbitmq.password: does not belong into a document: set a key of type secret and write {"secret": "keeper:<key>"}',
  ]);
});

const topic = (target: string): string => `queues: { q: { topics: { t: { target: ${target} } } } }`;
const AT_TARGET = 'queues.q.topics.t.target';
const SERVER = 'url: amqp://rabbit, user: bus, password: carrot';

test('an exchange of RabbitMQ is a target', async () => {
  const text = topic(`{ rabbitmq: { ${SERVER}, exchange: told, key: "{body.status}.{queue}" } }`);
  const { queues } = filesToBusConfig(await filesOf(text));
  expect(queues[0]?.topics[0]).toMatchObject({
    concurrency: 100,
    target: {
      $case: 'rabbitmq',
      value: {
        server: { url: 'amqp://rabbit', user: 'bus', password: 'carrot' },
        exchange: { name: 'told', type: Type.TOPIC, declare: true },
        routingKey: '{body.status}.{queue}',
        unroutableOk: false,
      },
    },
  });
});

test.each([
  [
    'amqp://rabbit',
    `${AT_TARGET}: needs more: target: { rabbitmq: { url, user, password, exchange, key } }`,
  ],
  [
    `{ rabbitmq: { ${SERVER}, key: "{quue}" } }`,
    `${AT_TARGET}.rabbitmq.key: '{quue}' stands for nothing; there are {queue}, {topic}, {key}, {header.name} and {body.field}`,
  ],
  [
    `{ rabbitmq: { ${SERVER}, unroutable: maybe } }`,
    `${AT_TARGET}.rabbitmq.unroutable: 'maybe' is not one of fail, done`,
  ],
])('target %j is refused', (target, fault) => {
  expect(faults(topic(target))).toEqual([fault]);
});
