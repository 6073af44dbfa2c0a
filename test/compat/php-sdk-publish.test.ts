import { readdirSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { common } from '@malabar/contracts';
import { ERRORS } from '@malabar/core';
import { freePort, needs, packages, php, redisServer, tempDir } from '@malabar/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';
import { deliveryOf } from './php-application.js';
import { APPLICATION, PACKAGE, phpCode } from './php-sdk.js';

const { READY, SCHEDULED } = common.DeliveryState;
const phpIsHere = await packages.php();
const UUID = /^[0-9a-f-]{36}$/;

/** PHP: publishes and tells how it went, as JSON. */
const outcome = (publish: string) => `
  try { $ids = ${publish}; echo json_encode(['ids' => (array) $ids]); }
  catch (PublishException $e) {
    echo json_encode(['refused' => $e->errorCode(), 'again' => $e->isRetryable(), 'ids' => $e->ids(),
      'refusals' => array_map(fn ($one) => $one->getMessage(), $e->refusals())]);
  } catch (ConnectionException $e) {
    echo json_encode(['broken' => $e->getMessage(), 'sent' => $e->mayHaveHappened(),
      'safe' => $e->isSafeToRetry()]);
  } catch (RefusedException $e) { echo json_encode(['refused' => $e->errorCode()]); }`;

needs(describe, phpIsHere)('publishing from PHP', () => {
  let bus: Bus;

  beforeAll(async () => {
    bus = await startBus({ documents });
  });

  afterAll(() => bus?.stop());

  async function publish(code: string, options = '[]', port = bus.ports.redis) {
    const address = `['address' => '127.0.0.1:${port}'] + ${options}`;
    return JSON.parse(await phpCode(`Bus::configure(${address}); ${outcome(code)}`));
  }

  test('options travel with the event, and the body is the same in every language', async () => {
    const { ids } = await publish(
      `Event::name('orders')->delay(3600.5)->key('user-7')->priority(3)->expire(7200)
        ->publish(['order' => 7, 'price' => 1.0, 'name' => "\\u{961f}/"])`,
    );
    const { job, deliveries } = await bus.storage.getJob({ jobId: ids[0] });
    expect(Buffer.from(job?.body ?? []).toString()).toBe(
      '{"v":1,"event":"orders","params":{"order":7,"price":1.0,"name":"\u961f/"}}',
    );
    expect(job).toMatchObject({ key: 'user-7', priority: 3 });
    const accepted = deliveries[0]?.acceptedAtMs ?? 0;
    expect((job?.deliverAtMs ?? 0) - accepted).toBeLessThanOrEqual(3_600_500);
    expect((job?.deliverAtMs ?? 0) - accepted).toBeGreaterThan(3_590_000);
    expect(deliveries[0]?.state).toBe(SCHEDULED);
  });

  test('an event without parameters has none, and its queue may have another name', async () => {
    const { ids } = await publish(`Event::name('order_create')->queue('orders')->publish()`);
    const { job } = await bus.storage.getJob({ jobId: ids[0] });
    expect(Buffer.from(job?.body ?? []).toString()).toBe(
      '{"v":1,"event":"order_create","params":{}}',
    );
  });

  test('the same unique id is the same job', async () => {
    const once = `Event::name('orders')->unique('FB138', 60)->publish(['n' => 1])`;
    const { ids } = await publish(`[${once}, ${once}]`);
    expect(ids[0]).toMatch(UUID);
    expect(ids[1]).toBe(ids[0]);
  });

  test('with a debounce the last of a row takes the place of the others', async () => {
    const last = (n: number) =>
      `Event::name('orders')->unique('debounced')->debounce(600, 1200)->publish(['n' => ${n}])`;
    const { ids } = await publish(`[${last(1)}, ${last(2)}]`);
    expect(ids[1]).not.toBe(ids[0]);
    const [first, second] = await Promise.all(
      ids.map((jobId: string) => bus.storage.getJob({ jobId })),
    );
    expect(first?.deliveries[0]).toMatchObject({
      state: common.DeliveryState.DISCARDED,
      errorCode: 'REPLACED',
    });
    expect(first?.deliveries[0]?.error).toContain(ids[1]);
    expect(second?.deliveries[0]).toMatchObject({ state: common.DeliveryState.SCHEDULED });
  });

  test('thousands go in few round trips, each with its id', async () => {
    const events = `array_map(fn ($n) => Event::name('orders')->with(['n' => $n]), range(1, 2000))`;
    const { ids } = await publish(`Event::publishAll(${events})`);
    expect(new Set(ids).size).toBe(2000);
    expect((await deliveryOf(bus, ids[1999])).state).toBe(READY);
  });

  test("a refusal has the bus's code, and says which events it was", async () => {
    const one = await publish(`Event::name('nowhere')->publish()`);
    expect(one).toMatchObject({ refused: 'UNKNOWN_QUEUE', again: false, ids: [] });
    const some = await publish(
      `Event::publishAll([Event::name('orders'), Event::name('nowhere'), Event::name('small')
        ->with(['x' => str_repeat('x', 2000)]), Event::name('orders')])`,
    );
    expect(some).toMatchObject({
      refused: 'UNKNOWN_QUEUE',
      ids: { 0: expect.stringMatching(UUID), 3: expect.stringMatching(UUID) },
      refusals: { 2: expect.stringContaining('TOO_LARGE') },
    });
    const full = `[Event::name('full')->publish(), Event::name('full')->publish()]`;
    expect(await publish(full)).toMatchObject({ refused: 'QUEUE_FULL', again: true });
  });

  test('a queue with a password wants it', async () => {
    const event = `Event::name('guarded')->publish()`;
    expect(await publish(event)).toMatchObject({ refused: 'UNAUTHENTICATED' });
    const wrong = `['passwords' => ['guarded' => 'guess']]`;
    expect(await publish(event, wrong)).toEqual({ refused: 'WRONG_PASSWORD' });
    const right = `['passwords' => ['guarded' => 's3cret']]`;
    expect(await publish(event, right)).toEqual({ ids: [expect.stringMatching(UUID)] });
  });

  test('a bus that is not there was sent nothing', async () => {
    const answer = await publish(`Event::name('orders')->publish()`, '[]', await freePort());
    expect(answer).toMatchObject({ sent: false, safe: true });
    expect(answer.broken).toContain('cannot connect to tcp://127.0.0.1:');
  });

  test('a connection that breaks before the answer is safe to repeat with a unique id only', async () => {
    const server = createServer((socket) => socket.once('data', () => socket.destroy()));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const plain = `Event::publishAll([Event::name('a')->unique('1'), Event::name('b')])`;
    expect(await publish(plain, '[]', port)).toMatchObject({ sent: true, safe: false });
    const unique = `Event::name('a')->unique('1')->publish()`;
    expect(await publish(unique, '[]', port)).toMatchObject({ sent: true, safe: true });
    server.close();
  });

  test('a bus that was restarted meanwhile is found again', async () => {
    const server = createServer((socket) => socket.once('data', () => socket.end('$2\r\nid\r\n')));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const one = `Event::name('a')->publish()`;
    expect(await publish(`[${one}, usleep(100000), ${one}]`, '[]', port)).toEqual({
      ids: ['id', null, 'id'],
    });
    server.close();
  });
});

needs(test, phpIsHere)('mistakes are named before anything is sent', async () => {
  const words = async (code: string) =>
    phpCode(`try { ${code}; } catch (InvalidArgumentException $e) { echo $e->getMessage(); }`);
  expect(await words(`Event::name('a b')`)).toContain("event 'a b': a name has 1 to 128");
  expect(await words(`Event::name('a')->delay(-1)`)).toContain('-1 seconds: it must be 0 or more');
  const header = (name: string, value = "'x'") =>
    words(`Event::name('a')->header('${name}', ${value})`);
  expect(await header('a b')).toContain("header 'a b': a name has 1 to 128");
  expect(await header('__proto__')).toContain("header '__proto__': a name has");
  expect(await header('Malabar-Run')).toContain("'Malabar-Run': malabar- is for the bus itself");
  expect(await header('a', '"\\xff"')).toContain("header 'a': its value is not UTF-8");
  expect(await words(`new Bus(['adress' => 'x'])`)).toContain('no option adress; it knows address');
  const register = `(new Registry())->register('a', 't', 'f'`;
  expect(await words(`${register}, ['dealy' => 1])`)).toContain("no option 'dealy'; it has queue");
  expect(await words(`${register})->register('a', 't', 'g')`)).toContain('a/t is registered for a');
});

needs(test, phpIsHere)('the codes of refusals are those of the bus', async () => {
  const codes = JSON.parse(await phpCode('echo json_encode(Malabar\\Redis\\ErrorReply::CODES);'));
  const again = JSON.parse(
    await phpCode(`echo json_encode(array_map(fn ($word) =>
      (new Malabar\\Redis\\ErrorReply("$word x"))->isRetryable(),
      array_combine(array_keys(Malabar\\Redis\\ErrorReply::CODES),
        array_keys(Malabar\\Redis\\ErrorReply::CODES))));`),
  );
  for (const [code, { redis, retryable }] of Object.entries(ERRORS)) {
    if (redis !== 'ERR') expect(codes[redis]).toBe(code);
    expect(again[redis], code).toBe(retryable);
  }
});

const stores = {
  file: async () => `new Malabar\\Idempotence\\FileStore('${tempDir('once')}')`,
  redis: async () => `Malabar\\Idempotence\\RedisStore::connect('127.0.0.1:${await redisPort()}')`,
  phpredis: async () => `(function () { $redis = new Redis();
    $redis->connect('127.0.0.1', ${await redisPort()});
    return new Malabar\\Idempotence\\RedisStore(fn ($words) => $redis->rawCommand(...$words), 'other:'); })()`,
};

let redis: Awaited<ReturnType<typeof redisServer>> | undefined;
afterAll(() => redis?.stop());
async function redisPort(): Promise<number> {
  redis ??= await redisServer();
  return redis.port;
}

needs(
  describe,
  phpIsHere,
  await packages.redis(),
  await packages.phpRedis(),
)('once', () => {
  test.each(Object.keys(stores) as (keyof typeof stores)[])('with a %s store', async (name) => {
    const printed = await phpCode(`
      Idempotent::useStore($store = ${await stores[name]()});
      $count = 0;
      $work = function () use (&$count) { return ['receipt' => ++$count]; };
      $say = fn ($what) => print(json_encode($what) . "\\n");
      $say(Idempotent::once('pay', $work));
      $say(Idempotent::once('pay', $work));
      try { Idempotent::once('fails', function () { throw new Exception('no'); }); }
      catch (Exception $e) { $say($e->getMessage()); }
      $say(Idempotent::once('fails', $work));
      Idempotent::once('nested', function () use ($say, $work) {
        try { Idempotent::once('nested', $work); }
        catch (Malabar\\AlreadyRunningException $e) { $say([$e->getMessage(), $e->afterSeconds()]); }
      });
      // Somebody died at it.
      $say($store->claim('dead', 'them', 0.2));
      $say($store->claim('dead', 'us', 0.2));
      usleep(250000);
      $say(Idempotent::once('dead', $work));
      Idempotent::once('short', $work, 0.1);
      usleep(150000);
      $say(Idempotent::once('short', $work));
    `);
    expect(printed.trim().split('\n')).toEqual([
      '{"receipt":1}',
      '{"receipt":1}',
      '"no"',
      '{"receipt":2}',
      '["nested is being worked on",60]',
      'null',
      '"them"',
      '{"receipt":3}',
      '{"receipt":5}',
    ]);
  });
});

needs(describe, phpIsHere)('the package', () => {
  const sources = readdirSync(PACKAGE, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.php') || name.startsWith('bin/'))
    .map((name) => join(PACKAGE, name));
  const newer = async (...args: string[]) =>
    (await php([join(APPLICATION, 'newer-syntax.php'), ...args])).stdout;

  test('is PHP 7.4', async () => {
    expect(sources.length).toBeGreaterThan(30);
    expect(await newer(...sources)).toBe('');
  });

  test.each([
    'function f(int|string $a) {}',
    'class A { function __construct(private $a) {} }',
    'f(name: 1);',
    '$a?->b;',
    'try {} catch (E) {}',
    '$a ?? throw $b;',
    'function f($a,) {}',
    'function f(): static {}',
    'str_contains("a", "b");',
  ])('which would not be with %s', async (code) => {
    expect(await newer('-r', code)).not.toBe('');
  });

  test('says what its commands want', async () => {
    const command = (name: string, ...args: string[]) => php([`${PACKAGE}bin/${name}`, ...args]);
    for (const [args, words] of [
      [['--bootstrap', 'x.php', '--proceses', '2'], 'there is no option --proceses'],
      [['--bootstrap', 'x.php', '--processes', 'two'], '--processes must be a whole number'],
      [['--queue', 'a'], '--bootstrap is needed'],
      [['--bootstrap', 'x.php', 'a'], "'a' is not queue/topic"],
    ] as const) {
      const { code, stderr } = await command('malabar-worker', ...args);
      expect([code, stderr]).toEqual([2, expect.stringContaining(words)]);
    }
    const { code, stderr } = await command('malabar-tasks', 'export', '--bootstrap', 'none.php');
    expect([code, stderr]).toEqual([2, expect.stringContaining('there is no file none.php')]);
  });
});

const documents = `
queues:
  orders: { topics: { inbox: { target: pull } } }
  small: { limits: { body: 1KiB }, topics: { inbox: { target: pull } } }
  full: { limits: { ready: 1 }, topics: { inbox: { target: pull } } }
  guarded: { password: s3cret, topics: { inbox: { target: pull } } }
`;
