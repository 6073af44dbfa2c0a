import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { common, type scheduler, type storage } from '@malabar/contracts';
import { eventually, run, tempDir } from '@malabar/testkit';
import { afterEach, expect, test } from 'vitest';
import { type Bus, MALABAR, startBus } from '../harness/bus.js';
import { type CommandLine, commandLine } from '../harness/command.js';

const { READY, DONE, DEAD, DISCARDED } = common.DeliveryState;
const open: Bus[] = [];

afterEach(async () => {
  for (const bus of open.splice(0)) await bus.stop();
});

async function start(documents: string): Promise<Bus> {
  const bus = await startBus({ documents });
  open.push(bus);
  return bus;
}

const PULL = 'topics: { inbox: { target: pull } }';

async function jobs(
  bus: Bus,
  queue: string,
  state: common.DeliveryState = READY,
): Promise<storage.Delivery[]> {
  const place = { queue, topic: 'inbox', state, limit: 1_000, cursor: '', withBody: true };
  return [...(await bus.storage.listJobs(place)).deliveries];
}

const header = ({ job }: storage.Delivery, name: string): string => job?.headers[name] ?? '';

const nominals = (all: readonly storage.Delivery[]): number[] =>
  all.map((one) => Number(header(one, 'malabar-nominal'))).sort((a, b) => a - b);

async function runs(command: CommandLine, schedule: string): Promise<scheduler.ScheduledRun[]> {
  const { runs } = await command.json<scheduler.ListRunsResponse>('schedules', 'runs', schedule);
  return [...runs];
}

test('a fire is a job with the name and the nominal time of its schedule; kill -9 loses and doubles none', async () => {
  const bus = await start(`
queues: { ticks: { ${PULL} } }
schedules:
  tick: { every: 1s, misfire: { fire: all }, push: { queue: ticks, body: hello, headers: { a: b } } }
`);
  await eventually(async () => expect((await jobs(bus, 'ticks')).length).toBeGreaterThan(2));
  for (let kills = 0; kills < 2; kills++) {
    await bus.kill('all', 'SIGKILL');
    await bus.start('all');
    const before = (await jobs(bus, 'ticks')).length;
    await eventually(
      async () => expect((await jobs(bus, 'ticks')).length).toBeGreaterThan(before + 2),
      { timeoutMs: 30_000 },
    );
  }
  const all = await jobs(bus, 'ticks');
  const times = nominals(all);
  const first = times[0] as number;
  expect(times).toEqual(times.map((_, at) => first + at * 1_000));
  expect(all[0]?.job?.headers).toMatchObject({ a: 'b', 'malabar-schedule': 'tick' });
  expect(Buffer.from(all[0]?.job?.body ?? '').toString()).toBe('hello');
});

test('a saved file changes schedules at once; a broken one is refused with its line', async () => {
  const schedule = (line: string): string =>
    `queues: { q: { ${PULL} } }\nschedules:\n  one: ${line}\n`;
  const bus = await start(schedule('{ cron: "0 3 * * *", push: { queue: q } }'));
  const command = commandLine(bus);
  expect(await command.ok('schedules', 'next', 'one', '--count', '2')).toMatch(
    /^\S+ \S+\n\S+ \S+$/,
  );
  bus.save(schedule('{ cron: "0 3 30 2 *", push: { queue: q } }'));
  await eventually(() => expect(bus.log('all')).toMatch(/malabar\.yaml:3.*is never due/));
  bus.save(schedule('{ every: 1s, times: 2, push: { queue: q } }'));
  await eventually(async () => expect(await jobs(bus, 'q')).toHaveLength(2), { timeoutMs: 10_000 });
  await eventually(async () => expect(await command.ok('schedules')).toMatch(/one +every 1s/));
});

test('commands run by the clock, others follow them, and history tells of all', async () => {
  const bus = await start(`
queues: {}
schedules:
  parent:
    at: "2020-01-01"
    run: { shell: "echo first; exit $CODE", env: { CODE: "0" } }
  child:
    after: { schedules: [parent] }
    run: { shell: 'echo "$MALABAR_HEADER_MALABAR_PARENTS"' }
  lament:
    after: { schedules: [parent], on: failure }
    run: [echo, never]
`);
  const command = commandLine(bus);
  await command.ok('schedules', 'trigger', 'parent');
  const [child] = await eventually(async () => {
    const found = await runs(command, 'child');
    expect(found).toMatchObject([{ state: DONE }]);
    return found;
  });
  const [parent] = await runs(command, 'parent');
  const { job } = await bus.storage.getJob({ jobId: child?.jobId ?? '' });
  expect(JSON.parse(job?.headers['malabar-parents'] ?? '')).toMatchObject([
    { schedule: 'parent', run: parent?.run, status: 'done', output: 'first\n' },
  ]);
  expect(await runs(command, 'lament')).toEqual([]);
  expect(await command.ok('schedules', 'tree', 'child')).toBe('parent\n├─ child\n└─ lament');
});

