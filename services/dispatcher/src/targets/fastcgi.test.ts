import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { common, keeper } from '@malabar/contracts';
import { systemClock } from '@malabar/core';
import { needs, type PhpFpm, packages, phpFpm } from '@malabar/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { attemptOf, leased } from '../attempts.suite.js';
import type { Target } from '../target.js';
import { type TargetHarness, testTarget } from '../target.suite.js';
import { agreedSettings, createFastcgiTarget, FastcgiPools } from './fastcgi.js';

const { CRASH, DONE, RETRY } = common.OutcomeKind;
const fpmIsHere = await packages.phpFpm();

function settingsOf(changes: Partial<keeper.FastcgiTarget>): keeper.FastcgiTarget {
  return keeper.FastcgiTarget.fromPartial({
    connectionsMax: 2,
    connectTimeoutMs: 1000,
    idleTimeoutMs: 3000,
    requestsPerConnection: 500,
    ...changes,
  });
}

function targetOf(
  changes: Partial<keeper.FastcgiTarget>,
  pools = new FastcgiPools(systemClock),
): Target {
  return createFastcgiTarget({ target: settingsOf(changes), pools, clock: systemClock });
}

/** A plain script without SDK that does what its topic says. */
const BEHAVE = `<?php
$jobs = json_decode($_POST['jobs'], true);
$say = fn($text) => file_put_contents(__DIR__ . '/received', $text . "\\n", FILE_APPEND);
if ($_POST['topic'] === 'yes') $say($jobs[0]['content']);
switch ($_POST['topic']) {
  case 'yes': header('Code: 200'); break;
  case 'no': header('Code: 500'); echo 'no stock'; break;
  case 'later': header('Malabar-Outcome: retry'); header('Retry-After: 90'); break;
  case 'dead': header('Malabar-Outcome: dead'); echo 'no such order'; break;
  case 'back': header('Malabar-Outcome: release'); break;
  case 'hang': $say('hang'); for ($i = 0; $i < 30; $i++) sleep(1); break;
  case 'drip':
    header('Code: 200');
    for ($i = 0; $i < 300; $i++) { echo '.'; flush(); usleep(20000); }
    break;
  case 'die': posix_kill(getmypid(), 9); break;
  case 'flood': header('Code: 200'); for ($i = 0; $i < 49; $i++) echo str_repeat('x', 65536); break;
  case 'yes-and-500': header('Code: 200'); http_response_code(500); break;
}
`;

async function startHarness(listen: 'unix' | 'tcp'): Promise<TargetHarness> {
  const fpm = await phpFpm({ children: 8, listen });
  const script = join(fpm.dir, 'behave.php');
  writeFileSync(script, BEHAVE);
  const log = join(fpm.dir, 'received');
  return {
    target: () => targetOf({ address: fpm.address, script }),
    nobody: () => targetOf({ address: `unix:${fpm.dir}/nobody.sock`, script }),
    received: () => (existsSync(log) ? readFileSync(log, 'utf8').split('\n') : []),
    restart: () => fpm.reload(),
    stop: () => fpm.stop(),
  };
}

if (fpmIsHere.missing === undefined) {
  testTarget('fastcgi, unix socket', () => startHarness('unix'));
  testTarget('fastcgi, tcp', () => startHarness('tcp'));
}

test('all topics of an address share what the one that wants most may have', () => {
  const agreed = agreedSettings([
    settingsOf({ address: 'a:1', connectionsMax: 8, requestsPerConnection: 10 }),
    settingsOf({ address: 'a:1', connectionsMax: 3, idleTimeoutMs: 9000 }),
    settingsOf({ address: 'b:1', connectionsMax: 5 }),
  ]);
  expect(agreed.get('a:1')).toMatchObject({
    connectionsMax: 8,
    idleTimeoutMs: 3000,
    requestsPerConnection: 10,
  });
  expect(agreed.get('b:1')).toMatchObject({ connectionsMax: 5 });
});

/** What the pepperbus PHP SDK does with a request (reference: its server and base classes). */
const SDK = `<?php
function answer($code, $errorCode, $body) {
  header("Code: $code"); header("Error-Code: $errorCode");
  header('Body-Length: ' . strlen($body)); echo $body; exit;
}
$handlers = [
  'orders/ship' => fn($jobs) => count($jobs),
  'orders/fail' => function ($jobs) { throw new Exception('no stock', 17); },
  'orders/warn' => function ($jobs) { echo $undefined; error_log('a word'); return 0; },
  'orders/fatal' => function ($jobs) { no_such_function(); },
  'orders/late' => function ($jobs) { header('Code: 200'); ini_set('memory_limit', '4M'); str_repeat('x', 9e6); },
  'orders/echo' => fn($jobs) => json_encode([$jobs, array_keys($_POST), array_keys($_SERVER)]),
];
if (($_POST['IS_PEPPER_BUS_REQUEST'] ?? '') !== 'true')
  answer(404, 404, 'cgi process not subscribe to this queue');
if ($_POST['type'] === 'ping') answer(200, 0, implode(',', array_keys($handlers)));
$path = $_POST['queue'] . '/' . $_POST['topic'];
if (!isset($handlers[$path])) answer(404, 404, "The className or method empty. Queue: $path");
try { $result = $handlers[$path](json_decode($_POST['jobs'], true)); }
catch (Exception $e) { answer(500, $e->getCode(), $e->getMessage()); }
if ($_POST['topic'] === 'echo') { header('Code: 500'); echo $result; exit; }
answer(200, 0, (string) $result);
`;

