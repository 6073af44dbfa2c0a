import { seededRandom } from '@malabar/testkit';
import { describe, expect, test } from 'vitest';
import { parseInstant } from './at.js';
import { type CronOptions, cronTimetable } from './cron.js';
import { upcoming } from './timetable.js';
import { zoneOf } from './zone.js';

type Policy = Pick<CronOptions, 'gap' | 'overlap' | 'fields'>;

/** The next due times after a local date, as `UTC month-day time`. */
function due(zoneName: string, expression: string, from: string, count: number, policy?: Policy) {
  const zone = zoneOf(zoneName);
  const timetable = cronTimetable({ expression, zone, ...policy });
  return upcoming(timetable, parseInstant(from, zone), count).map((at) =>
    new Date(at).toISOString().slice(5, 16).replace('T', ' '),
  );
}

const NEW_YORK = 'America/New_York';
const LORD_HOWE = 'Australia/Lord_Howe';

describe('clocks that change', () => {
  const table: Array<[fact: string, ...Parameters<typeof due>, expected: string[]]> = [
    [
      'New York, 02:30 is skipped: late, at the first instant after',
      NEW_YORK,
      '30 2 * * *',
      '2026-03-07T12:00',
      2,
      undefined,
      ['03-08 07:00', '03-09 06:30'],
    ],
    [
      'two times of one gap are late once',
      NEW_YORK,
      '0,30 2 * * *',
      '2026-03-07T12:00',
      2,
      undefined,
      ['03-08 07:00', '03-09 06:00'],
    ],
    [
      'a late time does not fire twice beside one that is due at that instant',
      NEW_YORK,
      '0 2,3 * * *',
      '2026-03-07T12:00',
      2,
      undefined,
      ['03-08 07:00', '03-09 06:00'],
    ],
    [
      'New York, 02:30 is skipped: not at all where the policy says so',
      NEW_YORK,
      '30 2 * * *',
      '2026-03-07T12:00',
      1,
      { gap: 'skip' },
      ['03-09 06:30'],
    ],
    [
      'New York, 01:30 comes twice: the first counts',
      NEW_YORK,
      '30 1 * * *',
      '2026-10-31T12:00',
      2,
      undefined,
      ['11-01 05:30', '11-02 06:30'],
    ],
    [
      'New York, 01:30 comes twice: both count where the policy says so',
      NEW_YORK,
      '30 1 * * *',
      '2026-10-31T12:00',
      2,
      { overlap: 'twice' },
      ['11-01 05:30', '11-01 06:30'],
    ],
    [
      'each half hour follows real time when clocks go back',
      NEW_YORK,
      '*/30 * * * *',
      '2026-11-01T00:45',
      4,
      undefined,
      ['11-01 05:00', '11-01 05:30', '11-01 06:00', '11-01 06:30'],
    ],
    [
      'each half hour follows real time when clocks go forward',
      NEW_YORK,
      '*/30 * * * *',
      '2026-03-08T01:15',
      3,
      undefined,
      ['03-08 06:30', '03-08 07:00', '03-08 07:30'],
    ],
    [
      'Berlin, 03:00 is the first instant after the gap: once',
      'Europe/Berlin',
      '0 2,3 * * *',
      '2026-03-28T12:00',
      2,
      undefined,
      ['03-29 01:00', '03-30 00:00'],
    ],
    [
      'Berlin, 02:30 comes twice in autumn: once',
      'Europe/Berlin',
      '30 2 * * *',
      '2026-10-24T12:00',
      2,
      undefined,
      ['10-25 00:30', '10-26 01:30'],
    ],
    [
      'Sao Paulo, midnight is skipped: late at 01:00',
      'America/Sao_Paulo',
      '0 0 * * *',
      '2018-11-03T12:00',
      2,
      undefined,
      ['11-04 03:00', '11-05 02:00'],
    ],
    [
      'Sao Paulo, 23:30 comes twice: once',
      'America/Sao_Paulo',
      '30 23 * * *',
      '2018-02-17T12:00',
      2,
      undefined,
      ['02-18 01:30', '02-19 02:30'],
    ],
    [
      'Lord Howe goes forward by half an hour',
      LORD_HOWE,
      '15 2 * * *',
      '2026-10-03T12:00',
      2,
      undefined,
      ['10-03 15:30', '10-04 15:15'],
    ],
    [
      'Lord Howe goes back by half an hour',
      LORD_HOWE,
      '45 1 * * *',
      '2026-04-04T12:00',
      2,
      undefined,
      ['04-04 14:45', '04-05 15:15'],
    ],
    [
      'Kathmandu is 5:45 ahead and never changes',
      'Asia/Kathmandu',
      '0 0 * * *',
      '2026-11-02T12:00',
      2,
      undefined,
      ['11-02 18:15', '11-03 18:15'],
    ],
  ];
  test.each(table)('%s', (_, zone, expression, from, count, policy, expected) => {
    expect(due(zone, expression, from, count, policy)).toEqual(expected);
  });

  test('what follows real time is due exactly when clocks show it, in every zone of the table', () => {
    const random = seededRandom(7);
    for (const name of [
      NEW_YORK,
      'Europe/Berlin',
      'America/Sao_Paulo',
      LORD_HOWE,
      'Africa/Casablanca',
    ]) {
      const zone = zoneOf(name);
      const minute = Math.floor(random() * 60);
      const timetable = cronTimetable({ expression: `${minute} * * * *`, zone });
      const start = Date.UTC(2018, 0, 1);
      const end = Date.UTC(2019, 0, 1);
      const seen = upcoming(timetable, start - 1, 10_000).filter((at) => at < end);
      const expected: number[] = [];
      for (let at = start; at < end; at += 60_000) {
        const shown = new Date(at + zone.stretchAt(at).offsetMs);
        if (shown.getUTCMinutes() === minute) expected.push(at);
      }
      expect(seen, name).toEqual(expected);
    }
  });
});

describe('expressions', () => {
  test.each([
    ['0 0 L * *', ['01-31 00:00', '02-28 00:00']],
    ['0 0 * * 1#2', ['01-12 00:00', '02-09 00:00']],
    ['0 0 15W * *', ['01-15 00:00', '02-16 00:00']],
    ['*/20 * * * * *', ['01-01 00:00', '01-01 00:00']],
    ['@daily', ['01-02 00:00', '01-03 00:00']],
  ])('%s', (expression, expected) => {
    expect(due('UTC', expression, '2026-01-01', 2)).toEqual(expected);
  });

  test('what no calendar has is never due', () => {
    expect(due('UTC', '0 0 30 2 *', '2026-01-01', 1)).toEqual([]);
  });

  test.each([
    [
      '* * * *',
      undefined,
      "'* * * *' has 4 fields; a cron expression has 5, or 6 with the second first",
    ],
    ['*/5 * * * *', 6, "'*/5 * * * *' has 5 fields where 6 were declared"],
    [
      '61 * * * *',
      undefined,
      "'61 * * * *' is not a cron expression: Invalid value for minute: 61",
    ],
  ] as const)('%s with %s declared is refused', (expression, fields, message) => {
    expect(() => cronTimetable({ expression, fields, zone: zoneOf('UTC') })).toThrow(message);
  });
});
