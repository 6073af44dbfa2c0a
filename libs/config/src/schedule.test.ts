import { config, keeper } from '@malabar/contracts';
import {
  createSchedule,
  MISFIRES_MAX,
  nextFires,
  PARENTS_MAX,
  RUNS_MAX,
  scheduleFaults,
} from '@malabar/schedule';
import { expect, test } from 'vitest';
import {
  BusFilesReader,
  ConfigError,
  createPasswordHashes,
  documentsToFiles,
  filesToBusConfig,
  loadConfig,
  maskConfig,
  readConfig,
  readSchedule,
  scheduleSpecs,
} from './index.js';

const QUEUES = 'queues: { q: { topics: {} } }';
const file = (schedules: string): string => `${QUEUES}\nschedules:\n  ${schedules}\n`;

/** Every fault, as `line: key: message`. */
function faults(schedules: string): string[] {
  try {
    loadConfig({ file: 'f', text: file(schedules) });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.faults.map(
      ({ line, key, message }) => `${line}: ${key.replace('schedules.', '')}: ${message}`,
    );
  }
  return [];
}

async function busConfig(schedules: string, env = {}): Promise<keeper.BusConfig> {
  const loaded = readConfig({ file: 'f', text: file(schedules) });
  return filesToBusConfig(await documentsToFiles(loaded, { env, hashes: createPasswordHashes() }));
}

test('a schedule that pushes has defaults, and implies the queues of the scheduler', async () => {
  const { schedules, queues } = await busConfig('a: { every: 90s, push: { queue: q, body: x } }');
  expect(schedules).toEqual([
    keeper.ScheduleConfig.fromPartial({
      name: 'a',
      when: { $case: 'everyMs', value: 90_000 },
      overlap: keeper.RunOverlap.ALLOW,
      misfire: { fire: keeper.MisfireFire.ONCE, max: 100 },
      job: { queue: 'q', body: Buffer.from('x') },
    }),
  ]);
  expect(queues.map(({ name }) => name)).toEqual(['q', 'malabar.runs', 'malabar.scheduler']);
  expect(queues.slice(1).every(({ passwordHash }) => passwordHash !== '')).toBe(true);
});

test('without schedules there are no queues but those that are named', async () => {
  expect((await busConfig('{}')).queues.map(({ name }) => name)).toEqual(['q']);
});

test('a command is a queue of its own, told of by its results, and one for tests', async () => {
  const run = '{ command: [php, x.php], tag: batch, timeout: 5m, env: { T: { secret: env:T } } }';
  const { schedules, queues } = await busConfig(`a: { cron: "@daily", run: ${run} }`, { T: 'no' });
  expect(schedules[0]).toMatchObject({ runs: true, overlap: keeper.RunOverlap.SKIP });
  expect(schedules[0]?.job?.queue).toBe('schedule.a');
  const [, own, tests] = queues;
  expect(own).toMatchObject({ name: 'schedule.a', retentionMs: 7 * 86_400_000 });
  expect(own?.topics).toMatchObject([
    {
      name: 'run',
      timeoutMs: 300_000,
      retry: { attempts: 1 },
      result: { queue: 'malabar.runs' },
      target: { value: { argv: ['php', 'x.php'], tag: 'batch', env: { T: 'no' } } },
    },
  ]);
  expect(tests).toMatchObject({ name: 'schedule-test.a', topics: [{ concurrency: 1 }] });
  expect(tests?.topics[0]?.result).toBeUndefined();
});

test('a command on all nodes is placed by each of its jobs', async () => {
  const run = '{ command: [logrotate, /etc/x], tag: edge, on: all, wait: 5m }';
  const { schedules, queues } = await busConfig(`a: { cron: "@daily", run: ${run} }`);
  expect(schedules[0]?.broadcast).toEqual({ tag: 'edge', waitMs: 300_000 });
  expect(scheduleSpecs(schedules)[0]).toMatchObject({ everywhere: true, tracked: true });
  expect(queues.slice(1, 3)).toMatchObject([
    { topics: [{ concurrencyEach: true, target: { value: { tag: 'edge', node: '' } } }] },
    { topics: [{ concurrencyEach: false, target: { value: { tag: 'edge', node: '' } } }] },
  ]);
  const one = await busConfig('a: { every: 1s, run: { command: [x], on: all } }');
  expect(one.schedules[0]?.broadcast).toEqual({ tag: '', waitMs: 60_000 });
  const any = await busConfig('a: { every: 1s, run: { command: [x], on: web-1 } }');
  expect(any.schedules[0]?.broadcast).toBeUndefined();
});

test('dates without an offset are those of the zone', async () => {
  const { schedules } = await busConfig(
    'a: { at: [2030-01-01T09:30, 2030-01-02T00:00Z], zone: Asia/Tokyo, push: { queue: q } }',
  );
  const at = [Date.UTC(2030, 0, 1, 0, 30), Date.UTC(2030, 0, 2)];
  expect(schedules[0]?.when).toEqual({ $case: 'at', value: { atMs: at } });
});

