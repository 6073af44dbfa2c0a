import {
  createSchedule,
  MISFIRES_MAX,
  nominalAfter,
  PARENTS_MAX,
  RUNS_MAX,
} from '@malabar/schedule';
import type * as z from 'zod';
import { type RunDocument, run } from './run.js';
import { scheduleConfig, scheduleSpec } from './schedule-config.js';
import {
  count,
  duration,
  type Field,
  fail,
  named,
  oneOf,
  onOff,
  scalar,
  section,
  text,
} from './schema.js';
import { quoted } from './units.js';

/** A schedule as the file says it. Exactly one of `cron`, `everyMs`, `at` and `after`. */
export interface ScheduleDocument {
  system?: string;
  owner?: string;
  cron?: string;
  fields?: 5 | 6;
  everyMs?: number;
  at?: string[];
  after?: AfterDocument;
  zone: string;
  clocks: { gap?: 'late' | 'skip'; overlap?: 'once' | 'twice' };
  start?: string;
  end?: string;
  times?: number;
  jitterMs: number;
  enabled: boolean;
  paused?: string;
  overlap: OverlapName;
  allowMax?: number;
  misfire: { fire: 'skip' | 'once' | 'all'; withinMs?: number; max: number };
  pauseAfterFailures?: number;
  push?: PushDocument;
  run?: RunDocument;
}

export type OverlapName = 'skip' | 'queue_one' | 'queue_all' | 'replace' | 'allow';

/** Whose runs a schedule follows. */
export interface AfterDocument {
  schedules: string[];
  on: 'success' | 'failure' | 'always';
  need: 'all' | 'any';
  delayMs: number;
}

/** The job of a fire. */
export interface PushDocument {
  queue: string;
  body: string;
  headers: Record<string, string>;
  contentType?: string;
  priority: number;
}

/** Names that the bus keeps for what it makes itself. */
const OWN_HEADER = /^malabar-/i;

const whole = scalar('text', (value) => {
  if (typeof value === 'string') return value;
  throw new TypeError(`${quoted(value)} is not text; put it in quotes`);
});

const parents = scalar('list of schedules', (value) => {
  const names = Array.isArray(value) ? value : [value];
  if (names.length === 0) throw new TypeError('is empty; it is a list of schedules');
  if (names.length > PARENTS_MAX) throw new TypeError(`has more than ${PARENTS_MAX} schedules`);
  const other = names.find((name) => typeof name !== 'string');
  if (other !== undefined) throw new TypeError(`${quoted(other)} is not the name of a schedule`);
  return names as string[];
});

const instants = scalar('list of dates', (value) => {
  const dates = Array.isArray(value) ? value : [value];
  if (dates.length === 0) throw new TypeError('is empty; it is a list of dates');
  for (const date of dates) {
    if (typeof date !== 'string')
      throw new TypeError(`${quoted(date)} is not a date such as 2026-08-01T09:30:00`);
  }
  return dates as string[];
});

const fieldCount = scalar('5 or 6', (value) => {
  if (value === 5 || value === 6) return value;
  throw new TypeError(`${quoted(value)} is neither 5, as in a crontab, nor 6, seconds first`);
}) as Field<5 | 6>;

const push = section({
  queue: text.describe('Where its jobs go; one of `queues`.'),
  body: whole.prefault('').describe('The body of each job.'),
  headers: named('header', whole.describe('A header of each job.')).prefault({}),
  contentType: text.optional().describe('Media type of the body.'),
  priority: count(0, 9).prefault(0).describe('0 (usual) to 9 (first).'),
});