test('runs do not overlap unless they may, and those that do not happen are told of', async () => {
  const bus = await start(`
queues: {}
schedules:
  slow: { every: 1s, run: { shell: sleep 60 } }
`);
  const command = commandLine(bus);
  await eventually(
    async () => {
      const found = await runs(command, 'slow');
      expect(found.filter(({ skipped }) => skipped === 'overlap').length).toBeGreaterThan(1);
      expect(found.filter(({ skipped }) => skipped === '')).toHaveLength(1);
    },
    { timeoutMs: 15_000 },
  );
  expect(await command.ok('schedules', 'runs', 'slow')).toMatch(/did not run.*overlap/);
});

test('a run whose place the next one takes is ended', async () => {
  const bus = await start(`
queues: {}
schedules:
  slow: { every: 2s, overlap: replace, run: { shell: sleep 60 } }
`);
  const command = commandLine(bus);
  await eventually(
    async () => {
      const dead = await runs(command, 'slow').then((all) =>
        all.filter(({ state }) => state === DEAD),
      );
      expect(dead[0]?.error).toMatch(/replaced by the next/);
    },
    { timeoutMs: 20_000 },
  );
});

test('a schedule whose runs fail pauses itself, until somebody resumes it', async () => {
  const mended = join(tempDir('schedules'), 'mended');
  const bus = await start(`
queues: {}
schedules:
  broken: { every: 1s, pause_after_failures: 2, run: { shell: "test -e ${mended}" } }
`);
  const command = commandLine(bus);
  await eventually(
    async () => expect(await command.ok('schedules')).toMatch(/paused: 2 runs failed/),
    { timeoutMs: 30_000 },
  );
  writeFileSync(mended, '');
  await command.ok('schedules', 'resume', 'broken');
  expect(await command.ok('schedules')).not.toMatch(/paused/);
});

test('a pause is a release; a test run and a trigger do not need an end of it', async () => {
  const bus = await start(`
queues: {}
schedules:
  tick: { every: 1s, overlap: allow, run: { shell: "echo tried" } }
`);
  const command = commandLine(bus);
  await command.ok('schedules', 'pause', 'tick', '-m', 'not now');
  await eventually(async () => expect(await command.ok('schedules')).toMatch(/paused: not now/));
  const before = await runs(command, 'tick');
  const job = await command.ok('schedules', 'test', 'tick', '--limit', '30s');
  await eventually(async () => {
    const { deliveries } = await bus.storage.getJob({ jobId: job });
    expect(deliveries).toMatchObject([{ queue: 'schedule-test.tick', state: DONE }]);
  });
  expect((await runs(command, 'tick')).length).toBe(before.length);
  await command.ok('schedules', 'trigger', 'tick');
  await eventually(async () => {
    expect((await runs(command, 'tick')).length).toBe(before.length + 1);
  });
});

test('a backfill runs the times of the past, so many at once', async () => {
  const bus = await start(`
queues: { q: { ${PULL} } }
schedules:
  daily: { cron: "0 0 * * *", push: { queue: q } }
`);
  const command = commandLine(bus);
  const from = '2024-02-27T00:00:00Z';
  const range = ['--from', from, '--to', '2024-03-03T00:00:00Z', '--concurrency', '2'];
  expect(await command.ok('schedules', 'backfill', 'daily', ...range)).toBe(
    'daily: 5 runs to come',
  );
  await eventually(async () => {
    const times = nominals(await jobs(bus, 'q'));
    expect(times).toEqual([0, 1, 2, 3, 4].map((day) => Date.parse(from) + day * 86_400_000));
  });
  expect(await jobs(bus, 'q', DISCARDED)).toEqual([]);
});

test('config check names the next five fires of each schedule, and every fault', async () => {
  const bus = await start('queues: {}');
  const file = join(bus.dir, 'other.yaml');
  const check = () => run(process.execPath, [MALABAR, 'config', 'check', file], { cwd: bus.dir });
  writeFileSync(
    file,
    `queues: { q: { ${PULL} } }\nschedules: { new-year: { cron: "0 0 1 1 *", zone: Asia/Tokyo, push: { queue: q } } }\n`,
  );
  const { code, stdout } = await check();
  expect(code).toBe(0);
  expect(stdout).toMatch(/1 schedule/);
  expect(stdout.match(/-01-01T00:00:00\+09:00/g)).toHaveLength(5);
});
