import { atTimetable, parseInstant } from './at.js';
import { cronTimetable, type Gap, type Overlap } from './cron.js';
import { everyTimetable } from './every.js';
import { jitterOf } from './jitter.js';
import { RUNS_MAX } from './limits.js';
import type { Timetable } from './timetable.js';
import { zoneOf } from './zone.js';

/** What to do with a fire while runs of its schedule are still going on. */
export type OverlapPolicy =
  | { kind: 'skip' }
  /** One fire waits for the end of what runs; more are skipped. */
  | { kind: 'queue_one' }
  | { kind: 'queue_all' }
  /** What runs is ended, the new run starts. */
  | { kind: 'replace' }
  | { kind: 'allow'; max: number };

/** What to do with fires that nobody could make in time, because no leader was there. */
export interface MisfirePolicy {
  /** None of them, the newest, or all: the newest `max` of them. */
  fire: 'skip' | 'once' | 'all';
  /** Those that are older are skipped. Default: no limit. */
  withinMs?: number;
  /** Only for `all`. Default: 100. */
  max?: number;
}

/** A schedule that is due when others have ended. */
export interface FollowSpec {
  schedules: readonly string[];
  /** Default: success. */
  on?: 'success' | 'failure' | 'always';
  /** `any`: once for each run of each parent (default). `all`: once when each of them has ended again. */
  need?: 'any' | 'all';
  delayMs?: number;
}

/** A schedule as its document says it. Exactly one of `cron`, `everyMs`, `at` and `after`. */
export interface ScheduleSpec {
  name: string;
  cron?: string;
  /** How many fields the writer of `cron` meant; never guessed. */
  fields?: 5 | 6;
  everyMs?: number;
  /** ISO 8601; without an offset as clocks in `zone` show it. */
  at?: readonly string[];
  after?: FollowSpec;
  /** IANA name. Default: UTC. */
  zone?: string;
  clocks?: { gap?: Gap; overlap?: Overlap };
  start?: string;
  end?: string;
  /** How many runs there are in all. */
  times?: number;
  jitterMs?: number;
  /** Why it is paused. */
  paused?: string;
  /** Default: skip. */
  overlap?: OverlapPolicy;
  /** Default: once. */
  misfire?: MisfirePolicy;
  pauseAfterFailures?: number;
  /** Each fire runs on every node that is there for it. */
  everywhere?: boolean;
  /** Whether somebody reports how its runs end. If not, a run is over when it is in its queue. */
  tracked: boolean;
}

const MISFIRE_MAX_DEFAULT = 100;

/** A schedule that the planner can work with. */
export interface Schedule {
  readonly name: string;
  /** The whole spec as text: two schedules with the same text are the same. */
  readonly text: string;
  /** What its times depend on: as long as that stays, its cursor does. */
  readonly fingerprint: string;
  /** Absent where it follows others. */
  readonly timetable?: Timetable;
  readonly follows?: Required<FollowSpec>;
  readonly startMs: number | undefined;
  readonly endMs: number;
  readonly times: number;
  readonly jitterMs: number;
  readonly paused: string | undefined;
  readonly overlap: OverlapPolicy;
  readonly misfire: Required<MisfirePolicy>;
  readonly pauseAfterFailures: number;
  readonly everywhere: boolean;
  readonly tracked: boolean;
}

/** The schedule of a spec. Throws a TypeError that says what is wrong with its times. */
export function createSchedule(spec: ScheduleSpec): Schedule {
  const zone = zoneOf(spec.zone ?? 'UTC');
  const startMs = spec.start === undefined ? undefined : parseInstant(spec.start, zone);
  return {
    name: spec.name,
    text: JSON.stringify(spec),
    fingerprint: fingerprintOf(spec),
    timetable: timetableOf(spec, startMs),
    follows: spec.after && { on: 'success', need: 'any', delayMs: 0, ...spec.after },
    startMs,
    endMs: spec.end === undefined ? Infinity : parseInstant(spec.end, zone),
    times: spec.times ?? Infinity,
    jitterMs: spec.jitterMs ?? 0,
    paused: spec.paused,
    overlap: spec.tracked ? (spec.overlap ?? { kind: 'skip' }) : { kind: 'allow', max: RUNS_MAX },
    misfire: {
      fire: spec.misfire?.fire ?? 'once',
      withinMs: spec.misfire?.withinMs ?? Infinity,
      max: spec.misfire?.max ?? MISFIRE_MAX_DEFAULT,
    },
    pauseAfterFailures: spec.pauseAfterFailures ?? Infinity,
    everywhere: spec.everywhere ?? false,
    tracked: spec.tracked,
  };
}

function fingerprintOf({ cron, everyMs, at, after, zone, clocks, start }: ScheduleSpec): string {
  return JSON.stringify([cron, everyMs, at, after?.schedules, zone, clocks, start]);
}

function timetableOf(spec: ScheduleSpec, startMs: number | undefined): Timetable | undefined {
  const { cron, fields, everyMs, at, clocks } = spec;
  const zone = zoneOf(spec.zone ?? 'UTC');
  if (cron !== undefined) return cronTimetable({ expression: cron, fields, zone, ...clocks });
  if (everyMs !== undefined) return everyTimetable(everyMs, startMs);
  return at && atTimetable(at.map((text) => parseInstant(text, zone)));
}

/** The first nominal time after `afterMs`, between start and end. */
export function nominalAfter(schedule: Schedule, afterMs: number): number | undefined {
  const { timetable, startMs = 0, endMs } = schedule;
  const at = timetable?.next(Math.max(afterMs, startMs - 1));
  return at !== undefined && at <= endMs ? at : undefined;
}

/**
 * When a nominal time is due: later by its jitter, but never after the nominal time that follows, so
 * that fires come in the order of their times.
 */
export function dueAt(schedule: Schedule, nominalMs: number): number {
  const { name, jitterMs } = schedule;
  if (jitterMs <= 0) return nominalMs;
  const followingMs = nominalAfter(schedule, nominalMs) ?? Infinity;
  return nominalMs + jitterOf(name, nominalMs, Math.min(jitterMs, followingMs - nominalMs));
}
