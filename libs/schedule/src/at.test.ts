import { expect, test } from 'vitest';
import { atTimetable, parseInstant } from './at.js';
import { everyTimetable } from './every.js';
import { jitterOf } from './jitter.js';
import { upcoming } from './timetable.js';
import { zoneOf } from './zone.js';

const UTC = zoneOf('UTC');
const NEW_YORK = zoneOf('America/New_York');
const iso = (text: string, zone = UTC): string => new Date(parseInstant(text, zone)).toISOString();

test('a date is read in its zone, or as its offset says', () => {
  expect(iso('2026-08-01')).toBe('2026-08-01T00:00:00.000Z');
  expect(iso('2026-08-01 09:30', NEW_YORK)).toBe('2026-08-01T13:30:00.000Z');
  expect(iso('2026-08-01T09:30:00.5+05:45', NEW_YORK)).toBe('2026-08-01T03:45:00.500Z');
});

test('a time that clocks skip is the instant after, one that comes twice the first', () => {
  expect(iso('2026-03-08T02:30', NEW_YORK)).toBe('2026-03-08T07:00:00.000Z');
  expect(iso('2026-11-01T01:30', NEW_YORK)).toBe('2026-11-01T05:30:00.000Z');
});

test.each([
  ['2026-02-30', 'there is no 2026-02-30'],
  ['2026-13-01', 'there is no 2026-13-01'],
  ['2026-01-01T24:00', 'there is no 2026-01-01T24:00'],
  ['2200-01-01', "'2200-01-01' is beyond the year 2199"],
  ['tomorrow', "'tomorrow' is not a date such as 2026-08-01T09:30:00"],
])('%s is refused', (text, message) => {
  expect(() => parseInstant(text, UTC)).toThrow(message);
});

test('an unknown zone is refused', () => {
  expect(() => zoneOf('Mars/Olympus')).toThrow("'Mars/Olympus' is not a time zone");
});

test('an interval has the same times on every machine', () => {
  const times = everyTimetable(90_000, 10_000);
  expect(upcoming(times, 0, 3)).toEqual([10_000, 100_000, 190_000]);
  expect(times.next(100_000)).toBe(190_000);
  expect(times.next(99_999)).toBe(100_000);
  expect(() => everyTimetable(500)).toThrow('at least one second');
});

test('certain instants come once each, in order', () => {
  expect(upcoming(atTimetable([30, 10, 10, 20]), 10, 5)).toEqual([20, 30]);
});

test('jitter is the same for the same name and time, and spreads', () => {
  expect(jitterOf('a', 5, 1_000)).toBe(jitterOf('a', 5, 1_000));
  const spread = Array.from({ length: 1_000 }, (_, at) => jitterOf(`s${at}`, 5, 1_000));
  expect(Math.min(...spread)).toBeLessThan(20);
  expect(Math.max(...spread)).toBeGreaterThan(980);
  expect(jitterOf('a', 5, 0)).toBe(0);
});
