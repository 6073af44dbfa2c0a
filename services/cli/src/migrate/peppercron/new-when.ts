import { formatDuration } from '@malabar/config';
import type { PeppercronJob } from './job.js';
import type { OldInterval, OldReading } from './old-reading.js';

/** Keys of a schedule's document that say when. */
export type When = Record<string, unknown>;

export interface WhenOptions {
  /** The five fields of `cron` begin with the minute, as in a crontab. */
  crontab: boolean;
  /** The schedules that take the place of a job. */
  schedulesOf(job: string): readonly string[];
  warn(message: string): void;
}

/** Of this many ns is the shortest pause that schedules have. */
const SECOND_NS = 1e9;
/** So many runs go on at once at peppercron; more are skipped. */
const AT_ONCE = 11;

/** When a job runs, as a document says it. Says what is not the same. */
export function whenOf(job: PeppercronJob, reading: OldReading, options: WhenOptions): When {
  const { warn } = options;
  if (reading.kind === 'cron') return { ...cronOf(job, reading, options), ...overlapOf(job) };
  if (reading.kind === 'every') return { ...everyOf(job, reading, warn), ...overlapOf(job) };
  if (reading.kind === 'times') return timesOf(job, warn);
  const schedules = reading.parents.flatMap(options.schedulesOf);
  if (job.schedule !== '') warn(`its schedule '${job.schedule}' was never read: it has parents`);
  warn('peppercron ran it once and never again; here it follows every run of its parents');
  return { after: { schedules, on: 'always', need: 'all' } };
}

function overlapOf({ executor_blocking: blocking }: PeppercronJob): When {
  return blocking ? { overlap: 'skip' } : { overlap: 'allow', allow_max: AT_ONCE };
}

function cronOf(
  { schedule }: PeppercronJob,
  { cron, zone }: OldReading & { kind: 'cron' },
  { crontab, warn }: WhenOptions,
): When {
  if (schedule.startsWith('@')) return { cron: schedule, zone: zone.name };
  if (crontab) {
    warn('its five fields are taken as a crontab now: the minute first');
    return { cron: schedule.trim(), fields: 5, zone: zone.name };
  }
  if (cron.fields === 5)
    warn(
      'has five fields, which peppercron read with the second first; was a crontab meant, --crontab takes it so',
    );
  return { cron: cron.expression, fields: 6, zone: zone.name };
}

function everyOf(
  { schedule, timezone }: PeppercronJob,
  { everyMs, anchorMs, exact }: OldInterval,
  warn: (message: string) => void,
): When {
  const every = formatDuration(everyMs);
  if (!exact) warn(`'${schedule}' is ${every} here`);
  if (timezone !== '') warn(`its timezone ${timezone} was never read: intervals have none`);
  return anchorMs === 0 ? { every } : { every, start: new Date(anchorMs).toISOString() };
}

function timesOf(
  { times, times_delay: delay, schedule }: PeppercronJob,
  warn: (message: string) => void,
): When {
  const every = formatDuration(Math.round(Math.max(SECOND_NS, delay) / 1e6));
  if (schedule !== '') warn(`its schedule '${schedule}' was never read: it runs by times`);
  warn(
    `starts on the clock, each ${every}, while none runs; peppercron counted from the end of a run`,
  );
  if (times <= 0) return { every, overlap: 'skip' };
  warn(`its ${times} runs begin anew here, whatever peppercron has run of them`);
  return { every, times, overlap: 'skip' };
}
