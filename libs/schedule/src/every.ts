import type { Timetable } from './timetable.js';

/**
 * Every `everyMs`, counted from `anchorMs`: the beginning of the schedule, or the epoch of Unix, so
 * that whoever computes it gets the same times. An interval knows no clocks: 24h are 24 hours.
 */
export function everyTimetable(everyMs: number, anchorMs = 0): Timetable {
  if (!Number.isSafeInteger(everyMs) || everyMs < 1_000) {
    throw new TypeError('an interval has at least one second');
  }
  return {
    next(unixMs) {
      const gone = Math.floor((unixMs - anchorMs) / everyMs) + 1;
      return anchorMs + Math.max(0, gone) * everyMs;
    },
  };
}
