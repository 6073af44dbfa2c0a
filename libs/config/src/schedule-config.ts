import { keeper } from '@malabar/contracts';
import { parseInstant, RUNS_MAX, type ScheduleSpec, zoneOf } from '@malabar/schedule';
import type { ScheduleDocument } from './schedule.js';

const NOT_ENABLED = 'not enabled';
const GAP = { late: keeper.ClockGap.LATE, skip: keeper.ClockGap.SKIP };
const TWICE = { once: keeper.ClockOverlap.ONCE, twice: keeper.ClockOverlap.TWICE };
const ON = {
  success: keeper.RunEnding.SUCCESS,
  failure: keeper.RunEnding.FAILURE,
  always: keeper.RunEnding.ALWAYS,
};
const OVERLAP = {
  skip: keeper.RunOverlap.SKIP,
  queue_one: keeper.RunOverlap.QUEUE_ONE,
  queue_all: keeper.RunOverlap.QUEUE_ALL,
  replace: keeper.RunOverlap.REPLACE,
  allow: keeper.RunOverlap.ALLOW,
};
const FIRE = {
  skip: keeper.MisfireFire.SKIP,
  once: keeper.MisfireFire.ONCE,
  all: keeper.MisfireFire.ALL,
};

/** The queue of test runs of a schedule that runs a command. */
export const testQueue = (schedule: string): string => `schedule-test.${schedule}`;

/** The queue of a schedule that runs a command. */
export const runQueue = (schedule: string): string => `schedule.${schedule}`;

/** A schedule as the services read it. Throws a TypeError for a date or zone that there is not. */
export function scheduleConfig(name: string, document: ScheduleDocument): keeper.ScheduleConfig {
  const { system = '', owner = '', times = 0, jitterMs, enabled, paused, misfire } = document;
  const zone = zoneOf(document.zone);
  const instant = (text: string | undefined): number =>
    text === undefined ? 0 : parseInstant(text, zone);
  return {
    name,
    system,
    owner,
    when: whenConfig(document),
    startMs: instant(document.start),
    endMs: instant(document.end),
    times,
    jitterMs,
    paused: paused ?? (enabled ? '' : NOT_ENABLED),
    overlap: OVERLAP[document.overlap],
    allowMax: document.allowMax ?? 0,
    misfire: { fire: FIRE[misfire.fire], withinMs: misfire.withinMs ?? 0, max: misfire.max },
    pauseAfterFailures: document.pauseAfterFailures ?? 0,
    job: jobConfig(name, document),
    runs: document.run !== undefined,
    broadcast: broadcastConfig(document),
  };
}

function broadcastConfig({ run }: ScheduleDocument): keeper.Broadcast | undefined {
  return run?.waitMs === undefined ? undefined : { tag: run.tag ?? '', waitMs: run.waitMs };
}

function whenConfig(document: ScheduleDocument): keeper.ScheduleConfig['when'] {
  const { cron, fields = 0, everyMs, at, after, zone, clocks } = document;
  if (cron !== undefined) {
    const gap = clocks.gap === undefined ? keeper.ClockGap.UNSPECIFIED : GAP[clocks.gap];
    const overlap =
      clocks.overlap === undefined ? keeper.ClockOverlap.UNSPECIFIED : TWICE[clocks.overlap];
    return { $case: 'cron', value: { expression: cron, fields, zone, gap, overlap } };
  }
  if (everyMs !== undefined) return { $case: 'everyMs', value: everyMs };
  if (at !== undefined) {
    return { $case: 'at', value: { atMs: at.map((text) => parseInstant(text, zoneOf(zone))) } };
  }
  if (after === undefined) return undefined;
  const { schedules, on, need, delayMs } = after;
  return { $case: 'after', value: { schedules, on: ON[on], all: need === 'all', delayMs } };
}

function jobConfig(name: string, { push }: ScheduleDocument): keeper.ScheduledJob {
  const job = { queue: runQueue(name), body: '', headers: {}, contentType: '', priority: 0 };
  const { body, ...rest } = { ...job, ...push };
  return { ...rest, body: Buffer.from(body) };
}

/**
 * What timetables and policies are made from. `tracked`: somebody has to know how its runs end. Throws
 * nothing: faults show when the schedule is made.
 */
export function scheduleSpec(config: keeper.ScheduleConfig, tracked: boolean): ScheduleSpec {
  const { when, misfire } = config;
  return {
    name: config.name,
    ...timesSpec(when),
    start: dateText(config.startMs),
    end: dateText(config.endMs),
    times: config.times || undefined,
    jitterMs: config.jitterMs,
    paused: config.paused || undefined,
    overlap: overlapSpec(config),
    misfire: {
      fire: keyOf(FIRE, misfire?.fire) ?? 'once',
      withinMs: misfire?.withinMs || undefined,
      max: misfire?.max,
    },
    pauseAfterFailures: config.pauseAfterFailures || undefined,
    everywhere: config.broadcast !== undefined || undefined,
    tracked,
  };
}

/** The specs of all schedules together: those whose runs others follow are tracked too. */
export function scheduleSpecs(schedules: readonly keeper.ScheduleConfig[]): ScheduleSpec[] {
  const parents = new Set(schedules.flatMap(parentsOf));
  return schedules.map((config) => {
    const { overlap, allowMax, pauseAfterFailures } = config;
    const free = overlap === keeper.RunOverlap.ALLOW && allowMax === 0 && pauseAfterFailures === 0;
    return scheduleSpec(config, config.runs || !free || parents.has(config.name));
  });
}

/** The schedules whose runs this one follows. */
export function parentsOf({ when }: keeper.ScheduleConfig): readonly string[] {
  return when?.$case === 'after' ? when.value.schedules : [];
}

function timesSpec(when: keeper.ScheduleConfig['when']): Partial<ScheduleSpec> {
  if (when?.$case === 'everyMs') return { everyMs: when.value };
  if (when?.$case === 'at') return { at: when.value.atMs.map((ms) => new Date(ms).toISOString()) };
  if (when?.$case === 'after') {
    const { schedules, on, all, delayMs } = when.value;
    return { after: { schedules, on: keyOf(ON, on), need: all ? 'all' : 'any', delayMs } };
  }
  if (when?.$case !== 'cron') return {};
  const { expression, fields, zone, gap, overlap } = when.value;
  return {
    cron: expression,
    fields: fields === 5 || fields === 6 ? fields : undefined,
    zone,
    clocks: { gap: keyOf(GAP, gap), overlap: keyOf(TWICE, overlap) },
  };
}

function overlapSpec({ overlap, allowMax }: keeper.ScheduleConfig): ScheduleSpec['overlap'] {
  const kind = keyOf(OVERLAP, overlap) ?? 'skip';
  return kind === 'allow' ? { kind, max: allowMax || RUNS_MAX } : { kind };
}

const dateText = (ms: number): string | undefined =>
  ms === 0 ? undefined : new Date(ms).toISOString();

function keyOf<K extends string, V>(table: Record<K, V>, value: V | undefined): K | undefined {
  const found = Object.entries(table).find(([, each]) => each === value);
  return found?.[0] as K | undefined;
}
