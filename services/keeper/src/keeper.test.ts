import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError } from '@malabar/config';
import type { keeper } from '@malabar/contracts';
import { type Clock, systemClock, verifyPassword } from '@malabar/core';
import { createMetrics, type Logger } from '@malabar/telemetry';
import { eventually, FakeClock, logToMemory, tempDir } from '@malabar/testkit';
import { afterEach, expect, test } from 'vitest';
import { Keeper } from './keeper.js';
import { createKeeperMetrics } from './metrics.js';

const ONE = 'queues:\n  paid:\n    topics: { ship: { target: pull } }\n';
const TWO = `${ONE}  sent:\n    topics: { mail: { target: grpc } }\n`;
const BROKEN = 'queues:\n  paid:\n    topics:\n      ship: { target: pull, timeout: 30 }\n';

const running: Keeper[] = [];

afterEach(async () => {
  for (const one of running.splice(0)) await one.stop();
});

interface Stage {
  dir: string;
  file: string;
  heart: Keeper;
  clock: FakeClock;
  entries: ReturnType<typeof logToMemory>['entries'];
  figure(name: string): Promise<number>;
  lines(): string[];
}

interface StageOptions {
  text?: string;
  dir?: string;
  clock?: Clock;
  env?: Record<string, string>;
}

function stage({ text, dir = tempDir('keeper'), clock, env = {} }: StageOptions = {}): Stage {
  const file = join(dir, 'malabar.yaml');
  if (text !== undefined) writeFileSync(file, text);
  const fake = new FakeClock();
  const { log, entries } = logToMemory<Logger>();
  const metrics = createMetrics();
  const heart = new Keeper({
    configFile: file,
    storePath: join(dir, 'data', 'keeper', 'release.json'),
    env,
    clock: clock ?? fake,
    log,
    metrics: createKeeperMetrics(metrics),
  });
  running.push(heart);
  const figure = async (name: string): Promise<number> =>
    (await metrics.registry.getSingleMetric(name)?.get())?.values[0]?.value ?? Number.NaN;
  const lines = (): string[] => entries.map(({ message }) => message);
  return { dir, file, heart, clock: fake, entries, figure, lines };
}

const names = (config: keeper.BusConfig): string[] => config.queues.map(({ name }) => name);

test('the file is published at the start, and a saved one as the next release', async () => {
  const { heart, file, entries } = stage({ text: ONE });
  await heart.start();
  expect(heart.releases.current).toMatchObject({ release: 1, queues: [{ name: 'paid' }] });
  writeFileSync(file, TWO);
  await heart.check();
  expect(heart.releases.current.release).toBe(2);
  expect(names(heart.releases.current)).toEqual(['paid', 'sent']);
  expect(entries.at(-1)).toMatchObject({
    message: 'release 2 published',
    fields: { release: 2, added: ['sent'] },
  });
});

test('what a release changes is logged by the names of the queues', async () => {
  const { heart, file, entries } = stage({ text: TWO });
  await heart.start();
  writeFileSync(file, `${ONE.replace('pull', 'grpc')}  new: { topics: {} }\n`);
  await heart.check();
  const { fields } = entries.at(-1) ?? {};
  expect(fields).toEqual({ release: 2, added: ['new'], removed: ['sent'], changed: ['paid'] });
});

test('a file saved without a change of content publishes nothing', async () => {
  const { heart, file, lines } = stage({ text: ONE });
  await heart.start();
  writeFileSync(file, `# a comment\n${ONE}`);
  await heart.check();
  expect(heart.releases.current.release).toBe(1);
  expect(lines()).toEqual(['release 1 published']);
});

test('a broken file is refused with its lines, once, and the last good release stays', async () => {
  const { heart, file, figure, lines } = stage({ text: ONE });
  await heart.start();
  writeFileSync(file, BROKEN);
  await heart.check();
  await heart.check();
  expect(heart.releases.current.release).toBe(1);
  const fault = `${file}:4:29: queues.paid.topics.ship.timeout: '30' has no unit; write '30s' or '30ms'`;
  expect(lines()).toEqual([
    'release 1 published',
    `refused: ${fault}`,
    'the configuration file is refused; release 1 stays in force',
  ]);
  expect(heart.refusal).toBe(fault);
  expect(await figure('malabar_keeper_config_refused_total')).toBe(1);
  expect(await figure('malabar_keeper_config_broken')).toBe(1);
});

test('a good file after a broken one is taken over', async () => {
  const { heart, file, figure, lines } = stage({ text: ONE });
  await heart.start();
  writeFileSync(file, BROKEN);
  await heart.check();
  writeFileSync(file, TWO);
  await heart.check();
  expect(heart.releases.current.release).toBe(2);
  expect(heart.refusal).toBeUndefined();
  expect(await figure('malabar_keeper_config_broken')).toBe(0);
  expect(lines().at(-1)).toBe('the configuration file is good again');
});

test.each([
  ['empty', (file: string) => writeFileSync(file, ''), 'is empty'],
  ['gone', (file: string) => rmSync(file), 'cannot be read: there is no such file'],
])('a file that is %s never takes the queues away', async (_, spoil, reason) => {
  const { heart, file } = stage({ text: ONE });
  await heart.start();
  spoil(file);
  await heart.check();
  expect(heart.releases.current.release).toBe(1);
  expect(heart.refusal).toBe(`${file}: ${reason}`);
});

