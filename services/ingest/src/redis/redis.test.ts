import { eventually, FakeClock } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { WRONG_PASSWORD_DELAY_MS } from '../credentials.js';
import { command, RawClient, startRig } from '../rig.suite.js';
import { queueConfig } from '../storage-double.suite.js';

const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}';

test('a push is answered with the number of ready deliveries, and the body arrives as it was', async () => {
  const { redis, storage } = await startRig();
  const client = new RawClient(redis);
  const binary = '\0\r\n\xff"';
  await client.expect(command('LPUSH', 'q', binary), ':1\r\n');
  await client.expect(command('rpush', 'q', 'a', '', 'c'), ':4\r\n');
  expect(storage.bodies()).toEqual([binary, 'a', '', 'c']);
});

test('pushes of one turn are one batch, whoever sent them', async () => {
  const { redis, storage } = await startRig();
  const client = new RawClient(redis);
  await client.expect(command('LPUSH', 'q', 'x').repeat(500), ':500\r\n'.repeat(500));
  expect(storage.batches.length).toBeLessThan(10);
  expect(storage.jobs.length).toBe(500);
});

test('a pipeline is answered in its order, whatever each command has to wait for', async () => {
  const { redis, storage } = await startRig({ queues: [queueConfig('q'), queueConfig('r')] });
  const client = new RawClient(redis);
  storage.holding = true;
  client.send(
    command('LPUSH', 'q', '1') +
      command('PING') +
      command('LPUSH', 'r', '2') +
      command('LPUSH', 'nowhere', '3') +
      command('ECHO', 'e') +
      command('LPUSH', 'q', '4') +
      command('LLEN', 'q') +
      command('PING'),
  );
  await eventually(() => storage.held === 2);
  expect(client.received).toBe('');
  storage.holding = false;
  storage.release();
  await client.expect(
    '',
    ':2\r\n+PONG\r\n:3\r\n-NOQUEUE queue "nowhere" is not configured\r\n$1\r\ne\r\n:2\r\n:2\r\n+PONG\r\n',
  );
});

test('jobs that storage refuses one by one are refused one by one', async () => {
  const { redis, storage } = await startRig();
  storage.answer = (response) => {
    const fault = { code: 'QUEUE_FULL', message: 'full' };
    response.exceptions.push({ index: 1, duplicateOf: '', fault });
  };
  const client = new RawClient(redis);
  await client.expect(command('LPUSH', 'q', 'x').repeat(3), ':3\r\n-QUEUEFULL full\r\n:3\r\n');
  await client.expect(
    command('LPUSH', 'q', 'a', 'b'),
    '-QUEUEFULL 1 of 2 jobs were accepted; the others: full\r\n',
  );
});

test('ADDJOB carries its options to storage and answers the id', async () => {
  const clock = new FakeClock();
  const { redis, storage } = await startRig({ clock });
  const client = new RawClient(redis);
  const options = ['DELAY', '10', 'RETRY', '60', 'TTL', '1.5', 'MAXLEN', '9', 'KEY', 'k'];
  const more = ['unique', 'u', 'WINDOW', '5', 'PRIORITY', '7'];
  await client.match(
    command('ADDJOB', 'q', 'body', '0', ...options, ...more),
    new RegExp(`^\\$36\r\n${UUID}\r\n$`),
  );
  expect(storage.jobs[0]).toMatchObject({
    body: 'body',
    job: { key: 'k', priority: 7, idempotencyKey: 'u', deliverAtMs: clock.now() + 10_000 },
    options: {
      deliverAtMs: clock.now() + 10_000,
      expiresAtMs: clock.now() + 1500,
      leaseMs: 60_000,
      maxWaiting: 9,
      idempotencyKey: 'u',
      idempotencyWindowMs: 5000,
      priority: 7,
    },
  });
});

test('ADDJOB with DEBOUNCE says so to storage, and refuses what makes no sense', async () => {
  const { redis, storage } = await startRig();
  const client = new RawClient(redis);
  const words = (...options: string[]) => command('ADDJOB', 'q', 'body', '0', ...options);
  await client.match(words('UNIQUE', 'u', 'DEBOUNCE', '1.5', 'MAXWAIT', '60'), /^\$36/);
  const said = { idempotencyKey: 'u', debounceMs: 1500, debounceMaxMs: 60_000 };
  expect(storage.jobs[0]).toMatchObject({ job: said, options: said });
  await client.match(words('DEBOUNCE', '1'), /^-ERR .*needs an idempotency key/);
  await client.match(words('UNIQUE', 'u', 'DEBOUNCE', '1', 'DELAY', '1'), /^-ERR .*a delay itself/);
});

