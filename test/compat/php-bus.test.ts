import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { common } from '@malabar/contracts';
import {
  eventually,
  needs,
  type PhpFpm,
  packages,
  phpFpm,
  type Server,
  tempDir,
} from '@malabar/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';
import { ErrorReply, RespSocket } from '../harness/resp-socket.js';
import {
  ended,
  entryScript,
  PASSWORD,
  PLAIN,
  phpWeb,
  produce,
  recordFile,
  withClient,
} from './php-application.js';

const { DONE, DEAD } = common.DeliveryState;
const requirements = [
  await packages.phpFpm(),
  await packages.php(),
  await packages.phpRedis(),
  await packages.phpMbstring(),
];
const WAYS = ['unix', 'tcp', 'web'] as const;
const retry = 'retry: { attempts: 3, min: 20ms, max: 20ms, backoff: fixed }';

needs(describe, ...requirements)('a PHP producer and a PHP consumer on the pepperbus SDK', () => {
  const open: Array<{ stop(): Promise<void> }> = [];
  const dir = tempDir('php');
  let bus: Bus;

  beforeAll(async () => {
    const script = entryScript(WAYS.map((way) => `${way}/ship`));
    const started = [
      phpFpm({ listen: 'unix' }),
      phpFpm({ listen: 'tcp' }),
      phpWeb(script),
    ] as const;
    const [unix, tcp, web] = await Promise.all(started);
    open.push(unix, tcp, web);
    bus = await startBus({ documents: documents({ unix, tcp, web, script, dir }) });
    open.push(bus);
  });

  afterAll(async () => {
    for (const one of open.reverse()) await one.stop();
  });

  describe.each(WAYS)('by %s', (queue) => {
    test('a handler that returns has done its job at the first try', async () => {
      const { record, starts } = recordFile();
      const ids = await produce(bus, queue, { record, n: 1 }, { record, n: 2, do: 'false' });
      for (const id of ids)
        expect(await ended(bus, id)).toMatchObject({ state: DONE, history: [] });
      expect(starts().sort((a, b) => Number(a.n) - Number(b.n))).toMatchObject([
        { id: ids[0], try: 1, path: `${queue}/ship`, n: 1 },
        { id: ids[1], try: 1, path: `${queue}/ship`, n: 2 },
      ]);
    });

    test('a handler that throws is tried again until it succeeds, its errors kept', async () => {
      const { record, starts } = recordFile();
      const [id = ''] = await produce(bus, queue, { do: 'fail-until', times: 3, record });
      const { state, history } = await ended(bus, id);
      expect(state).toBe(DONE);
      const failed = { errorCode: '43', error: expect.stringContaining('not before try 3') };
      expect(history).toMatchObject([failed, failed]);
      expect(starts().map((start) => [start.id, start.try])).toEqual([1, 2, 3].map((n) => [id, n]));
    });

    test('a handler that always throws leaves a dead job with the words of each try', async () => {
      const [id = ''] = await produce(bus, queue, {
        do: 'throw',
        message: 'kein Bestand: 0 Stück',
      });
      const { state, history, errorCode } = await ended(bus, id);
      expect([state, errorCode]).toEqual([DEAD, '42']);
      const failed = { errorCode: '42', error: 'kein Bestand: 0 Stück' };
      expect(history).toMatchObject([failed, failed, failed]);
    });

    test('warnings and lines for the log do not spoil a yes', async () => {
      const [id = ''] = await produce(bus, queue, { do: 'warn' });
      expect(await ended(bus, id)).toMatchObject({ state: DONE, history: [] });
    });

    test('an error that nobody catches is a failure, and so is one behind Code: 200', async () => {
      const [error = '', late = ''] = await produce(
        bus,
        queue,
        { do: 'error' },
        { do: 'fatal-after-code' },
      );
      expect(await ended(bus, error)).toMatchObject({ state: DEAD, errorCode: 'NO_CODE' });
      expect(await ended(bus, late)).toMatchObject({ state: DEAD, errorCode: 'DIED' });
      if (queue === 'web') return;
      for (const id of [error, late]) {
        const { history } = await ended(bus, id);
        const words = 'PHP Fatal error:  Uncaught Error: Call to undefined function';
        expect(history.map((attempt) => attempt.error)).toEqual(
          Array(3).fill(expect.stringContaining(words)),
        );
      }
    });
  });

  test('a script without SDK says yes, later and never by one header', async () => {
    const { record, starts } = recordFile();
    const [yes = '', later = '', never = '', silent = ''] = await produce(
      bus,
      'plain',
      { record, n: 1 },
      { record, n: 2, outcome: 'retry', after: 0.05, say: 'later' },
      { record, n: 3, outcome: 'dead', say: 'no such order' },
      { record, n: 4, outcome: 'nothing', say: 'hm' },
    );
    expect(await ended(bus, yes)).toMatchObject({ state: DONE, history: [] });
    expect((await ended(bus, later)).history.map(({ error }) => error)).toEqual(
      Array(3).fill('later'),
    );
    const dead = await ended(bus, never);
    expect(dead).toMatchObject({ state: DEAD, error: 'no such order' });
    expect(dead.history).toHaveLength(1);
    expect(await ended(bus, silent)).toMatchObject({ state: DEAD, errorCode: 'NO_CODE' });
    const tries = [1, 2, 3, 4].map((n) => starts().filter((start) => start.n === n).length);
    expect(tries).toEqual([1, 3, 1, 3]);
  });

  test('a job that the script puts back burns no attempt', async () => {
    const { record, starts } = recordFile();
    const order = { record, outcome: 'release' };
    const [id = ''] = await produce(bus, 'releasing', order);
    await eventually(() => expect(starts().length).toBeGreaterThan(2));
    expect(new Set(starts().map((start) => start.try))).toEqual(new Set([1]));
    const { deliveries } = await bus.storage.getJob({ jobId: id });
    expect(deliveries[0]).toMatchObject({ attempts: 0, history: [] });
  });

  test('a binary body and the trace reach the script whole', async () => {
    const push = `echo $client->addJob('binary', '${PASSWORD}', "\\0\\xff\\r\\n\\x80$1");`;
    const { jobs, inTraceId, error } = JSON.parse(await withClient(bus, push));
    expect(error).toBe('');
    expect(await ended(bus, jobs[0])).toMatchObject({ state: DONE });
    const [seen] = JSON.parse(readFileSync(join(dir, 'seen'), 'utf8'));
    expect(seen).toMatchObject({ id: jobs[0], inTraceId, encoding: 'base64' });
    expect(Buffer.from(seen.content, 'base64').toString('latin1')).toBe('\0\xff\r\n\x80$1');
  });

  test('RPOP takes a job for good, with the identity of its topic only', async () => {
    const [id] = await produce(bus, 'popped', { n: 7 });
    const socket = await RespSocket.open(bus.ports.pepperbus);
    open.push({ stop: async () => socket.close() });
    expect(await socket.ask('RPOP', 'popped/inbox')).toEqual(noauth);
    expect(await socket.ask('AUTH', `popped:${PASSWORD}`)).toBe('OK');
    expect(await socket.ask('RPOP', 'popped/inbox')).toEqual(noauth);
    expect(await socket.ask('AUTH', 'popped/inbox:guess')).toEqual(
      new ErrorReply('ERR invalid password'),
    );
    expect(await socket.ask('AUTH', 'popped/inbox:its-own')).toBe('OK');
    expect(JSON.parse(String(await socket.ask('RPOP', 'popped/inbox')))).toMatchObject({
      jobs: [{ id, content: '{"n":7}', retrying: 0, RetryTimes: 0 }],
    });
    expect(await socket.ask('RPOP', 'popped/inbox')).toBeNull();
    expect(await ended(bus, id ?? '')).toMatchObject({ state: DONE });
    expect(JSON.parse(String(await socket.ask('LPUSH', 'popped/default', 'x')))).toEqual({
      jobs: null,
      inTraceId: '',
      error: 'NOAUTH Authentication required.',
    });
  });
});