test('what the services read gives the times that the author meant', async () => {
  const { schedules } = await busConfig(
    'a: { cron: "30 2 * * *", zone: Europe/Berlin, clocks: { gap: skip }, push: { queue: q } }',
  );
  const [spec] = scheduleSpecs(schedules);
  const schedule = createSchedule(spec as NonNullable<typeof spec>);
  const fires = nextFires(schedule, Date.UTC(2030, 2, 29, 12), 3);
  expect(fires.map(({ nominalMs }) => new Date(nominalMs).toISOString())).toEqual([
    '2030-03-30T01:30:00.000Z',
    '2030-04-01T00:30:00.000Z',
    '2030-04-02T00:30:00.000Z',
  ]);
});

test('runs are tracked where it matters how they end', async () => {
  const { schedules } = await busConfig(
    [
      'free: { every: 1s, push: { queue: q } }',
      'parent: { every: 1s, push: { queue: q } }',
      'child: { after: { schedules: [parent] }, push: { queue: q } }',
      'careful: { every: 1s, pause_after_failures: 1, push: { queue: q } }',
      'alone: { every: 1s, overlap: skip, push: { queue: q } }',
    ].join('\n  '),
  );
  const tracked = scheduleSpecs(schedules).flatMap((spec) => (spec.tracked ? [spec.name] : []));
  expect(tracked.sort()).toEqual(['alone', 'careful', 'parent']);
});

test('a command on all nodes can be written back', () => {
  const text = file('a: { every: 90s, run: { command: [date], on: all } }');
  const { schedules } = maskConfig(loadConfig({ file: 'f', text })) as { schedules: object };
  expect(schedules).toMatchObject({ a: { run: { command: ['date'], on: 'all', wait: '1m' } } });
});

test('the effective configuration can be written back', () => {
  const text = file(
    'a: { every: 90s, jitter: 10s, run: { command: [date], grace: 1s }, overlap: queue_one }',
  );
  const { schedules } = maskConfig(loadConfig({ file: 'f', text })) as { schedules: object };
  expect(schedules).toMatchObject({
    a: {
      every: '90s',
      jitter: '10s',
      overlap: 'queue_one',
      run: { command: ['date'], grace: '1s' },
    },
  });
  const again = `${QUEUES}\nschedules: ${JSON.stringify(schedules)}`;
  expect(maskConfig(loadConfig({ file: 'f', text: again }))).toMatchObject({ schedules });
});

test.each([
  ['a: {}', '3: a: needs one of cron, every, at and after', '3: a: needs either push or run'],
  [
    'a: { every: 1s, cron: "* * * * *", push: { queue: q } }',
    '3: a: needs one of cron, every, at and after',
  ],
  ['a: { every: 1s, push: { queue: q }, run: [date] }', '3: a: needs either push or run'],
  ['a: { every: 500ms, push: { queue: q } }', '3: a.every: an interval has at least one second'],
  [
    'a: { cron: "*/5 * * * *", fields: 6, push: { queue: q } }',
    "3: a.cron: '*/5 * * * *' has 5 fields where 6 were declared",
  ],
  [
    'a: { cron: "* * *", push: { queue: q } }',
    "3: a.cron: '* * *' has 3 fields; a cron expression has 5, or 6 with the second first",
  ],
  ['a: { every: 1s, fields: 5, push: { queue: q } }', '3: a.fields: means nothing without cron'],
  ['a: { cron: "0 0 30 2 *", push: { queue: q } }', '3: a: is never due'],
  [
    'a: { every: 1s, zone: Mars/Base, push: { queue: q } }',
    "3: a.zone: 'Mars/Base' is not a time zone; use a name such as Europe/Berlin or UTC",
  ],
  [
    'a: { every: 1s, run: { command: [x], wait: 5s } }',
    '3: a.run.wait: means nothing without on: all',
  ],
  ['a: { every: 1s, run: { command: [x], on: all, wait: 5ms } }', '3: a.run.wait: is less than 1s'],
  ['a: { at: 2030-02-30, push: { queue: q } }', '3: a.at: there is no 2030-02-30'],
  ['a: { at: 2200-01-01, push: { queue: q } }', "3: a.at: '2200-01-01' is beyond the year 2199"],
  [
    'a: { every: 1s, start: 2030-01-02, end: 2030-01-01, push: { queue: q } }',
    '3: a.end: is not after start',
  ],
  [
    'a: { cron: "0 0 1 1 *", start: 2030-01-02, end: 2030-02-01, push: { queue: q } }',
    '3: a: is never due',
  ],
  [
    'a: { every: 1s, jitter: -1s, push: { queue: q } }',
    "3: a.jitter: '-1s' is not a duration, e.g. 250ms, 30s, 5m, 2h or 7d",
  ],
  [
    'a: { every: 1s, push: { queue: Q } }',
    "3: a.push.queue: 'Q' is not one of queues; did you mean 'q'?",
  ],
  [
    'a: { every: 1s, push: { queue: q, headers: { malabar-run: x } } }',
    '3: a.push.headers.malabar-run: is set by the bus itself',
  ],
  [
    'a: { every: 1s, system: shop, push: { queue: q } }',
    "3: a.system: 'shop' is not one of systems",
  ],
  [
    'a: { after: { schedules: [b] }, push: { queue: q } }',
    "3: a.after.schedules.0: 'b' is not one of schedules",
  ],
  [
    'a: { after: { schedules: [a] }, push: { queue: q } }',
    '3: a.after.schedules.0: follows itself',
  ],
  [
    'a: { every: 1s, overlap: skip, allow_max: 2, push: { queue: q } }',
    '3: a.allow_max: means nothing to overlap: skip',
  ],
  [
    'a: { every: 1s, overlap: replace, push: { queue: q } }',
    '3: a.overlap: can only end what `run` runs',
  ],
  [
    'a: { every: 1s, run: date }',
    "3: a.run: 'date' is not a command, e.g. { command: [php, report.php] }",
  ],
  ['a: { every: 1s, run: { argv: [date] } }', '3: a.run.argv: is called command here'],
  [
    'a: { every: 1s, run: { shell: date, timeout: 5 } }',
    "3: a.run.timeout: '5' has no unit; write '5s' or '5ms'",
  ],
  [
    'a b: { every: 1s, push: { queue: q } }',
    '3: a b: a name of a schedule has only letters, digits, _ . -',
  ],
  [
    'a: { every: 1s, run: [date] }\n  b: { after: { schedules: [a], delay: -5s }, run: [date] }',
    "4: b.after.delay: '-5s' is not a duration, e.g. 250ms, 30s, 5m, 2h or 7d",
  ],
  [
    'a: { every: 1s, misfire: { fire: all, max: 1001 }, push: { queue: q } }',
    "3: a.misfire.max: '1001' is above the most, 1000",
  ],
])('%s is refused', (schedules, ...lines) => {
  expect(faults(schedules).slice(0, lines.length)).toEqual(lines);
});

