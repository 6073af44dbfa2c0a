import type { EtcdEntry } from '@malabar/etcd';
import { expect, test } from 'vitest';
import { type ConvertOptions, convert, MOVED, type PlannedJob, type Replicas } from './convert.js';
import { PREFIX, readPeppercron } from './store.js';

const NOW = Date.parse('2026-11-21T10:07:13Z');

type Job = Record<string, unknown>;

/** What peppercron's API writes for a job, with a little of its own. */
const stored = (name: string, job: Job): EtcdEntry => entry(`jobs/${name}`, { name, ...job });

function entry(key: string, value: unknown): EtcdEntry {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return { key: PREFIX + key, value: Buffer.from(text), revision: 1 };
}

function plan(entries: readonly EtcdEntry[], options: Partial<ConvertOptions> = {}): PlannedJob[] {
  return convert(readPeppercron(entries), {
    crontab: new Set(),
    keepRetries: false,
    names: new Map(),
    enable: true,
    nowMs: NOW,
    ...options,
  });
}

const NIGHTLY = {
  schedule: '0 30 2 * * *',
  timezone: 'Asia/Shanghai',
  executor_params: ['php', '/srv/report.php'],
  tag: 'batch',
  concurrency: 1,
  executor_blocking: true,
};

/** A job like any other but for some fields. */
function one(job: Job, options: Partial<ConvertOptions> = {}): PlannedJob {
  return plan([stored('one', { ...NIGHTLY, ...job })], options)[0] as PlannedJob;
}

const documentOf = (planned: PlannedJob) => planned.schedules[0]?.document;

test('a job of the usual kind is the same here, without a word', () => {
  const planned = one({});
  expect(planned).toMatchObject({ warnings: [], refusals: [] });
  expect(planned.schedules).toEqual([
    {
      name: 'one',
      document: {
        cron: '0 30 2 * * *',
        fields: 6,
        zone: 'Asia/Shanghai',
        overlap: 'skip',
        run: { command: ['php', '/srv/report.php'], tag: 'batch' },
      },
    },
  ]);
  expect(planned.fires?.here).toEqual(planned.fires?.there);
  expect(planned.fires?.here[0]).toBe(Date.parse('2026-11-21T18:30:00Z'));
});

test('it comes paused unless it may fire at once', () => {
  expect(documentOf(one({}, { enable: false }))?.paused).toBe(MOVED);
  expect(documentOf(one({}, { enable: true }))?.paused).toBeUndefined();
});

