/**
 * When something is due, found out in another way than libs/schedule does: every date of the year is
 * looked at, and clocks are asked one hour after the other.
 */

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

export const YEAR_START_MS = Date.parse('2018-01-01T00:00:00Z');
export const YEAR_END_MS = Date.parse('2019-01-01T00:00:00Z');

/** What a cron expression asks for, without its grammar. */
export interface Pattern {
  cron: string;
  second?: number;
  minutes: number[];
  /** Absent: every hour, in real time. */
  hours?: number[];
  weekdays?: number[];
  days?: number[];
  months?: number[];
}

/** Where the offset of a zone changes, in the year and a few days around it. */
interface Offsets {
  changes: Array<{ atMs: number; offsetMs: number }>;
}

const zones = new Map<string, Offsets>();
const dueOf = new Map<string, number[]>();

function offsetAt(format: Intl.DateTimeFormat, atMs: number): number {
  const parts = Object.fromEntries(
    format.formatToParts(atMs).map((p) => [p.type, Number(p.value)]),
  );
  const { year = 0, month = 1, day, hour, minute, second } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second) - atMs;
}

function offsetsOf(zone: string): Offsets {
  const known = zones.get(zone);
  if (known !== undefined) return known;
  const two = '2-digit';
  const format = new Intl.DateTimeFormat('en', {
    ...{ timeZone: zone, hourCycle: 'h23', year: 'numeric' },
    ...{ month: two, day: two, hour: two, minute: two, second: two },
  });
  const changes: Offsets['changes'] = [];
  for (
    let atMs = YEAR_START_MS - 3 * DAY_MS;
    atMs < YEAR_END_MS + 3 * DAY_MS;
    atMs += HOUR_MS / 2
  ) {
    const offsetMs = offsetAt(format, atMs);
    if (offsetMs !== changes.at(-1)?.offsetMs) changes.push({ atMs, offsetMs });
  }
  zones.set(zone, { changes });
  return { changes };
}

/** The instants at which clocks show this; none where they skip it, two where they repeat it. */
function instantsOf(shownMs: number, { changes }: Offsets): number[] {
  return changes
    .map(({ atMs, offsetMs }, i) => ({
      at: shownMs - offsetMs,
      atMs,
      untilMs: changes[i + 1]?.atMs,
    }))
    .filter(({ at, atMs, untilMs = Infinity }) => at >= atMs && at < untilMs)
    .map(({ at }) => at);
}

/** The change that makes clocks skip this. */
function gapOf(shownMs: number, { changes }: Offsets): number {
  const change = changes.find(
    ({ atMs, offsetMs }, i) =>
      i > 0 && shownMs >= atMs + (changes[i - 1]?.offsetMs ?? 0) && shownMs < atMs + offsetMs,
  );
  return (change as { atMs: number }).atMs;
}

const EVERY_HOUR = Array.from({ length: 24 }, (_, hour) => hour);

function isDay(pattern: Pattern, dayMs: number): boolean {
  const date = new Date(dayMs);
  const { weekdays, days, months } = pattern;
  return (
    (weekdays?.includes(date.getUTCDay()) ?? true) &&
    (days?.includes(date.getUTCDate()) ?? true) &&
    (months?.includes(date.getUTCMonth() + 1) ?? true)
  );
}

/** All times of the year and of the days around it, in order. Never changed. */
export function patternTimes(pattern: Pattern, zone: string): readonly number[] {
  const key = `${zone} ${pattern.cron}`;
  const known = dueOf.get(key);
  if (known !== undefined) return known;
  const offsets = offsetsOf(zone);
  const due = new Set<number>();
  for (let dayMs = YEAR_START_MS - 2 * DAY_MS; dayMs < YEAR_END_MS + 2 * DAY_MS; dayMs += DAY_MS) {
    if (!isDay(pattern, dayMs)) continue;
    for (const hour of pattern.hours ?? EVERY_HOUR)
      for (const minute of pattern.minutes) {
        const shown = dayMs + hour * HOUR_MS + minute * MINUTE_MS + (pattern.second ?? 0) * 1_000;
        const instants = instantsOf(shown, offsets);
        if (pattern.hours === undefined) for (const at of instants) due.add(at);
        else due.add(instants[0] ?? gapOf(shown, offsets));
      }
  }
  const times = [...due].sort((a, b) => a - b);
  dueOf.set(key, times);
  return times;
}

/** Every `everyMs`, counted from `anchorMs`, in this stretch. */
export function everyTimes(
  everyMs: number,
  {
    anchorMs,
    fromMs = YEAR_START_MS,
    toMs = YEAR_END_MS + DAY_MS,
  }: Record<'anchorMs', number> & {
    fromMs?: number;
    toMs?: number;
  },
): number[] {
  const count = Math.ceil((fromMs - anchorMs) / everyMs);
  const times: number[] = [];
  for (let at = anchorMs + count * everyMs; at <= toMs; at += everyMs) times.push(at);
  return times;
}
