import { expect, test } from 'vitest';
import { familyTree } from './family.js';
import { nextFires, scheduleFaults } from './faults.js';
import { createSchedule, type ScheduleSpec } from './schedule.js';

const NOW = Date.parse('2026-07-01T00:00:00Z');

const spec = (rest: Partial<ScheduleSpec>, name = 'one'): ScheduleSpec => ({
  name,
  tracked: true,
  ...rest,
});
const after = (name: string, ...schedules: string[]): ScheduleSpec =>
  spec({ after: { schedules } }, name);
const faults = (...schedules: ScheduleSpec[]): string[] =>
  scheduleFaults(schedules, NOW).map(({ schedule, message }) => `${schedule}: ${message}`);

const refused: Array<[fact: string, given: Partial<ScheduleSpec>, message: string]> = [
  ['no timetable', {}, 'says not when: it needs one of cron, every, at and after'],
  [
    'contradictory keys',
    { cron: '0 0 * * *', everyMs: 1_000 },
    'has cron and every, which contradict each other',
  ],
  ['fields without cron', { everyMs: 1_000, fields: 6 }, 'has fields, but no cron'],
  ['30 February', { cron: '0 0 30 2 *' }, 'never fires'],
  ['a date that no calendar has', { at: ['2026-02-30'] }, 'there is no 2026-02-30'],
  ['only the past', { at: ['2026-06-30'] }, 'never fires'],
  [
    'an unknown zone',
    { cron: '0 0 * * *', zone: 'Mars/Olympus' },
    "'Mars/Olympus' is not a time zone; use a name such as Europe/Berlin or UTC",
  ],
  [
    '5 fields where 6 were declared',
    { cron: '*/5 * * * *', fields: 6 },
    "'*/5 * * * *' has 5 fields where 6 were declared",
  ],
  ['the year 2200', { at: ['2200-01-01'] }, "'2200-01-01' is beyond the year 2199"],
  [
    'an end in the past',
    { everyMs: 1_000, end: '2026-01-01' },
    'never fires: it ended at 2026-01-01',
  ],
  [
    'an end before the start',
    { everyMs: 1_000, start: '2027-01-02', end: '2027-01-01' },
    'ends before it starts',
  ],
  ['no times', { everyMs: 1_000, times: 0 }, 'times is 0; it must be at least 1'],
  ['a negative jitter', { everyMs: 1_000, jitterMs: -1 }, 'jitter is -1; it must be at least 0'],
  ['an interval too short', { everyMs: 10 }, 'an interval has at least one second'],
  [
    'room for no run',
    { everyMs: 1_000, overlap: { kind: 'allow', max: 0 } },
    'allow_max is 0; it must be from 1 to 1000',
  ],
];

test.each(refused)('refused: %s', (_, given, message) => {
  expect(faults(spec(given))).toEqual([`one: ${message}`]);
});

test('a negative delay, unknown and silent parents are refused', () => {
  const parents = [spec({ everyMs: 1_000 }), spec({ everyMs: 1_000, tracked: false }, 'silent')];
  const child = (...schedules: string[]) => after('child', ...schedules);
  expect(faults(...parents, child('one'))).toEqual([]);
  expect(faults(...parents, child('one', 'nobody'))).toEqual([
    "child: follows 'nobody', which there is not",
  ]);
  expect(faults(...parents, child('silent'))).toEqual([
    "child: follows 'silent', of whose runs nobody hears how they end",
  ]);
  const delayed = spec({ after: { schedules: ['one'], delayMs: -5 } }, 'child');
  expect(faults(...parents, delayed)).toEqual(['child: the delay is -5; it must be at least 0']);
});

test('a circle is refused once, with its names', () => {
  const circle = [after('a', 'c'), after('b', 'a'), after('c', 'b'), after('d', 'a')];
  expect(faults(...circle)).toEqual(['a: waits for itself: a follows c follows b follows a']);
  expect(faults(after('a', 'a'))).toEqual(['a: waits for itself: a follows a']);
});

test('the family tree shows who follows whom', () => {
  const family = [spec({ everyMs: 1_000 }, 'root'), after('x', 'root'), after('y', 'root', 'x')];
  expect(familyTree(family)).toEqual([
    {
      schedule: 'root',
      children: [
        { schedule: 'x', children: [{ schedule: 'y', children: [] }] },
        { schedule: 'y', children: [] },
      ],
    },
  ]);
});

test('the next fires are five, or as many as there are, and none before the start', () => {
  const fires = (given: Partial<ScheduleSpec>) =>
    nextFires(createSchedule(spec(given)), NOW).map(({ nominalMs }) =>
      new Date(nominalMs).toISOString().slice(0, 16),
    );
  expect(fires({ cron: '30 2 * * *', zone: 'Asia/Shanghai', start: '2026-08-01' })).toEqual([
    '2026-07-31T18:30',
    '2026-08-01T18:30',
    '2026-08-02T18:30',
    '2026-08-03T18:30',
    '2026-08-04T18:30',
  ]);
  expect(fires({ everyMs: 3_600_000, times: 2 })).toEqual(['2026-07-01T01:00', '2026-07-01T02:00']);
});
