import { cronTimetable, type Timetable, upcoming, type Zone, zoneOf } from '@malabar/schedule';
import type { PlannedJob } from './convert.js';

/** The next fires of a job at peppercron and here. */
export interface Fires {
  zone: Zone;
  /** Nominal times at peppercron, which starts each of them a second later. */
  there: number[];
  here: number[];
  /** What a crontab would make of five fields, where that is neither of the two. */
  crontab?: number[];
  /** It does not make all of its times, because they are close to each other. */
  leavesOut?: boolean;
  /** The first time at which one of the two is due and the other is not. */
  differsAtMs?: number;
}

const FIRES = 5;
/** It waits for the due time and a second more, and looks for the next one only then. */
const LATE_MS = 1_000;
const DAY_MS = 86_400_000;
const COMPARED = 100;
const COMPARED_AT_CHANGE = 60;
const CHANGES_MS = 400 * DAY_MS;

/** When a job fires next; undefined for one without times of its own. */
export function firesOf(
  { reading, job }: Pick<PlannedJob, 'reading' | 'job'>,
  here: Timetable | undefined,
  nowMs: number,
): Fires | undefined {
  if (reading?.kind !== 'cron' && reading?.kind !== 'every') return undefined;
  const { timetable } = reading;
  const zone = reading.kind === 'cron' ? reading.zone : zoneOf('UTC');
  const there: number[] = [];
  let next = timetable.next(nowMs);
  while (next !== undefined && there.length < FIRES) {
    there.push(next);
    next = timetable.next(next + LATE_MS);
  }
  const fires: Fires = { zone, there, here: here ? upcoming(here, nowMs, FIRES) : [] };
  if (here !== undefined) fires.differsAtMs = differenceOf(timetable, here, zone, nowMs);
  const due = upcoming(timetable, nowMs, FIRES);
  fires.leavesOut = due.some((at, index) => at !== there[index]);
  if (reading.kind === 'cron' && reading.cron.fields === 5)
    fires.crontab = crontabFires(job?.schedule ?? '', zone, nowMs);
  return fires;
}

/** None if a crontab could not have it so. */
function crontabFires(expression: string, zone: Zone, nowMs: number): number[] | undefined {
  try {
    return upcoming(cronTimetable({ expression, fields: 5, zone }), nowMs, FIRES);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** The first time that one has and the other has not: of the next ones, and where clocks change. */
function differenceOf(
  there: Timetable,
  here: Timetable,
  zone: Zone,
  nowMs: number,
): number | undefined {
  const own = firstDifference(there, here, { fromMs: nowMs, count: COMPARED });
  if (own !== undefined) return own;
  const { endMs } = zone.stretchAt(nowMs);
  for (let changeMs = endMs; changeMs < nowMs + CHANGES_MS; ) {
    for (const before of [8 * DAY_MS, 2 * DAY_MS, DAY_MS / 12]) {
      const fromMs = Math.max(nowMs, changeMs - before);
      const found = firstDifference(there, here, { fromMs, count: COMPARED_AT_CHANGE });
      if (found !== undefined) return found;
    }
    changeMs = zone.stretchAt(changeMs).endMs;
  }
  return undefined;
}

function firstDifference(
  there: Timetable,
  here: Timetable,
  { fromMs, count }: { fromMs: number; count: number },
): number | undefined {
  const [a, b] = [upcoming(there, fromMs, count), upcoming(here, fromMs, count)];
  const at = Array.from({ length: count }, (_, index) => index).find((i) => a[i] !== b[i]);
  if (at === undefined) return undefined;
  return Math.min(a[at] ?? Infinity, b[at] ?? Infinity);
}