test.each<[string, Job, object, RegExp | undefined]>([
  ['five fields', { schedule: '*/5 * * * *' }, { cron: '*/5 * * * * *', fields: 6 }, /five fields/],
  ['a descriptor', { schedule: '@daily' }, { cron: '@daily', zone: 'Asia/Shanghai' }, undefined],
  ['an interval', { schedule: '@every 10s', timezone: '' }, { every: '10s' }, undefined],
  [
    'an interval that does not divide a day',
    { schedule: '@every 7h', timezone: '' },
    { every: '7h', start: '1970-01-01T05:00:00.000Z' },
    undefined,
  ],
  [
    'a week, which begins on Monday there',
    { schedule: '@every 168h', timezone: '' },
    { every: '7d', start: '1970-01-05T00:00:00.000Z' },
    undefined,
  ],
  [
    'an interval in two units',
    { schedule: '@every 1h30m', timezone: '' },
    { every: '90m' },
    undefined,
  ],
  [
    'an interval below a second',
    { schedule: '@every 250ms', timezone: '' },
    { every: '1s' },
    /'@every 250ms' is 1s here/,
  ],
  ['an interval with a zone', { schedule: '@every 10s' }, { every: '10s' }, /never read/],
  ['overlap', { executor_blocking: false }, { overlap: 'allow', allow_max: 11 }, undefined],
  ['a shell', { executor_params: ['sh', '-c', 'a | b'] }, { run: { shell: 'a | b' } }, undefined],
  [
    'another shell',
    { executor_params: ['bash', '-c', 'a'] },
    { run: { command: ['bash', '-c', 'a'] } },
    undefined,
  ],
  [
    'a relative program',
    { executor_params: ['./a.sh'] },
    { run: { command: ['./a.sh'] } },
    /folder of the dispatcher/,
  ],
  ['a timeout', { executor_timeout: 90e9 }, { run: { timeout: '90s' } }, undefined],
  ['no tag', { tag: '' }, { run: { command: ['php', '/srv/report.php'] } }, /has no tag/],
  [
    'variables',
    { environment_variables: ['A=1', 'B=x=y', 'A=2', 'odd'] },
    { run: { env: { A: '2', B: 'x=y' } } },
    /A is set twice.*not NAME=value/s,
  ],
  ['retries', { retries: 3 }, { run: { tag: 'batch' } }, /retries 3 was never read/],
  ['extras', { extras: { team: 'a', page: 'b' } }, {}, /extras have no place here: team, page/],
  ['status', { status: 'idle' }, {}, /status 'idle' was never read/],
  ['an unknown field', { owner: 'ann' }, {}, /owner is no field that peppercron knows/],
  [
    'fields in another case',
    { Schedule: '@hourly', schedule: null },
    { cron: '@hourly' },
    undefined,
  ],
  [
    'no concurrency',
    { concurrency: 0 },
    { paused: expect.stringMatching(/concurrency/) },
    /never ran/,
  ],
  [
    'times for ever',
    { type: 1, schedule: '', times: 0, times_delay: 5e9 },
    { every: '5s', overlap: 'skip' },
    /counted from the end of a run/,
  ],
  [
    'so many times',
    { type: 1, schedule: '', times: 3, times_delay: 0 },
    { every: '1s', times: 3, overlap: 'skip' },
    /3 runs begin anew/,
  ],
  [
    'a schedule beside times',
    { type: 1, times: -1, times_delay: 60e9 },
    { every: '1m' },
    /schedule '0 30 2 \* \* \*' was never read/,
  ],
])('%s: taken', (_, job, document, warning) => {
  const planned = one(job);
  expect(planned.refusals).toEqual([]);
  expect(documentOf(planned)).toMatchObject(document);
  const warned = planned.warnings.join('\n');
  if (warning === undefined) expect(warned).toBe('');
  else expect(warned).toMatch(warning);
});

test.each<[string, Job, RegExp]>([
  ['a schedule that no parser reads', { schedule: 'now and then' }, /has 3 fields/],
  ['no schedule', { schedule: '' }, /has no schedule/],
  ['an unknown descriptor', { schedule: '@at 2026-01-01' }, /knows no '@at 2026-01-01'/],
  ['days, which Go does not know', { schedule: '@every 1d' }, /'1d' is no duration that Go reads/],
  ['no pause', { schedule: '@every 0s' }, /without end/],
  ['a date that never comes', { schedule: '0 0 0 30 2 *' }, /never due/],
  ['no zone', { timezone: '' }, /has no timezone.*--zone/],
  ['an unknown zone', { timezone: 'Mars/Base' }, /'Mars\/Base' is not a time zone.*agents die/],
  ['another type', { type: 7 }, /type 7 is neither/],
  ['gRPC', { executor_type: 1 }, /executor_type 1 \(gRPC\)/],
  ['HTTP', { executor_type: 2 }, /executor_type 2 \(HTTP\)/],
  ['an executor of the future', { executor_type: 9 }, /executor_type 9 \(unknown\)/],
  ['no program', { executor_params: [] }, /names no program/],
  ['a timeout that was meant in seconds', { executor_timeout: 30 }, /30 is in nanoseconds/],
  ['a timeout below zero', { executor_timeout: -1e9 }, /nanoseconds/],
  ['replicas', { concurrency: 3 }, /concurrency 3 is no limit.*--replicas/],
  ['a variable of ours', { environment_variables: ['MALABAR_X=1'] }, /'MALABAR_X' cannot be set/],
  ['a variable with an odd name', { environment_variables: ['a-b=1'] }, /'a-b' cannot be set/],
  ['a tag with an odd name', { tag: 'web shop' }, /tag has only letters/],
  ['a field of another kind', { times: '3' }, /times is no number/],
  ['a list that is none', { executor_params: 'php a.php' }, /executor_params is no list of text/],
  ['another name than its key', { name: 'two' }, /its value calls it 'two', its key 'one'/],
])('%s: refused', (_, job, reason) => {
  const planned = one(job);
  expect(planned.refusals.join('\n')).toMatch(reason);
  expect(planned.schedules).toEqual([]);
});

