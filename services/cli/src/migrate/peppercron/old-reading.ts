import { everyTimetable, type Timetable, type Zone, zoneOf } from '@malabar/schedule';
import { goDuration } from './go-time.js';
import { BY_SCHEDULE, BY_TIMES, type PeppercronJob } from './job.js';
import { type OldCron, parseOldCron } from './old-cron.js';

/** When peppercron runs a job. */
export type OldReading =
  | { kind: 'cron'; words: string; cron: OldCron; zone: Zone; timetable: Timetable }
  | OldInterval
  | { kind: 'times'; words: string }
  | { kind: 'after'; words: string; parents: string[] };

/** An interval; `exact` unless it is too short or too fine for schedules. */
export interface OldInterval {
  kind: 'every';
  words: string;
  everyMs: number;
  /** A time at which it is due. */
  anchorMs: number;
  exact: boolean;
  timetable: Timetable;
}

const DESCRIPTORS: Record<string, string> = {
  '@yearly': '0 0 0 1 1 *',
  '@annually': '0 0 0 1 1 *',
  '@monthly': '0 0 0 1 * *',
  '@weekly': '0 0 0 * * 0',
  '@daily': '0 0 0 * * *',
  '@midnight': '0 0 0 * * *',
  '@hourly': '0 0 * * * *',
};

const MS_NS = 1e6;
const EVERY_MS_MIN = 1_000;
/** Go counts intervals from the year 1, we from 1970. */
const YEAR_ONE_MS = Date.parse('0001-01-01T00:00:00Z');

/** Reads when a job runs; `zone` is that of peppercron's machines. Throws a TypeError with what is wrong. */
export function readWhen(job: PeppercronJob, zone: string | undefined): OldReading {
  const parents = [...new Set(job.dependent_jobs)];
  if (parents.length > 0) {
    const words = `once all of these have run again, however they ended: ${parents.join(', ')}`;
    return { kind: 'after', words, parents };
  }
  if (job.type === BY_TIMES) return { kind: 'times', words: timesWords(job) };
  if (job.type !== BY_SCHEDULE)
    throw new TypeError(`type ${job.type} is neither 0 (schedule) nor 1 (times): it never ran`);
  if (job.schedule === '') throw new TypeError('has no schedule, so peppercron never ran it');
  if (job.schedule.startsWith('@every ')) return readEvery(job.schedule);
  return readCron(job, zone);
}

function timesWords({ times, times_delay }: PeppercronJob): string {
  const pause =
    times_delay > 0 ? `${times_delay / 1e9} s after the end of the one before` : 'at once';
  return times > 0 ? `${times} times, each ${pause}` : `for ever, each run ${pause}`;
}

function readEvery(schedule: string): OldReading {
  const text = schedule.slice('@every '.length);
  const ns = goDuration(text);
  if (ns === undefined)
    throw new TypeError(`'${text}' is no duration that Go reads, so peppercron never ran it`);
  if (ns <= 0) throw new TypeError(`'${schedule}' has no pause: peppercron runs it without end`);
  const everyMs = Math.max(EVERY_MS_MIN, Math.round(ns / MS_NS));
  const anchorMs = modulo(YEAR_ONE_MS, everyMs);
  const words = `each ${text}, counted from the year 1 in UTC whatever the zone`;
  const timetable = everyTimetable(everyMs, anchorMs);
  return { kind: 'every', words, everyMs, anchorMs, exact: everyMs * MS_NS === ns, timetable };
}

const modulo = (value: number, by: number): number => ((value % by) + by) % by;

function readCron({ schedule, timezone }: PeppercronJob, own: string | undefined): OldReading {
  const expression = schedule.startsWith('@') ? DESCRIPTORS[schedule] : schedule;
  if (expression === undefined)
    throw new TypeError(`peppercron knows no '${schedule}', so it never ran it`);
  const cron = parseOldCron(expression);
  const zone = readZone(timezone, own);
  const timetable = cron.timetable(zone);
  const words = `${cron.words}; clocks of ${zone.name}`;
  return { kind: 'cron', words, cron, zone, timetable };
}

function readZone(timezone: string, own: string | undefined): Zone {
  const isLocal = timezone === '' || timezone === 'Local';
  const name = isLocal ? own : timezone;
  if (name === undefined)
    throw new TypeError(
      'has no timezone: it went by the clocks of its machine; name it with --zone',
    );
  try {
    return zoneOf(name);
  } catch (error) {
    throw new TypeError(`${(error as Error).message}: with it peppercron's agents die`);
  }
}