/** UTF-8, as the raw client sends it. */
const latin1 = (text: string) => Buffer.from(text).toString('latin1');

test('ADDJOB gives headers to a job', async () => {
  const { redis, storage } = await startRig();
  const client = new RawClient(redis);
  const options = ['HEADER', 'user', '7', 'PRIORITY', '3', 'header', 'X-Uber', latin1('é')];
  await client.match(command('ADDJOB', 'q', 'body', '0', ...options), /^\$36\r\n/);
  expect(storage.jobs[0]).toMatchObject({
    body: 'body',
    job: { headers: { user: '7', 'X-Uber': 'é' }, priority: 3 },
  });
});

test.each([
  ['ADDJOB HEADER needs a name and a value', ['HEADER']],
  ['ADDJOB HEADER needs a name and a value', ['HEADER', 'user']],
  ["header name '': 1 to 128", ['HEADER', '', 'x']],
  ["header name 'a b': 1 to 128", ['HEADER', 'a b', 'x']],
  ["header name '__proto__'", ['HEADER', '__proto__', 'x']],
  ["header 'USER' is there twice", ['HEADER', 'user', '7', 'HEADER', 'USER', '8']],
  ["header 'Malabar-Schedule': names with malabar- are", ['HEADER', 'Malabar-Schedule', 'x']],
  ['16385 bytes of headers, 16384 allowed', ['HEADER', 'big', 'x'.repeat(16_382)]],
  ['argument 5 of ADDJOB is not UTF-8', ['UNIQUE', '\xff']],
])('ADDJOB is refused: %s', async (text, options) => {
  const { redis, storage } = await startRig();
  const client = new RawClient(redis);
  const [, words] = await client.match(
    command('ADDJOB', 'q', 'x', '0', ...options),
    /^-ERR (.*)\r\n/,
  );
  expect(words).toContain(text);
  expect(storage.jobs).toEqual([]);
});

test('a duplicate is answered with the id of the first', async () => {
  const { redis, storage } = await startRig();
  storage.answer = (response) => {
    response.exceptions.push({ index: 0, duplicateOf: 'the-first', fault: undefined });
  };
  const client = new RawClient(redis);
  await client.expect(command('ADDJOB', 'q', 'x', '0', 'UNIQUE', 'u'), '$9\r\nthe-first\r\n');
});

test('what ADDJOB does not know is refused by name', async () => {
  const { redis } = await startRig();
  const client = new RawClient(redis);
  const add = (...words: string[]) => command('ADDJOB', 'q', 'x', ...words);
  await client.match(add('0', 'ASYNC'), /^-ERR ADDJOB ASYNC is refused: .*on disk\r\n$/);
  await client.match(add('0', 'REPLICATE', '2'), /^-ERR ADDJOB REPLICATE is refused/);
  await client.match(add('0', 'COLOUR', 'red'), /^-ERR ADDJOB has no option 'COLOUR'/);
  await client.match(add('0', 'DELAY', 'soon'), /^-ERR DELAY must be seconds/);
  await client.match(add('0', 'DELAY', '-1'), /^-ERR DELAY must be seconds, got '-1'/);
  await client.match(add('0', 'DELAY', '9999999999'), /^-ERR its delay ends beyond the year 2199/);
  await client.match(add('0', 'TTL', '9999999999'), /^-ERR its time to live ends beyond the year/);
  await client.match(add('0', 'DELAY'), /^-ERR ADDJOB DELAY needs a value/);
  await client.match(add('0', 'PRIORITY', '10'), /^-ERR PRIORITY/);
  await client.match(add('never'), /^-ERR timeout/);
});

test('ADDJOB with a timeout says so when the disk is slower', async () => {
  const clock = new FakeClock();
  const { redis, storage } = await startRig({ clock });
  storage.holding = true;
  const client = new RawClient(redis);
  client.send(command('ADDJOB', 'q', 'x', '50'));
  await eventually(() => storage.held === 1);
  await clock.advance(50);
  await client.match('', /^-TIMEOUT not on disk within 50 ms/);
});