const noauth = new ErrorReply('NOAUTH Authentication required.');

interface Places {
  unix: PhpFpm;
  tcp: PhpFpm;
  web: Server & { url: string };
  script: string;
  dir: string;
}

function documents({ unix, tcp, web, script, dir }: Places): string {
  const seen = join(dir, 'seen.php');
  const keep = `file_put_contents(${JSON.stringify(join(dir, 'seen'))}, $_POST['jobs']);`;
  writeFileSync(seen, `<?php ${keep} header('Malabar-Outcome: done');`);
  const fpm = (address: string, file: string, ping: boolean) =>
    `target: { fastcgi: { address: '${address}', script: ${file}, connections: 2, ping: ${ping} } }, ${retry}`;
  const http = `target: { http: { url: '${web.url}', format: pepperbus, connections: 1, ping: true } }, ${retry}`;
  const password = `password: ${PASSWORD}`;
  return `
queues:
  unix: { ${password}, topics: { ship: { ${fpm(unix.address, script, true)} } } }
  tcp: { ${password}, topics: { ship: { ${fpm(tcp.address, script, true)} } } }
  web: { ${password}, topics: { ship: { ${http} } } }
  plain: { ${password}, topics: { ship: { ${fpm(unix.address, PLAIN, false)} } } }
  releasing: { ${password}, topics: { ship: { ${fpm(tcp.address, PLAIN, false)} } } }
  binary: { ${password}, topics: { ship: { ${fpm(unix.address, seen, false)} } } }
  popped: { ${password}, topics: { inbox: { target: pull, password: its-own } } }
`;
}