const fields = section({
  system: text.optional().describe('The system that owns it; one of `systems`.'),
  owner: text.optional().describe('Who answers for it.'),
  cron: text
    .optional()
    .describe('`minute hour day month weekday`, or six fields with the second first.'),
  fields: fieldCount
    .optional()
    .describe('How many fields `cron` is meant to have; a fault if it has not.'),
  everyMs: duration
    .optional()
    .describe('An interval of at least 1s, counted from `start` or from 1970.'),
  at: instants.optional().describe('Dates, each once; without an offset as clocks in `zone` show.'),
  after: section({
    schedules: parents.describe('Those whose runs it follows.'),
    on: oneOf('success', 'failure', 'always').prefault('success').describe('How they ended.'),
    need: oneOf('all', 'any')
      .prefault('any')
      .describe('`all`: once each has ended anew; `any`: after each run of each.'),
    delayMs: duration.prefault('0s').describe('From the end of theirs to this one.'),
  })
    .optional()
    .describe('After runs of other schedules.'),
  zone: text.prefault('UTC').describe('IANA time zone of `cron`, `at`, `start` and `end`.'),
  clocks: section({
    gap: oneOf('late', 'skip')
      .optional()
      .describe('Times that clocks skip: at the first that exists, or not at all.'),
    overlap: oneOf('once', 'twice').optional().describe('Times that clocks show twice.'),
  }).prefault({}),
  start: text.optional().describe('A date; nothing is due before.'),
  end: text.optional().describe('A date; nothing is due after.'),
  times: count(1, 4_294_967_295).optional().describe('Runs in all; without it no limit.'),
  jitterMs: duration
    .prefault('0s')
    .describe('Up to so much later, by a hash of name and time: always the same.'),
  enabled: onOff.prefault(true).describe('`false` is `paused` without a reason.'),
  paused: text.optional().describe('Why it does not fire.'),
  overlap: oneOf('skip', 'queue_one', 'queue_all', 'replace', 'allow')
    .optional()
    .describe(
      'While a run goes on: `skip`, the default of `run`; `allow`, that of `push`; or wait, or end it.',
    ),
  allowMax: count(1, RUNS_MAX).optional().describe('Of `allow`: runs at once.'),
  misfire: section({
    fire: oneOf('skip', 'once', 'all')
      .prefault('once')
      .describe('Fires that nobody could make in time: none, the latest, or all of them.'),
    withinMs: duration.optional().describe('Older ones are missed in any case.'),
    max: count(1, MISFIRES_MAX).prefault(100).describe('Of `all`: the latest so many.'),
  }).prefault({}),
  pauseAfterFailures: count(1, 1_000_000)
    .optional()
    .describe('Failures one after the other at which it is paused.'),
  push: (push as Field<PushDocument>).optional().describe('The job of a fire.'),
  run: run
    .optional()
    .describe(
      'Or a command: `command` or `shell`, and what `target.command` has beside; `timeout` (1h), `retention` (7d), `retry` (one attempt); `on: all` runs it on every node that carries the tag, with `wait` (1m) for one that has gone.',
    ),
});

/** A schedule with what contradicts itself in it, or is never due. */
export const scheduleSchema = fields.transform((given, context): ScheduleDocument => {
  const { overlap, ...rest } = given;
  const document: ScheduleDocument = {
    ...rest,
    overlap: overlap ?? (given.run === undefined ? 'allow' : 'skip'),
  };
  checkShape(document, context);
  checkTimes(document, context);
  return document;
}) as Field<ScheduleDocument>;

function checkShape(document: ScheduleDocument, context: z.RefinementCtx): void {
  const { cron, everyMs, at, after, run, push, overlap, allowMax } = document;
  const kinds = [cron, everyMs, at, after].filter((kind) => kind !== undefined);
  if (kinds.length !== 1) fail(context, 'needs one of cron, every, at and after');
  if ((run === undefined) === (push === undefined)) fail(context, 'needs either push or run');
  if (cron === undefined && document.fields !== undefined)
    fail(context, 'means nothing without cron', ['fields']);
  if (overlap !== 'allow' && allowMax !== undefined)
    fail(context, `means nothing to overlap: ${overlap}`, ['allow_max']);
  if (overlap === 'replace' && run === undefined)
    fail(context, 'can only end what `run` runs', ['overlap']);
  for (const name of Object.keys(push?.headers ?? {}))
    if (OWN_HEADER.test(name)) fail(context, 'is set by the bus itself', ['push', 'headers', name]);
}

// The name is another one than the schedule's: no fault speaks of it.
function checkTimes(document: ScheduleDocument, context: z.RefinementCtx): void {
  try {
    const schedule = createSchedule(scheduleSpec(scheduleConfig('', document), true));
    const { timetable, startMs = 0, endMs } = schedule;
    if (startMs >= endMs) fail(context, 'is not after start', ['end']);
    else if (timetable !== undefined && nominalAfter(schedule, startMs - 1) === undefined)
      fail(context, 'is never due');
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    fail(context, error.message, placeOf(error.message, document));
  }
}

/** The key that a fault of a timetable is about: the one whose text it repeats. */
function placeOf(message: string, document: ScheduleDocument): string[] {
  const { at = [] } = document;
  const keys = ['zone', 'cron', 'start', 'end'] as const;
  const key = keys.find((each) => document[each] && message.includes(document[each] as string));
  if (key !== undefined) return [key];
  if (at.some((date) => message.includes(date))) return ['at'];
  return document.everyMs === undefined ? [] : ['every'];
}