test('a fetching client leases, acknowledges, gives back and extends', async () => {
  const { redis, storage } = await startRig();
  const client = new RawClient(redis);
  await client.expect(command('LPUSH', 'q', 'a', 'b'), ':2\r\n');
  const taken = await client.match(
    command('GETJOB', 'COUNT', '2', 'FROM', 'q/inbox'),
    /^\*1\r\n\*3\r\n\$7\r\nq\/inbox\r\n\$\d+\r\n(\S+)\r\n\$1\r\na\r\n$/,
  );
  const receipt = taken[1] as string;
  const pipeline =
    command('WORKING', receipt) + command('NACK', receipt) + command('ACKJOB', receipt);
  await client.expect(pipeline, ':1\r\n:1\r\n:1\r\n');
  expect(storage.outcomes.map(({ leaseId, kind }) => [leaseId, kind])).toEqual([
    [1, 5],
    [1, 2],
    [1, 1],
  ]);
  storage.stale = [1];
  await client.expect(command('ACKJOB', receipt), ':0\r\n');
  await client.expect(
    command('GETJOB', 'NOHANG', 'COUNT', '5', 'FROM', 'q'),
    '*1\r\n*3\r\n$1\r\nq\r\n',
  );
  const forged = receipt.replace('.1.', '.2.');
  await client.match(command('ACKJOB', forged), /-ERR .* is not a receipt of GETJOB\r\n$/);
});

test('details tell the id, the attempt and the time that is left; a failure carries its words', async () => {
  const { redis, storage } = await startRig();
  const client = new RawClient(redis);
  const id = (await client.match(command('ADDJOB', 'q', 'a', '0'), /^\$36\r\n(\S+)\r\n$/))[1];
  const details = `\\*14\r\n\\$3\r\njob\r\n\\$36\r\n${id}\r\n\\$7\r\nattempt\r\n:1\r\n`;
  const [, receipt = ''] = await client.match(
    command('GETJOB', 'WITHDETAILS', 'FROM', 'q'),
    new RegExp(`^\\*1\r\n\\*4\r\n\\$1\r\nq\r\n\\$\\d+\r\n(\\S+)\r\n\\$1\r\na\r\n${details}`),
  );
  const words = ['DEAD', 'CODE', 'NoStock', 'ERROR', 'none left', 'AFTER', '2'];
  await client.expect(command('NACK', receipt, ...words), ':1\r\n');
  expect(storage.outcomes).toMatchObject([
    { kind: 3, errorCode: 'NoStock', error: 'none left', retryAfterMs: 2000 },
  ]);
});

test('an empty queue answers nil, in the words of each protocol version', async () => {
  const { redis } = await startRig();
  const client = new RawClient(redis);
  await client.expect(command('GETJOB', 'NOHANG', 'FROM', 'q'), '*-1\r\n');
  await client.match(command('HELLO', '3'), /^%7\r\n[\s\S]*proto\r\n:3\r\n/);
  await client.expect(command('GETJOB', 'NOHANG', 'FROM', 'q'), '_\r\n');
  await client.match(command('HELLO', '4'), /^-NOPROTO/);
  await client.expect(command('RESET'), '+RESET\r\n');
  await client.expect(command('GETJOB', 'NOHANG', 'FROM', 'q'), '*-1\r\n');
});

test('identities add up until RESET, and every form of AUTH proves one', async () => {
  const queues = ['a', 'b', 'c'].map((name) =>
    queueConfig(name, { password: `hash of p:${name}` }),
  );
  const { redis } = await startRig({ queues });
  const client = new RawClient(redis);
  await client.match(command('LPUSH', 'a', 'x'), /^-NOAUTH /);
  // The push behind the AUTH has to wait for the password check.
  await client.match(command('AUTH', 'a', 'p:a') + command('LPUSH', 'a', 'x'), /^\+OK\r\n:1\r\n$/);
  await client.expect(command('AUTH', 'b:p:b'), '+OK\r\n');
  await client.match(command('HELLO', '2', 'AUTH', 'default', 'c:p:c', 'SETNAME', 'me'), /^\*14/);
  for (const name of ['a', 'b', 'c']) await client.match(command('LPUSH', name, 'x'), /^:\d\r\n$/);
  await client.expect(command('RESET'), '+RESET\r\n');
  await client.match(command('LPUSH', 'a', 'x'), /^-NOAUTH /);
  await client.match(command('AUTH', 'secret'), /^-WRONGPASS passwords belong to queues/);
});