needs(describe, fpmIsHere)('php-fpm', () => {
  let fpm: PhpFpm;
  let script: string;
  const targets: Target[] = [];
  beforeAll(async () => {
    fpm = await phpFpm({ children: 3 });
    script = join(fpm.dir, 'sdk.php');
    writeFileSync(script, SDK);
  });
  afterEach(() => Promise.all(targets.splice(0).map((target) => target.close())));
  afterAll(() => fpm?.stop());

  const use = (changes: Partial<keeper.FastcgiTarget> = {}): Target => {
    const target = targetOf({ address: fpm.address, script, ping: true, ...changes });
    targets.push(target);
    return target;
  };

  test('a ping finds the topics of an SDK consumer', async () => {
    expect(await use().ping('orders/ship', 5000)).toBe('');
    expect(await use().ping('orders/other', 5000)).toContain('does not serve orders/other');
  });

  test('an SDK handler that returns has done its jobs', async () => {
    expect((await use().deliver(attemptOf({ jobs: ['a', 'b'] }))).kind).toBe(DONE);
  });

  test("an exception is a retry with the exception's code and message", async () => {
    const verdict = await use().deliver(attemptOf({ topic: 'fail' }));
    expect(verdict).toMatchObject({ kind: RETRY, errorCode: '17', error: 'no stock' });
  });

  test('a topic that the SDK does not know is a retry and a reason to ask again', async () => {
    const verdict = await use().deliver(attemptOf({ topic: 'other' }));
    expect(verdict).toMatchObject({ kind: RETRY, errorCode: '404', unknownTopic: true });
  });

  test('warnings on STDERR do not turn a yes into a failure', async () => {
    expect((await use().deliver(attemptOf({ topic: 'warn' }))).kind).toBe(DONE);
  });

  test("an uncaught error is a retry that shows PHP's own words", async () => {
    const verdict = await use().deliver(attemptOf({ topic: 'fatal' }));
    expect(verdict).toMatchObject({ kind: RETRY, errorCode: 'NO_CODE' });
    expect(verdict.error).toMatch(/HTTP status 500.*no_such_function/s);
  });

  test('a script that runs out of memory after its yes has crashed', async () => {
    const verdict = await use().deliver(attemptOf({ topic: 'late' }));
    expect(verdict).toMatchObject({ kind: CRASH, errorCode: 'FATAL' });
    expect(verdict.error).toContain('Allowed memory size');
  });

  test('a missing script is a failure that says so', async () => {
    const verdict = await use({ script: '/no/such.php' }).deliver(attemptOf());
    expect(verdict).toMatchObject({ kind: RETRY, errorCode: 'NO_CODE' });
    expect(verdict.error).toContain('Primary script unknown');
  });

  test('the script gets pepperbus envelopes, six fields and four parameters', async () => {
    const traceParent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const headers = { tenant: 'de' };
    const job = { body: Buffer.from('{"a":"\u961f &=+"}'), traceParent, headers };
    const deliveries = leased([job, { body: Buffer.from([0xff, 0]) }], { attempt: 2 });
    const retry = keeper.RetryPolicy.fromPartial({ attempts: 5 });
    const { error } = await use().deliver(attemptOf({ topic: 'echo', deliveries, retry }));
    const [jobs, fields, server] = JSON.parse(error);
    expect(jobs[0]).toEqual({
      id: deliveries[0]?.jobId,
      inTraceId: '0af7651916cd43dd8448eb211c80319c',
      content: '{"a":"\u961f &=+"}',
      retrying: 1,
      RetryTimes: 2,
      RetryTime: expect.any(Number),
      IsRetry: true,
      BeginRetry: true,
      RetryResidueTime: 0,
      acceptedAtMs: expect.any(Number),
      timeoutMs: expect.any(Number),
      headers: { tenant: 'de' },
    });
    expect(jobs[1]).toMatchObject({ content: '/wA=', encoding: 'base64' });
    expect(fields).toEqual([
      'IS_PEPPER_BUS_REQUEST',
      'jobs',
      'outTraceId',
      'queue',
      'topic',
      'type',
    ]);
    expect(server).toEqual(
      expect.arrayContaining([
        'SCRIPT_FILENAME',
        'REQUEST_METHOD',
        'CONTENT_LENGTH',
        'CONTENT_TYPE',
      ]),
    );
  });

  test('topics of one address share its connections', async () => {
    const pools = new FastcgiPools(systemClock);
    const both = ['ship', 'warn'].map((topic) => ({
      topic,
      target: targetOf({ address: fpm.address, script, connectionsMax: 1 }, pools),
    }));
    targets.push(...both.map(({ target }) => target));
    const verdicts = both.map(({ topic, target }) => target.deliver(attemptOf({ topic })));
    expect((await Promise.all(verdicts)).map(({ kind }) => kind)).toEqual([DONE, DONE]);
    expect(pools.stats()).toMatchObject([[fpm.address, { open: 1 }]]);
    await targets.pop()?.close();
    expect(pools.stats()).toHaveLength(1);
    await targets.pop()?.close();
    expect(pools.stats()).toHaveLength(0);
  });
});