test('a job without a name is refused by its key', () => {
  const [planned] = plan([stored('', NIGHTLY)]);
  expect(planned).toMatchObject({ key: '/pepper/cron/jobs/', schedules: [] });
  expect(planned?.refusals.join()).toMatch(/name of a schedule has 1 to 128/);
});

test('what is no JSON is refused by its key', () => {
  const [planned] = plan([entry('jobs/broken', '{"name":')]);
  expect(planned).toMatchObject({
    key: '/pepper/cron/jobs/broken',
    refusals: ['its value is no JSON object'],
  });
});

test('the zone of the machines is asked for only where it matters', () => {
  expect(documentOf(one({ timezone: '' }, { zone: 'Asia/Tokyo' }))?.zone).toBe('Asia/Tokyo');
  expect(documentOf(one({ timezone: 'Local' }, { zone: 'Asia/Tokyo' }))?.zone).toBe('Asia/Tokyo');
  expect(one({ timezone: '', schedule: '@every 1m' }).refusals).toEqual([]);
});

test('five fields are a crontab only where somebody says so, and the other readings are shown', () => {
  const job = { schedule: '30 2 * * *', timezone: 'UTC' };
  const there = '2026-11-21T11:02:30.000Z';
  const here = '2026-11-22T02:30:00.000Z';
  const first = (times: readonly number[] | undefined) => new Date(times?.[0] ?? 0).toISOString();
  const kept = one(job);
  expect(documentOf(kept)).toMatchObject({ cron: '30 2 * * * *', fields: 6 });
  expect([kept.fires?.there, kept.fires?.here, kept.fires?.crontab].map(first)).toEqual([
    '2026-11-21T11:02:30.000Z',
    there,
    here,
  ]);
  const turned = one(job, { crontab: new Set(['one']) });
  expect(documentOf(turned)).toMatchObject({ cron: '30 2 * * *', fields: 5 });
  expect([turned.fires?.there, turned.fires?.here].map(first)).toEqual([there, here]);
  expect(turned.warnings.join('\n')).toMatch(/crontab now.*fires otherwise than at peppercron/s);
});

test('where clocks change the two differ, and that is said with the time', () => {
  const { warnings } = one({ timezone: 'Europe/Berlin' });
  expect(warnings).toEqual([
    'fires otherwise than at peppercron, first at 2027-03-28T03:00:00+02:00, where clocks change',
  ]);
  expect(one({ timezone: 'Europe/Berlin', schedule: '0 30 5 * * *' }).warnings).toEqual([]);
});

test('a schedule of each second fires as often as it says, and that is said', () => {
  const planned = one({ schedule: '@every 1s', timezone: '' });
  expect(planned.warnings.join('\n')).toMatch(/leaves out a time within a second/);
  const [a = 0, b = 0] = planned.fires?.there ?? [];
  expect(b - a).toBe(2_000);
});

test('retries count where somebody wants them', () => {
  const planned = one({ retries: 3 }, { keepRetries: true });
  expect(documentOf(planned)?.run).toMatchObject({ retry: { attempts: 4 } });
  expect(planned.warnings).toEqual([]);
});

test('replicas become one run, a run on every node, or schedules that a child waits for all', () => {
  const entries = [
    stored('p', { ...NIGHTLY, concurrency: 2 }),
    stored('c', { ...NIGHTLY, schedule: '', dependent_jobs: ['p'] }),
  ];
  const names = (replicas: Replicas) =>
    plan(entries, { replicas }).map(({ schedules }) => schedules.map(({ name }) => name));
  expect(names('once')).toEqual([['c'], ['p']]);
  expect(names('copies')).toEqual([['c'], ['p.1', 'p.2']]);
  expect(names('nodes')).toEqual([['c'], ['p']]);
  const [, parent] = plan(entries, { replicas: 'nodes' });
  expect(documentOf(parent as PlannedJob)?.run).toMatchObject({ tag: 'batch', on: 'all' });
  const [child] = plan(entries, { replicas: 'copies' });
  expect(documentOf(child as PlannedJob)?.after).toEqual({
    schedules: ['p.1', 'p.2'],
    on: 'always',
    need: 'all',
  });
});