test('what the file may say is what the scheduler takes, to the last number', async () => {
  const [parents, runs] = [Array.from({ length: PARENTS_MAX }, (_, i) => `p${i}`), 'run: [date]'];
  const { schedules } = await busConfig(
    `a: { every: 1s, misfire: { fire: all, max: ${MISFIRES_MAX} }, push: { queue: q } }
  b: { every: 1s, overlap: allow, allow_max: ${RUNS_MAX}, ${runs} }
  c: { after: { schedules: [${parents}] }, ${runs} }
  ${parents.map((name) => `${name}: { every: 1s, ${runs} }`).join('\n  ')}`,
  );
  expect(schedules).toHaveLength(3 + PARENTS_MAX);
  const specs = scheduleSpecs(schedules);
  expect(specs.find(({ name }) => name === 'a')?.misfire?.max).toBe(MISFIRES_MAX);
  expect(scheduleFaults(specs, Date.now())).toEqual([]);
});

test('a circle is refused once, with its way', () => {
  const after = (parent: string): string => `{ after: { schedules: ${parent} }, run: [date] }`;
  expect(faults(`a: ${after('c')}\n  b: ${after('a')}\n  c: ${after('b')}`)).toEqual([
    '3: a.after: waits for itself: a after c after b after a',
  ]);
});

test("the bus's own queues cannot be named by anybody else", () => {
  const queues = 'queues: { malabar.x: { topics: {} }, schedule.a: { topics: {} } }';
  const text = `${queues}\nschedules: { a: { every: 1s, run: [date] } }`;
  expect(() => loadConfig({ file: 'f', text })).toThrow(
    /queues whose names begin with malabar\. are the bus's own\n.*is made by the schedule a/s,
  );
});

test('what the keeper refuses of a document names the file, the schedule and the key', () => {
  const document = '{"every": "1s", "push": {"queue": "none"}, "systm": "x"}';
  const file = config.ConfigFile.fromPartial({
    path: '/schedules.conf',
    sections: [{ name: 'a', entries: [{ key: 'document', type: 'json', raw: document }] }],
  });
  expect(new BusFilesReader().faults([file])).toMatchObject([
    { section: 'a', key: 'document', message: "systm: unknown key; did you mean 'system'?" },
    { section: 'a', key: 'document', message: "push.queue: 'none' is not one of queues" },
  ]);
});

test('one document is read on its own', () => {
  expect(readSchedule('a', '{"every": "1s", "push": {"queue": "anything"}}')).toMatchObject({
    faults: [],
    spec: { name: 'a', everyMs: 1_000 },
  });
  expect(readSchedule('a', '{"every": "1d"}').faults).toEqual(['needs either push or run']);
  expect(readSchedule('a', '{').faults).toEqual(['is not JSON']);
});
