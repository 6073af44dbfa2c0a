import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { eventually, freePort, needs, packages, tempDir } from '@malabar/testkit';
import { afterEach, expect, test } from 'vitest';
import { memoryContext } from '../context.suite.js';
import { run } from '../program.js';

const dir = tempDir('demo');
const file = join(dir, 'malabar.yaml');
const stops: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

/** Options that move every listener of a bus to a free port. */
async function freeListeners(): Promise<string[]> {
  const keys = ['ingest.redis', 'ingest.pepperbus', 'ingest.http', 'metrics', 'grpc', 'ops'];
  const options: string[] = [];
  for (const key of keys) options.push('--set', `${key}.listen=127.0.0.1:${await freePort()}`);
  return options;
}

async function writeDemo(): Promise<void> {
  writeFileSync(
    file,
    `data: ${JSON.stringify(join(dir, 'data'))}
log: { level: error }
queues:
  demo:
    topics:
      ship: { target: "http://127.0.0.1:${await freePort()}/ship" }
      mail:
        target: http://127.0.0.1:${await freePort()}/mail
        retry: { attempts: 5, min: 1ms, jitter: 0 }
`,
  );
}

/** Starts the demo; `stop` is the Ctrl-C. */
function startDemo(args: string[]) {
  const context = memoryContext({ cwd: dir, env: { PATH: process.env.PATH } });
  let press: (signal: NodeJS.Signals) => void = () => {};
  const pressed = new Promise<NodeJS.Signals>((resolve) => {
    press = resolve;
  });
  context.untilStopped = () => pressed;
  const ended = run(['demo', ...args], context);
  const stop = (): Promise<number> => {
    press('SIGINT');
    return ended;
  };
  stops.push(stop);
  const { terminal } = context;
  return { stop, ended, terminal, text: () => terminal.lines.join('\n') };
}

const PATIENCE = { timeoutMs: 50_000 };

test('the demo tells the whole way of its jobs, keeps what is not done, and goes on with it', async () => {
  await writeDemo();
  const args = ['--config', file, ...(await freeListeners())];
  const first = startDemo(args);
  await eventually(() => expect(first.text()).toContain('Now you, in another terminal'), PATIENCE);
  expect(first.text().match(/accepted .*on disk as/g)).toHaveLength(5);
  expect(first.text().match(/done .*ship {2}yes/g)).toHaveLength(4);
  expect(first.text().match(/failed .*mail .*no, "/g)).toHaveLength(8);
  expect(first.text().match(/done .*mail {2}attempt 3: yes/g)).toHaveLength(4);
  expect(first.text()).toContain('demo/mail      0          1       0     4');
  expect(await first.stop()).toBe(0);
  expect(first.text()).toContain('Draining: 2 deliveries are kept.');

  const second = startDemo(args);
  await eventually(() => expect(second.text()).toContain('2 deliveries were kept.'), PATIENCE);
  expect(await second.stop()).toBe(0);
});

test('a port that is taken is named, with the way to another one', async () => {
  await writeDemo();
  const [, redis = '', ...others] = await freeListeners();
  const port = Number(redis.split(':')[1]);
  const holder = createServer().listen(port, '127.0.0.1');
  stops.push(async () => holder.close());
  const { ended, terminal } = startDemo(['--config', file, '--set', redis, ...others]);
  expect(await ended).toBe(1);
  expect(terminal.notes).toHaveLength(1);
  expect(terminal.notes[0]).toContain(`already in use: 127.0.0.1:${port} (ingest.redis.listen);`);
  expect(terminal.notes[0]).toContain(`make run ARGS='--set ingest.redis.listen=127.0.0.1:`);
});

needs(test, await packages.phpFpm())(
  'the demo delivers to php-fpm, which it starts and stops',
  async () => {
    const { stop, text } = startDemo(['--php', ...(await freeListeners())]);
    await eventually(() => expect(text()).toContain('Now you, in another terminal'), PATIENCE);
    expect(text()).toContain('php-fpm: order A-1, attempt 1: busy, later please');
    expect(text()).toContain('php-fpm: order A-1, attempt 3: done');
    expect(text()).toContain('mailbox of order A-1 is busy');
    expect(await stop()).toBe(0);
  },
);
