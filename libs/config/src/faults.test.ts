import { expect, test } from 'vitest';
import { ConfigError, loadConfig } from './index.js';

/** The faults of a file, without its name. */
function faults(text: string): string[] {
  try {
    loadConfig({ file: 'f', text });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message.split('\n').map((line) => line.slice(2));
  }
  return [];
}

const queue = (body: string): string => `queues:\n  q: ${body}`;
const topic = (body: string): string => `queues:\n  q:\n    topics:\n      t: ${body}`;
const AT = '4:';

const BAD: Array<[text: string, ...lines: string[]]> = [
  // Syntax.
  [
    'a: [1',
    '1:6: Flow sequence in block collection must be sufficiently indented and end with a ]',
  ],
  ['data: a\ndata: b', '2:1: Map keys must be unique'],
  ['- data', '1:1: the file is not a mapping of keys'],
  ['just text', '1:1: the file is not a mapping of keys'],
  ['data: *gone', '1:7: an alias without its anchor; put text that begins with * in quotes'],
  [
    'data: a\n---\ndata: b',
    '2:1: Source contains multiple documents; please use YAML.parseAllDocuments()',
  ],
  // Keys.
  ['logs: {}', "1:1: logs: unknown key; did you mean 'log'?"],
  [
    'ingest: { connectionsMax: 3 }',
    "1:11: ingest.connectionsMax: unknown key; did you mean 'connections_max'?",
  ],
  ['ingest: 5', "1:1: ingest: '5' is not a mapping of keys"],
  ['ingest: [1]', '1:1: ingest: a list is not a mapping of keys'],
  ['grpc: { tls: { cert: a.pem } }', '1:9: grpc.tls.key: is required'],
  // Values.
  [
    'log: { level: loud }',
    "1:8: log.level: 'loud' is not one of trace, debug, info, warn, error, fatal, silent",
  ],
  [
    'log: { level: wran }',
    "1:8: log.level: 'wran' is not one of trace, debug, info, warn, error, fatal, silent; did you mean 'warn'?",
  ],
  ['log: { pretty: yes }', "1:8: log.pretty: 'yes' is not true or false"],
  ['data: 5', "1:1: data: '5' is not text; put it in quotes"],
  ['data:', '1:1: data: is required'],
  ['node: my host', "1:1: node: 'my host' is not a name: 1 to 128 of A-Z a-z 0-9 _ . : @ -"],
  [
    'ops: { listen: 7490 }',
    "1:8: ops.listen: '7490' is not host:port, e.g. 127.0.0.1:6380 or [::1]:6380",
  ],
  [
    'ops: { listen: "::1:7490" }',
    "1:8: ops.listen: '::1:7490' is not host:port, e.g. 127.0.0.1:6380 or [::1]:6380",
  ],
  ['ops: { listen: "a:70000" }', "1:8: ops.listen: 'a:70000' has no valid port: 0 to 65535"],
  [
    'addresses: { keeper: ["a:1", "b:0"] }',
    "1:14: addresses.keeper: 'b:0' has no valid port: 1 to 65535",
  ],
  [
    'storage: { settle_delay: 5 }',
    "1:12: storage.settle_delay: '5' has no unit; write '5s' or '5ms'",
  ],
  [
    'storage: { settle_delay: 5 s }',
    "1:12: storage.settle_delay: '5 s' is not a duration, e.g. 250ms, 30s, 5m, 2h or 7d",
  ],
  [
    'queues: { q: { topics: { t: { target: pull, delay: -10s } } } }',
    "1:45: queues.q.topics.t.delay: '-10s' is not a duration, e.g. 250ms, 30s, 5m, 2h or 7d",
  ],
  [
    'storage: { cache_bytes: -1 }',
    "1:12: storage.cache_bytes: '-1' is not a size, e.g. 512, 64KiB or 1MiB",
  ],
  [
    'storage: { cache_bytes: 9_999_999TiB }',
    "1:12: storage.cache_bytes: '9_999_999TiB' is too large",
  ],
  ['ingest: { connections_max: 0 }', "1:11: ingest.connections_max: '0' is below the least, 1"],
  [
    'ingest: { connections_max: 1.5 }',
    "1:11: ingest.connections_max: '1.5' is not a whole number, e.g. 8 or 5_000_000",
  ],
  ['dispatcher: { prefetch: 101 }', "1:15: dispatcher.prefetch: '101' is above the most, 100"],
  [
    'grpc: { token: 12345 }',
    '1:9: grpc.token: is read by YAML as something else than text; put it in quotes',
  ],
  ['grpc: { token: "" }', '1:9: grpc.token: is empty; leave the key out for no secret'],
  // Queues.
  [queue(''), '2:3: queues.q.topics: is required; { } for a queue that only keeps its jobs'],
  [queue('{ topics: { }, shards: 2 }'), '2:21: queues.q.shards: not supported yet'],
  [
    queue('{ topics: { }, retention: 7 }'),
    "2:21: queues.q.retention: '7' has no unit; write '7s' or '7ms'",
  ],
  [
    queue('{ topics: { }, password: scrypt$x }'),
    '2:21: queues.q.password: begins with scrypt$ and is not a hash that we know; `malabar config hash-password` makes one',
  ],
  [
    'systems: { shop: }\nqueues: { q: { system: shpo, topics: { } } }',
    "2:16: queues.q.system: 'shpo' is not one of systems; did you mean 'shop'?",
  ],
  [
    'queues: { a/b: { topics: { } } }',
    '1:11: queues.a/b: a name of a queue has only letters, digits, _ . -',
  ],
  ['queues: { __proto__: { topics: { } } }', "1:11: nothing can be called '__proto__'"],
  ['queues: { "..": { topics: { } } }', "1:11: queues...: a name of a queue cannot be '..'"],
  [
    `queues: { ${'x'.repeat(129)}: { topics: { } } }`,
    `1:11: queues.${'x'.repeat(129)}: a name of a queue has 1 to 128 characters`,
  ],
  // Topics.
  [topic('{ }'), `${AT}7: queues.q.topics.t.target: is required`],
  [
    topic('{ target: pull, rate: fast }'),
    `${AT}26: queues.q.topics.t.rate: 'fast' is not a rate, e.g. 200/s, 30/m or 1_000/h`,
  ],
  [
    topic('{ target: pull, rate: 0/s }'),
    `${AT}26: queues.q.topics.t.rate.limit: '0' is below the least, 1`,
  ],
  [
    topic('{ target: pull, rate: { limit: 5, per: 2d } }'),
    `${AT}44: queues.q.topics.t.rate.per: is above 0 and at most 1d`,
  ],
  [
    topic('{ target: pull, key: user_id }'),
    `${AT}26: queues.q.topics.t.key.from: 'user_id' is neither job, header:<name> nor a path of names as in $.user.id`,
  ],
  [
    topic('{ target: pull, key: { concurrency: 2, order: strict } }'),
    `${AT}49: queues.q.topics.t.key.order: needs a concurrency of 1: jobs that run beside each other have no order`,
  ],
  [
    topic('{ target: pull, priority: 3 }'),
    `${AT}26: queues.q.topics.t.priority: not supported yet`,
  ],
  ['queues: { q: { rate: 5/s, topics: { } } }', '1:16: queues.q.rate: not supported yet'],
  [
    topic('{ target: pull, chunk: 20 }'),
    `${AT}26: queues.q.topics.t.chunk: only fastcgi and http with format: pepperbus take several jobs at once`,
  ],
  [topic('{ target: pull, timeout: 0s }'), `${AT}26: queues.q.topics.t.timeout: is no time at all`],
  [
    topic('{ target: pull, start: end }'),
    `${AT}26: queues.q.topics.t.start: 'end' is not one of now, beginning`,
  ],
  [
    topic('{ target: pull, concurrency: x, timout: 1s, retry: { jitter: 2, atempts: 1 } }'),
    `${AT}26: queues.q.topics.t.concurrency: 'x' is not a whole number, e.g. 8 or 5_000_000`,
    `${AT}42: queues.q.topics.t.timout: unknown key; did you mean 'timeout'?`,
    `${AT}63: queues.q.topics.t.retry.jitter: '2' is not a number from 0 to 1`,
    `${AT}74: queues.q.topics.t.retry.atempts: unknown key; did you mean 'attempts'?`,
  ],
  // Retries.
  [
    topic('{ target: pull, retry: { attempts: 0 } }'),
    `${AT}35: queues.q.topics.t.retry.attempts: '0' is below the least, 1`,
  ],
  [
    topic('{ target: pull, retry: { min: 5s, max: 1s } }'),
    `${AT}44: queues.q.topics.t.retry.max: is shorter than min`,
  ],
  // Results.
  [
    topic('{ target: pull, result: { } }'),
    `${AT}26: queues.q.topics.t.result: has either queue: or url:`,
  ],
  [
    topic('{ target: pull, result: { url: grpc } }'),
    `${AT}36: queues.q.topics.t.result.url: 'grpc' is not an http:// or https:// URL`,
  ],
  [
    topic('{ target: pull, result: { queue: p, of: [done, ded] } }'),
    `${AT}36: queues.q.topics.t.result.queue: 'p' is not one of queues`,
    `${AT}57: queues.q.topics.t.result.of.1: 'ded' is not one of done, retrying, failed, dead, discarded; did you mean 'dead'?`,
  ],
  [
    topic('{ target: pull, result: { queue: q } }'),
    `${AT}36: queues.q.topics.t.result.queue: results of results would never end: q > q`,
  ],
  [
    topic('{ target: pull, retry: { backoff: fixed, ladder: [1s] } }'),
    `${AT}51: queues.q.topics.t.retry.ladder: means nothing to backoff: fixed`,
  ],
  [
    topic('{ target: pull, retry: { ladder: 1s } }'),
    `${AT}35: queues.q.topics.t.retry.ladder: '1s' is not a list of durations, e.g. [10s, 1m, 10m]`,
  ],
  // Targets.
  [
    topic('{ target: pul }'),
    `${AT}12: queues.q.topics.t.target: 'pul' is not a target: fastcgi://..., http://..., https://..., grpc or pull`,
  ],
  [
    topic('{ target: command }'),
    `${AT}12: queues.q.topics.t.target: a command needs its program: target: { command: [php, work.php] }`,
  ],
  [
    topic('{ target: { htp: { } } }'),
    `${AT}22: queues.q.topics.t.target.htp: is not a target; did you mean 'http'?`,
  ],
  [
    topic('{ target: { } }'),
    `${AT}12: queues.q.topics.t.target: is not one of fastcgi, http, command, rabbitmq, grpc, pull, as text or with its settings`,
  ],
  [
    topic('{ target: { http: { url: ftp://x, formt: raw } } }'),
    `${AT}30: queues.q.topics.t.target.http.url: 'ftp://x' is not an http:// or https:// URL`,
    `${AT}44: queues.q.topics.t.target.http.formt: unknown key; did you mean 'format'?`,
  ],
  [
    topic('{ target: { http: { url: "http://x", headers: { Host: y } } } }'),
    `${AT}58: queues.q.topics.t.target.http.headers.Host: is set by the bus itself`,
  ],
  [
    topic('{ target: "http://x/#y" }'),
    `${AT}12: queues.q.topics.t.target.http.url: 'http://x/#y' has a # part, which is never sent`,
  ],
  [
    topic('{ target: fastcgi://unix:/run/fpm/x.php }'),
    `${AT}12: queues.q.topics.t.target: 'fastcgi://unix:/run/fpm/x.php' does not name a socket and a script: fastcgi://unix:/path/to/php-fpm.sock/path/to/script.php; a socket of another name needs target: { fastcgi: { address, script } }`,
  ],
  [
    topic('{ target: fastcgi://127.0.0.1:9000 }'),
    `${AT}12: queues.q.topics.t.target: 'fastcgi://127.0.0.1:9000' does not name a socket and a script: fastcgi://host:port/path/to/script.php`,
  ],
  [
    topic('{ target: fastcgi://fpm/x.php }'),
    `${AT}12: queues.q.topics.t.target.fastcgi.address: 'fpm' is not host:port, e.g. 127.0.0.1:6380 or [::1]:6380`,
  ],
  [
    topic('{ target: { fastcgi: { address: "unix:fpm.sock", script: x.php } } }'),
    `${AT}33: queues.q.topics.t.target.fastcgi.address: 'unix:fpm.sock' is not unix: and an absolute path of at most 107 bytes`,
    `${AT}59: queues.q.topics.t.target.fastcgi.script: 'x.php' is not an absolute path`,
  ],
  [
    topic(
      '{ concurrency: 8, target: { fastcgi: { address: "a:1", script: /x, connections: 4 } } }',
    ),
    `${AT}12: queues.q.topics.t.concurrency: 8 requests at once need as many connections; target.fastcgi.connections is 4`,
  ],
];