test('a keeper refuses to start with a broken file and names every fault', async () => {
  const { heart, file } = stage({ text: `${BROKEN}  paid2: {}\nlogg: {}\n` });
  const error = await heart.start().catch((thrown) => thrown);
  expect(error).toBeInstanceOf(ConfigError);
  expect(error.message.split('\n')).toEqual([
    `${file}:4:29: queues.paid.topics.ship.timeout: '30' has no unit; write '30s' or '30ms'`,
    `${file}:5:3: queues.paid2.topics: is required; { } for a queue that only keeps its jobs`,
    `${file}:6:1: logg: unknown key; did you mean 'log'?`,
  ]);
});

test('a changed setting of the process is reported as one that needs a restart', async () => {
  const { heart, file, lines } = stage({ text: ONE });
  await heart.start();
  writeFileSync(file, `log: { level: debug }\ningest: { redis: { enabled: false } }\n${ONE}`);
  await heart.check();
  expect(heart.releases.current.release).toBe(1);
  expect(lines().at(-1)).toBe('needs restart: ingest.redis.enabled, log.level changed in the file');
});

test('the number goes on after a restart, and an unchanged file keeps its number', async () => {
  const first = stage({ text: ONE });
  await first.heart.start();
  writeFileSync(first.file, TWO);
  await first.heart.check();
  await first.heart.stop();
  const second = stage({ dir: first.dir });
  await second.heart.start();
  expect(second.heart.releases.current.release).toBe(2);
  await second.heart.stop();
  const third = stage({ dir: first.dir, text: ONE });
  await third.heart.start();
  expect(third.heart.releases.current.release).toBe(3);
});

test('an unreadable release file does not make numbers go back', async () => {
  const first = stage({ text: ONE });
  await first.heart.start();
  const store = join(first.dir, 'data', 'keeper', 'release.json');
  writeFileSync(store, '{"release": 7');
  const second = stage({ dir: first.dir });
  await second.heart.start();
  const since1970 = Math.floor(second.clock.now() / 1000);
  expect(second.heart.releases.current.release).toBe(since1970 + 1);
  expect(JSON.parse(readFileSync(store, 'utf8')).release).toBe(since1970 + 1);
});

test('passwords reach the bus as hashes that stay over reloads and restarts', async () => {
  const text = ONE.replace('paid:\n', 'paid:\n    password: { secret: env:PAID }\n');
  const env = { PAID: 'tell nobody' };
  const first = stage({ text, env });
  await first.heart.start();
  const hash = first.heart.releases.current.queues[0]?.passwordHash ?? '';
  expect(await verifyPassword('tell nobody', hash)).toBe(true);
  writeFileSync(first.file, TWO.replace('paid:\n', 'paid:\n    password: tell nobody\n'));
  await first.heart.check();
  expect(first.heart.releases.current).toMatchObject({ release: 2 });
  expect(first.heart.releases.current.queues[0]?.passwordHash).toBe(hash);
  const second = stage({ dir: first.dir });
  await second.heart.start();
  expect(second.heart.releases.current).toMatchObject({ release: 2 });
  expect(second.heart.releases.current.queues[0]?.passwordHash).toBe(hash);
  const store = join(first.dir, 'data', 'keeper', 'release.json');
  expect(readFileSync(store, 'utf8')).not.toContain('tell nobody');
  expect(statSync(store).mode & 0o777).toBe(0o600);
});

test('a missing secret refuses the file until it is there, without another save', async () => {
  const { heart, dir, file, clock } = stage({ text: ONE });
  await heart.start();
  const secret = join(dir, 'paid.secret');
  writeFileSync(file, ONE.replace('paid:\n', `paid:\n    password: { secret: file:${secret} }\n`));
  await heart.check();
  expect(heart.refusal).toBe(
    `${file}:3:5: queues.paid.password: the secret of file:${secret} cannot be read: ENOENT`,
  );
  writeFileSync(secret, 'now it is\n');
  await clock.advance(2_000);
  await eventually(() => expect(heart.releases.current.release).toBe(2));
  const hash = heart.releases.current.queues[0]?.passwordHash ?? '';
  expect(await verifyPassword('now it is', hash)).toBe(true);
});

test('without any file event the periodic look finds the change', async () => {
  const { heart, file, clock } = stage({ text: ONE });
  await heart.start();
  writeFileSync(file, TWO);
  await eventually(async () => {
    await clock.advance(2_000);
    expect(heart.releases.current.release).toBe(2);
  });
});

test.each([
  ['writes in place', (file: string) => writeFileSync(file, TWO)],
  [
    'writes beside and renames',
    (file: string) => {
      writeFileSync(`${file}~`, TWO);
      renameSync(`${file}~`, file);
    },
  ],
])('an editor that %s is heard within the debounce', async (_, save) => {
  const { heart, file } = stage({ text: ONE, clock: systemClock });
  await heart.start();
  save(file);
  await eventually(() => expect(heart.releases.current.release).toBe(2));
});
