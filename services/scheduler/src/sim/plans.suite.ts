import type { OverlapPolicy, ScheduleSpec } from '@malabar/schedule';
import {
  everyTimes,
  type Pattern,
  patternTimes,
  YEAR_END_MS,
  YEAR_START_MS,
} from './almanac.suite.js';
import type { Dice } from './dice.suite.js';

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** A schedule and when it is due, if it does not follow others. */
export interface Plan {
  spec: ScheduleSpec;
  /** Between its start and its end; found without libs/schedule. */
  times: readonly number[];
  /** Runs take some part or some times of this. */
  periodMs: number;
  /** Of one that runs everywhere: on nodes that carry this. */
  tag: string;
}

/** What nodes carry. */
export const TAGS = ['batch', 'edge'] as const;

const ZONES = [
  'America/New_York',
  'Europe/Berlin',
  'America/Sao_Paulo',
  'Australia/Lord_Howe',
  'Asia/Kathmandu',
];

const PATTERNS: Pattern[] = [
  { cron: '30 2 * * *', minutes: [30], hours: [2] },
  { cron: '0 0 * * *', minutes: [0], hours: [0] },
  { cron: '45 1 * * *', minutes: [45], hours: [1] },
  { cron: '0,30 2 * * *', minutes: [0, 30], hours: [2] },
  { cron: '15 0 3 * * 1-5', second: 15, minutes: [0], hours: [3], weekdays: [1, 2, 3, 4, 5] },
  { cron: '59 59 23 * * SUN', second: 59, minutes: [59], hours: [23], weekdays: [0] },
  { cron: '0 12 1,15 * *', minutes: [0], hours: [12], days: [1, 15] },
  { cron: '0 0 1 1,7 *', minutes: [0], hours: [0], days: [1], months: [1, 7] },
];
const HALF_HOURS: Pattern = { cron: '*/30 * * * *', minutes: [0, 30] };

const OVERLAPS: OverlapPolicy[] = [
  { kind: 'skip' },
  { kind: 'queue_one' },
  { kind: 'queue_all' },
  { kind: 'replace' },
  { kind: 'allow', max: 2 },
];

const iso = (ms: number): string => new Date(ms).toISOString();
type When = Pick<ScheduleSpec, 'cron' | 'everyMs' | 'at' | 'after' | 'zone' | 'start' | 'end'>;
interface Timed {
  when: When;
  times: readonly number[];
  periodMs: number;
}

function within(times: readonly number[], fromMs: number, toMs: number): number[] {
  return times.filter((at) => at >= fromMs && at <= toMs);
}

/** Some days of the year. */
function someDays(dice: Dice, days: number): { fromMs: number; toMs: number } {
  const fromMs = YEAR_START_MS + dice.between(1, 365 - days) * DAY_MS;
  return { fromMs, toMs: fromMs + days * DAY_MS };
}

function byClock(dice: Dice): Timed {
  const zone = dice.pick(ZONES);
  const pattern = dice.pick(PATTERNS);
  return {
    when: { cron: pattern.cron, zone },
    times: patternTimes(pattern, zone),
    periodMs: DAY_MS,
  };
}

function byHalfHour(dice: Dice): Timed {
  const zone = dice.pick(ZONES);
  const { fromMs, toMs } = someDays(dice, 5);
  const times = within(patternTimes(HALF_HOURS, zone), fromMs, toMs);
  const when = { cron: HALF_HOURS.cron, zone, start: iso(fromMs), end: iso(toMs) };
  return { when, times, periodMs: HOUR_MS / 2 };
}

function byInterval(dice: Dice): Timed {
  const everyMs = dice.pick([12 * HOUR_MS, DAY_MS, 3 * DAY_MS, 100 * HOUR_MS + 7]);
  if (dice.chance(0.2)) {
    const fromMs = YEAR_START_MS - dice.between(1, 47) * HOUR_MS;
    return {
      when: { everyMs, start: iso(fromMs) },
      times: everyTimes(everyMs, { anchorMs: fromMs, fromMs }),
      periodMs: everyMs,
    };
  }
  return { when: { everyMs }, times: everyTimes(everyMs, { anchorMs: 0 }), periodMs: everyMs };
}

function bySeconds(dice: Dice): Timed {
  const everyMs = dice.pick([SECOND_MS, 10 * SECOND_MS, MINUTE_MS, 90 * SECOND_MS]);
  const { fromMs } = someDays(dice, 1);
  const toMs = fromMs + 200 * everyMs;
  const times = everyTimes(everyMs, { anchorMs: fromMs, fromMs, toMs });
  return { when: { everyMs, start: iso(fromMs), end: iso(toMs) }, times, periodMs: everyMs };
}

function byDates(dice: Dice): Timed {
  const dates = Array.from({ length: dice.between(1, 8) }, () =>
    dice.between(YEAR_START_MS + 1, YEAR_END_MS - 1),
  );
  const times = [...new Set(dates)].sort((a, b) => a - b);
  return { when: { at: dates.map(iso) }, times, periodMs: 10 * DAY_MS };
}

function byParents(dice: Dice, parents: readonly Plan[]): Timed {
  const chosen = new Set(Array.from({ length: dice.pick([1, 1, 2, 3]) }, () => dice.pick(parents)));
  const after = {
    schedules: [...chosen].map(({ spec }) => spec.name),
    on: dice.pick(['success', 'failure', 'always'] as const),
    need: dice.pick(['any', 'all'] as const),
    delayMs: dice.pick([0, 0, 10 * SECOND_MS, 3 * HOUR_MS]),
  };
  return { when: { after }, times: [], periodMs: DAY_MS };
}

const many = <T>(count: number, kind: T): T[] => Array.from({ length: count }, () => kind);

/** As often as they are to be met. */
const KINDS: Array<(dice: Dice, parents: readonly Plan[]) => Timed> = [
  ...many(21, byClock),
  ...many(2, byHalfHour),
  ...many(10, byInterval),
  ...many(2, bySeconds),
  ...many(5, byDates),
  ...many(10, byParents),
];

/** A schedule of any kind with any policies. It follows only `parents`. */
export function anyPlan(dice: Dice, name: string, parents: readonly Plan[]): Plan {
  const usable = parents.filter(({ spec }) => spec.tracked);
  const kinds = usable.length > 20 ? KINDS : KINDS.filter((kind) => kind !== byParents);
  const { when, times, periodMs } = dice.pick(kinds)(dice, usable);
  const some = <T>(probability: number, value: T): T | undefined =>
    dice.chance(probability) ? value : undefined;
  const tracked = dice.chance(0.9);
  const spec: ScheduleSpec = {
    name,
    ...when,
    tracked,
    everywhere: tracked && dice.chance(0.2),
    times: some(0.1, dice.between(1, 60)),
    jitterMs: some(0.2, dice.between(1, 10 * MINUTE_MS)),
    overlap: dice.pick(OVERLAPS),
    misfire: {
      fire: dice.pick(['skip', 'once', 'all']),
      withinMs: some(0.5, dice.pick([10 * MINUTE_MS, 6 * HOUR_MS, 2 * DAY_MS])),
      max: some(0.5, dice.between(1, 5)),
    },
    pauseAfterFailures: some(0.1, dice.between(2, 4)),
  };
  return { spec, times, periodMs, tag: dice.pick(TAGS) };
}