test.each(BAD)('%j is refused', (text, ...lines) => {
  expect(faults(text)).toEqual(lines);
});

test.each([
  '',
  '# only a comment',
  '{}',
  'ingest:\nlog:\nqueues:\n',
  'ops: { listen: "[::1]:0" }\ngrpc: { listen: "localhost:7400" }',
  queue('{ topics: { } }'),
  topic('{ target: { pull: } }'),
  topic('{ target: { grpc: { } }, concurrency: 1_000 }'),
  topic('{ target: "fastcgi://[::1]:9000/srv/x.php", chunk: 20 }'),
  topic('{ target: { http: { url: "http://x", format: pepperbus } }, chunk: 20 }'),
  topic('{ target: pull, retry: { min: 2h } }'),
  topic('{ target: { command: [php, work.php] } }'),
  topic('{ target: pull, retry: { ladder: [1s, 1m] } }'),
  'queues:\n  q:\n    topics:\n      a: { target: pull, retry: &r { attempts: 3 } }\n      b: { target: pull, retry: *r }',
])('%j is accepted', (text) => {
  expect(faults(text)).toEqual([]);
});

test('aliases that multiply each other are refused before they fill the memory', () => {
  const levels = Array.from({ length: 12 }, (_, i) => {
    const items = Array(10).fill(i === 0 ? 'x' : `*a${i - 1}`);
    return `a${i}: &a${i} [${items.join(', ')}]`;
  });
  expect(faults(levels.join('\n'))).toEqual(['1:1: too many aliases of aliases']);
});
