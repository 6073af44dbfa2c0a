import type { Timetable } from './timetable.js';
import type { Zone } from './zone.js';

/** Certain instants, each once. */
export function atTimetable(unixMs: readonly number[]): Timetable {
  const times = [...new Set(unixMs)].sort((a, b) => a - b);
  return { next: (after) => times.find((at) => at > after) };
}

const FORM =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,3}))?)?(Z|[+-]\d\d:?\d\d)?)?$/;
const YEAR_LAST = 2199;

/**
 * The instant of an ISO 8601 date: with `Z` or an offset as it says, without one as clocks in `zone`
 * show it. A time that clocks skip is the first instant after, one that comes twice the first of the two.
 * Throws a TypeError for a date that no calendar has, and beyond the year 2199.
 */
export function parseInstant(text: string, zone: Zone): number {
  const parts = FORM.exec(text.trim());
  if (parts === null) throw new TypeError(`'${text}' is not a date such as 2026-08-01T09:30:00`);
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts
    .slice(1, 7)
    .map((part) => Number(part ?? 0));
  const shown = Date.UTC(
    year,
    month - 1,
    day,
    hour,
    minute,
    second,
    Number((parts[7] ?? '0').padEnd(3, '0')),
  );
  const date = new Date(shown);
  const real =
    date.getUTCMonth() === month - 1 &&
    date.getUTCDate() === day &&
    hour < 24 &&
    minute < 60 &&
    second < 60;
  if (!real) throw new TypeError(`there is no ${text}`);
  if (year > YEAR_LAST) throw new TypeError(`'${text}' is beyond the year ${YEAR_LAST}`);
  const offset = parts[8];
  return offset === undefined ? instantOf(shown, zone) : shown - offsetOf(offset);
}

function offsetOf(text: string): number {
  if (text === 'Z') return 0;
  const [, sign, hours, minutes] = /([+-])(\d\d):?(\d\d)/.exec(text) as RegExpExecArray;
  const ms = (Number(hours) * 60 + Number(minutes)) * 60_000;
  return sign === '-' ? -ms : ms;
}

function instantOf(shown: number, zone: Zone): number {
  // A day before, no zone has passed this time yet: its stretch or the next one shows it first.
  let stretch = zone.stretchAt(shown - 86_400_000);
  while (shown - stretch.offsetMs >= stretch.endMs) {
    const { endMs } = stretch;
    stretch = zone.stretchAt(endMs);
    if (shown - stretch.offsetMs < endMs) return endMs;
  }
  return shown - stretch.offsetMs;
}
