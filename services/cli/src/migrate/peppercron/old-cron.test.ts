import { cronTimetable, upcoming, zoneOf } from '@malabar/schedule';
import { seededRandom } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { parseOldCron } from './old-cron.js';

const FROM = Date.parse('2026-11-21T10:07:13Z');

function times(expression: string, { zone = 'UTC', from = FROM, count = 3 } = {}): string[] {
  const timetable = parseOldCron(expression).timetable(zoneOf(zone));
  return upcoming(timetable, from, count).map((at) => new Date(at).toISOString().slice(0, 19));
}

test.each([
  ['0 30 2 * * *', ['2026-11-22T02:30:00', '2026-11-23T02:30:00', '2026-11-24T02:30:00']],
  // Five fields begin with the second too: this is each five seconds, not each five minutes.
  ['*/5 * * * *', ['2026-11-21T10:07:15', '2026-11-21T10:07:20', '2026-11-21T10:07:25']],
  // And this is no night of a Monday but the third minute of each hour in January.
  ['0 3 * * 1', ['2027-01-01T00:03:00', '2027-01-01T01:03:00', '2027-01-01T02:03:00']],
  ['? 5/20 * ? * ?', ['2026-11-21T10:25:00', '2026-11-21T10:25:01', '2026-11-21T10:25:02']],
  ['0 5/20 * * * *', ['2026-11-21T10:25:00', '2026-11-21T10:45:00', '2026-11-21T11:05:00']],
  ['0 0 9-17/4 * * MON-fri', ['2026-11-23T09:00:00', '2026-11-23T13:00:00', '2026-11-23T17:00:00']],
  // Either of the two days, where neither has a star.
  ['0 0 0 1 * 1', ['2026-11-23T00:00:00', '2026-11-30T00:00:00', '2026-12-01T00:00:00']],
  // Both, where one of them has a star, also with a step.
  ['0 0 0 */2 * 1', ['2026-11-23T00:00:00', '2026-12-07T00:00:00', '2026-12-21T00:00:00']],
  ['0 0 0 13 * */2', ['2026-12-13T00:00:00', '2027-02-13T00:00:00', '2027-03-13T00:00:00']],
  ['0 0 0 29 2 *', ['2028-02-29T00:00:00', '2032-02-29T00:00:00', '2036-02-29T00:00:00']],
  ['0 0 0 30 2 *', []],
])('%s is due when peppercron has it', (expression, expected) => {
  expect(times(expression)).toEqual(expected);
});

test.each([
  ['0 30 2 * * ?', '0 30 2 * * *'],
  ['*/5 * * * *', '*/5 * * * * *'],
  ['0 5/20 0-23 * * *', '0 5-45/20 * * * *'],
  ['0 0 0 */2 * 1', '0 0 0 */2 * +1'],
  ['0 0 0 1-31 * 1', '0 0 0 1-31 * 1'],
  ['0 0 0 */40 * 1', '0 0 0 1 * +1'],
  ['0 0 0 1,,15 JAN,6 *', '0 0 0 1,15 1,6 *'],
  ['05 +7 0 1 * sun', '5 7 0 1 * 0'],
  ['0 0 *-3 * * *', '0 0 * * * *'],
])('%s is written as %s here', (expression, here) => {
  expect(parseOldCron(expression).expression).toBe(here);
});

test.each([
  ['* * * *', /4 fields/],
  ['0 0 0 * * * *', /7 fields/],
  ['60 * * * * *', /second '60' is not from 0 to 59/],
  ['0 0 0 * * 7', /weekday '7' is not from 0 to 6/],
  ['0 0 0 L * *', /day 'L' is no number/],
  ['0 0 0 * * MON#2', /weekday 'MON#2' is no number/],
  ['0 0 22-4 * * *', /hour '22-4' ends before it begins/],
  ['0 */0 * * * *', /minute '\*\/0' has a step/],
  ['0 1-2-3 * * * *', /minute '1-2-3' has too many hyphens/],
  ['0 1/2/3 * * * *', /minute '1\/2\/3' has too many slashes/],
  ['0 , * * * *', /minute ',' is never/],
  ['-1 * * * * *', /second '-1' is no number/],
])('%s is refused as peppercron refuses it', (expression, reason) => {
  expect(() => parseOldCron(expression)).toThrow(reason);
});

test('fields are said in words, and the one that is missing', () => {
  expect(parseOldCron('*/5 * * * *').words).toBe(
    'second */5, any minute, any hour, any day, any month, any weekday, which is missing',
  );
  expect(parseOldCron('0 30 2 1 * MON').words).toBe(
    'second 0, minute 30, hour 2, day 1, any month, weekday 1',
  );
});

test.each([
  // Clocks skip 02:30 on 28 March: nothing fires that day.
  ['0 30 2 * * *', '2027-03-27T00:00:00Z', ['2027-03-27T01:30:00', '2027-03-29T00:30:00']],
  // Clocks show 02:30 twice on 25 October: it fires twice.
  ['0 30 2 25 10 *', '2026-10-24T00:00:00Z', ['2026-10-25T00:30:00', '2026-10-25T01:30:00']],
  ['0 0 */6 28 3 *', '2027-03-27T23:00:00Z', ['2027-03-28T04:00:00', '2027-03-28T10:00:00']],
])('%s where clocks change in Berlin', (expression, from, expected) => {
  const options = { zone: 'Europe/Berlin', from: Date.parse(from), count: 2 };
  expect(times(expression, options)).toEqual(expected);
});

test('a midnight that clocks skip takes days with it', () => {
  // In Havana 14 March 2027 and 12 March 2028 begin at 01:00; a search that passes them goes on at 23:00.
  const options = { zone: 'America/Havana', from: Date.parse('2027-03-13T12:00:00Z'), count: 2 };
  expect(times('0 0 9 14,15 3 *', options)).toEqual(['2027-03-15T13:00:00', '2028-03-15T13:00:00']);
});

const BOUNDS = [
  [0, 59],
  [0, 59],
  [0, 23],
  [1, 31],
  [1, 12],
  [0, 6],
] as const;

test('any expression that peppercron reads is due here when it is there', () => {
  const random = seededRandom(4);
  const upTo = (count: number): number => Math.floor(random() * count);
  const field = (at: number): string => {
    const [min, max] = BOUNDS[at] as readonly [number, number];
    const number = (): number => min + upTo(max - min + 1);
    const [low, high] = [number(), number()].sort((a, b) => a - b) as [number, number];
    const forms = [
      '*',
      '*',
      '?',
      `*/${1 + upTo(20)}`,
      low,
      `${low}-${high}`,
      `${low}/${1 + upTo(9)}`,
    ];
    const form = String(forms[upTo(forms.length)]);
    return upTo(5) === 0 ? `${form},${number()}` : form;
  };
  const compared = Array.from({ length: 400 }, () => {
    const text = Array.from({ length: 5 + upTo(2) }, (_, at) => field(at)).join(' ');
    const zone = zoneOf('UTC');
    const cron = parseOldCron(text);
    const there = upcoming(cron.timetable(zone), FROM, 5);
    // It gives up after five years, and so do we.
    if (there.length < 5) return 0;
    const here = cronTimetable({ expression: cron.expression, fields: 6, zone });
    expect({ text, fires: upcoming(here, FROM, 5) }).toEqual({ text, fires: there });
    return 1;
  });
  expect(compared.filter((one) => one === 1).length).toBeGreaterThan(300);
});
