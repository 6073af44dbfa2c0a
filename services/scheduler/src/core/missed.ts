import { nominalAfter, type Schedule } from '@malabar/schedule';

/** Skipped times are counted up to here: a schedule of seconds after a week would take too long. */
export const SKIPS_COUNTED_MAX = 1_000;

/** Nominal times after `fromMs` up to `untilMs`, at most `limit`. */
function between(schedule: Schedule, fromMs: number, untilMs: number, limit: number): number[] {
  const times: number[] = [];
  let at = nominalAfter(schedule, fromMs);
  while (at !== undefined && at <= untilMs && times.length < limit) {
    times.push(at);
    at = nominalAfter(schedule, at);
  }
  return times;
}

/**
 * The newest `count` nominal times after `fromMs` up to `untilMs`, oldest first. A timetable only looks
 * forward: this looks from ever farther back, so its cost depends on `count` and not on the span.
 */
export function newest(
  schedule: Schedule,
  fromMs: number,
  untilMs: number,
  count: number,
): number[] {
  if (count === 0) return [];
  for (let spanMs = count * 1_000; ; spanMs *= 4) {
    const startMs = Math.max(fromMs, untilMs - spanMs);
    const times = between(schedule, startMs, untilMs, Infinity);
    if (times.length >= count || startMs === fromMs) return times.slice(-count);
  }
}

/** How many nominal times there are after `fromMs` up to `untilMs`, as far as it is counted. */
export function countSkipped(schedule: Schedule, fromMs: number, untilMs: number): number {
  return between(schedule, fromMs, untilMs, SKIPS_COUNTED_MAX).length;
}

/** Of the missed times after `fromMs` up to `untilMs`: those that the policy still fires. */
export function missedToFire(
  schedule: Schedule,
  span: { fromMs: number; untilMs: number; nowMs: number },
): number[] {
  const { fire, withinMs, max } = schedule.misfire;
  if (fire === 'skip') return [];
  const fromMs = Math.max(span.fromMs, span.nowMs - withinMs - 1);
  return fromMs >= span.untilMs
    ? []
    : newest(schedule, fromMs, span.untilMs, fire === 'once' ? 1 : max);
}