test('a wrong password is answered late, and a password that changes ends the identity', async () => {
  const clock = new FakeClock();
  const queues = [queueConfig('q', { password: 'hash of old' })];
  const { redis, ingest } = await startRig({ queues, clock });
  const client = new RawClient(redis);
  const waiting = clock.pending;
  client.send(command('AUTH', 'q', 'wrong'));
  await eventually(() => clock.pending > waiting);
  expect(client.received).toBe('');
  await clock.advance(WRONG_PASSWORD_DELAY_MS);
  await client.match('', /^-WRONGPASS /);
  await client.match(command('AUTH', 'q', 'old') + command('LPUSH', 'q', 'x'), /^\+OK\r\n:1\r\n$/);
  ingest.configure({
    release: 2,
    queues: [queueConfig('q', { password: 'hash of new' })],
    schedules: [],
    sources: [],
  });
  await client.match(command('LPUSH', 'q', 'x'), /^-NOAUTH /);
});

test('a topic with a password of its own is fetched from with that one only', async () => {
  const topics = ['free', 'own:hash of t'];
  const queues = [queueConfig('q', { password: 'hash of p', topics })];
  const { redis } = await startRig({ queues });
  const client = new RawClient(redis);
  await client.expect(command('AUTH', 'q', 'p'), '+OK\r\n');
  await client.expect(command('GETJOB', 'NOHANG', 'FROM', 'q/free'), '*-1\r\n');
  await client.match(command('GETJOB', 'NOHANG', 'FROM', 'q/own'), /^-NOAUTH /);
  await client.expect(command('AUTH', 'q/own', 't'), '+OK\r\n');
  await client.expect(command('GETJOB', 'NOHANG', 'FROM', 'q/own'), '*-1\r\n');
  await client.match(command('GETJOB', 'NOHANG', 'FROM', 'q'), /^-NOTOPIC name the topic/);
  await client.match(command('GETJOB', 'NOHANG', 'FROM', 'q/none'), /^-NOTOPIC /);
});

test('a queue without a password is closed to the network unless the config says insecure', async () => {
  const closed = new RawClient((await startRig({ redis: '0.0.0.0:0' })).redis);
  await closed.match(command('LPUSH', 'q', 'x'), /^-NOAUTH q has no password/);
  const open = new RawClient((await startRig({ redis: '0.0.0.0:0', insecure: true })).redis);
  await open.expect(command('LPUSH', 'q', 'x'), ':1\r\n');
});

test('clients and tools get the small talk that they expect', async () => {
  const { redis } = await startRig();
  const client = new RawClient(redis);
  await client.expect(
    command('CLIENT', 'SETNAME', 'me') + command('CLIENT', 'GETNAME'),
    '+OK\r\n$2\r\nme\r\n',
  );
  await client.expect(command('CLIENT', 'SETINFO', 'LIB-NAME', 'lib'), '+OK\r\n');
  await client.match(command('CLIENT', 'ID'), /^:\d+\r\n$/);
  await client.match(command('CLIENT', 'INFO'), /name=me db=0 resp=2 lib-name=lib/);
  await client.expect(command('SELECT', '0'), '+OK\r\n');
  await client.match(command('SELECT', '1'), /^-ERR DB index/);
  await client.expect(command('CONFIG', 'GET', 'save'), '*2\r\n$4\r\nsave\r\n$0\r\n\r\n');
  await client.match(command('INFO'), /redis_version:7[\s\S]*state:ready/);
  await client.match(command('COMMAND', 'COUNT'), /^:2\d\r\n$/);
  await client.match(
    command('COMMAND', 'INFO', 'lpush', 'get'),
    /^\*2\r\n\*10\r\n\$5\r\nlpush\r\n:-3/,
  );
  await client.match(command('COMMAND', 'DOCS'), /^\*\d+\r\n/);
  await client.expect('PING hello\r\n', '$5\r\nhello\r\n');
  await client.match(command('LPUSH', 'q'), /^-ERR wrong number of arguments for 'lpush'/);
  await client.expect(command('ATUH', 'q', 'secret'), "-ERR unknown command 'ATUH'\r\n");
  await client.expect(command('QUIT'), '+OK\r\n');
  await eventually(() => client.closed);
});

test.each(['MULTI', 'EXEC', 'WATCH', 'SUBSCRIBE', 'SET', 'GET', 'RPOP', 'EVAL', 'FLUSHALL'])(
  '%s is refused with what to do instead',
  async (name) => {
    const { redis } = await startRig();
    await new RawClient(redis).match(command(name, 'q'), new RegExp(`^-ERR ${name} is refused: `));
  },
);

test('a browser that is led to this port gets nothing done', async () => {
  const { redis, storage } = await startRig();
  const client = new RawClient(redis);
  client.send('POST / HTTP/1.1\r\nHost: x\r\n\r\nLPUSH q x\r\n');
  await eventually(() => client.closed);
  expect(storage.jobs).toEqual([]);
});