test('children follow all of their parents, by the names that these have here', () => {
  const entries = [
    stored('17', NIGHTLY),
    stored('18', NIGHTLY),
    stored('19', { ...NIGHTLY, schedule: '', dependent_jobs: ['17', '18', '17'] }),
  ];
  const planned = plan(entries, { names: new Map([['17', 'orders']]) });
  expect(documentOf(planned[2] as PlannedJob)).toMatchObject({
    after: { schedules: ['orders', '18'], on: 'always', need: 'all' },
  });
  expect(planned[2]?.warnings.join('\n')).toMatch(/ran it once and never again/);
});

test('unknown parents, circles and what hangs on them are refused by name', () => {
  const child = (...parents: string[]) => ({ ...NIGHTLY, schedule: '', dependent_jobs: parents });
  const planned = plan([
    stored('a', child('b')),
    stored('b', child('a')),
    stored('below', child('a')),
    stored('far', child('below')),
    stored('fine', child('root')),
    stored('lost', child('nobody', 'root')),
    stored('root', NIGHTLY),
    stored('self', child('self')),
    entry('jobs/torn', '['),
    stored('under-torn', child('torn')),
  ]);
  const refusals = Object.fromEntries(planned.map(({ name, refusals }) => [name, refusals]));
  expect(refusals).toEqual({
    a: ['waits for itself, so it never ran: a after b after a'],
    b: ['waits for itself, so it never ran: a after b after a'],
    below: ["its parent 'a' is refused"],
    far: ["its parent 'below' is refused"],
    fine: [],
    lost: ["its parent 'nobody' is no job of peppercron"],
    root: [],
    self: ['waits for itself, so it never ran: self after self'],
    torn: ['its value is no JSON object'],
    'under-torn': ["its parent 'torn' is refused"],
  });
});

test('two jobs that would be one schedule are both refused', () => {
  const entries = [stored('a', NIGHTLY), stored('b', NIGHTLY)];
  const planned = plan(entries, { names: new Map([['a', 'b']]) });
  expect(planned.map(({ refusals }) => refusals)).toEqual([
    ["would be the schedule b, as 'b' would"],
    ["would be the schedule b, as 'a' would"],
  ]);
});

test('a name that schedules cannot have is refused until it gets another one', () => {
  const entries = [stored('close orders', NIGHTLY)];
  expect(plan(entries)[0]?.refusals.join()).toMatch(/letters, digits/);
  const names = new Map([['close orders', 'close-orders']]);
  expect(plan(entries, { names })[0]?.schedules[0]?.name).toBe('close-orders');
});

test('what peppercron has completed stays paused, but a child does not', () => {
  const done = entry('dispatch/one', { job_completed: true, dependents: {}, running_agents: {} });
  const times = { ...NIGHTLY, type: 1, times: 2, schedule: '' };
  const [planned] = plan([stored('one', times), done]);
  expect(documentOf(planned as PlannedJob)?.paused).toBe('peppercron has completed it');
  const child = { ...NIGHTLY, schedule: '', dependent_jobs: ['two'] };
  const [second] = plan([stored('one', child), stored('two', NIGHTLY), done]);
  expect(documentOf(second as PlannedJob)?.paused).toBeUndefined();
});

test('a tag that no node carries is said', () => {
  const node = (tags: string) => entry('conf/nodes/n1', { tags });
  const [nobody] = plan([stored('one', NIGHTLY), node('web,shop')]);
  expect(nobody?.warnings).toEqual([
    'no node of peppercron carries the tag batch, so it never ran',
  ]);
  expect(plan([stored('one', NIGHTLY), node('web,batch')])[0]?.warnings).toEqual([]);
  const alive = entry('agent/nodes/alive/n2', 'web');
  const [idle] = plan([stored('one', NIGHTLY), node('batch'), alive]);
  expect(idle?.warnings).toEqual([
    'no living node of peppercron carries the tag batch, so it does not run',
  ]);
});
