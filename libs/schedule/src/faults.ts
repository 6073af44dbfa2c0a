import { circles } from './family.js';
import { FOLLOWERS_MAX, MISFIRES_MAX, PARENTS_MAX, RUNS_MAX } from './limits.js';
import {
  createSchedule,
  dueAt,
  nominalAfter,
  type Schedule,
  type ScheduleSpec,
} from './schedule.js';

/** What is wrong with a schedule. */
export interface ScheduleFault {
  schedule: string;
  message: string;
}

/** Everything that is wrong with these schedules, each on its own and together. */
export function scheduleFaults(schedules: readonly ScheduleSpec[], nowMs: number): ScheduleFault[] {
  const own = schedules.flatMap((spec) =>
    faultsOf(spec, nowMs).map((message) => ({ schedule: spec.name, message })),
  );
  return [...own, ...familyFaults(schedules)];
}

/** What is wrong with one schedule, whatever others there are. */
export function faultsOf(spec: ScheduleSpec, nowMs: number): string[] {
  const faults = [...shapeFaults(spec), ...numberFaults(spec)];
  return faults.length > 0 ? faults : timeFaults(spec, nowMs);
}

function shapeFaults(spec: ScheduleSpec): string[] {
  const { cron, everyMs, at, after } = spec;
  const kinds = Object.entries({ cron, every: everyMs, at, after })
    .filter(([, value]) => value !== undefined)
    .map(([key]) => key);
  const faults: string[] = [];
  if (kinds.length === 0) faults.push('says not when: it needs one of cron, every, at and after');
  if (kinds.length > 1) faults.push(`has ${kinds.join(' and ')}, which contradict each other`);
  if (cron === undefined && spec.fields !== undefined) faults.push('has fields, but no cron');
  if (after !== undefined && after.schedules.length === 0) faults.push('follows nobody');
  return faults;
}

const isWhole = (value: number): boolean => Number.isSafeInteger(value);

function numberFaults(spec: ScheduleSpec): string[] {
  const { times, jitterMs, after, overlap, misfire, pauseAfterFailures } = spec;
  const faults: string[] = [];
  const least = (what: string, value: number | undefined, min: number, max = Infinity): void => {
    if (value === undefined || (isWhole(value) && value >= min && value <= max)) return;
    const limit = max === Infinity ? `at least ${min}` : `from ${min} to ${max}`;
    faults.push(`${what} is ${value}; it must be ${limit}`);
  };
  least('times', times, 1);
  least('jitter', jitterMs, 0);
  least('the delay', after?.delayMs, 0);
  least('pause_after_failures', pauseAfterFailures, 1);
  least('misfire within', misfire?.withinMs, 0);
  least('misfire max', misfire?.max, 1, MISFIRES_MAX);
  if (overlap?.kind === 'allow') least('allow_max', overlap.max, 1, RUNS_MAX);
  return faults;
}

function timeFaults(spec: ScheduleSpec, nowMs: number): string[] {
  try {
    const schedule = createSchedule(spec);
    const { startMs = 0, endMs, timetable } = schedule;
    if (endMs < startMs) return ['ends before it starts'];
    if (endMs <= nowMs) return [`never fires: it ended at ${spec.end}`];
    const afterMs = Math.max(nowMs, startMs - 1);
    if (timetable !== undefined && nominalAfter(schedule, afterMs) === undefined)
      return ['never fires'];
    return [];
  } catch (error) {
    if (error instanceof TypeError) return [error.message];
    throw error;
  }
}

/** What is wrong between schedules: names, parents and circles. */
export function familyFaults(schedules: readonly ScheduleSpec[]): ScheduleFault[] {
  return [
    ...nameFaults(schedules),
    ...schedules.flatMap(parentFaults(schedules)),
    ...circleFaults(schedules),
  ];
}

function nameFaults(schedules: readonly ScheduleSpec[]): ScheduleFault[] {
  const names = schedules.map(({ name }) => name);
  const twice = new Set(names.filter((name, at) => names.indexOf(name) !== at));
  return [...twice].map((schedule) => ({ schedule, message: 'is there twice' }));
}

function parentFaults(schedules: readonly ScheduleSpec[]) {
  const known = new Map(schedules.map((spec) => [spec.name, spec]));
  const followers = new Map<string, number>();
  for (const parent of schedules.flatMap(({ after }) => after?.schedules ?? []))
    followers.set(parent, (followers.get(parent) ?? 0) + 1);
  return ({ name: schedule, after }: ScheduleSpec): ScheduleFault[] => {
    const messages = (after?.schedules ?? []).flatMap((parent) => {
      const spec = known.get(parent);
      if (spec === undefined) return [`follows '${parent}', which there is not`];
      return spec.tracked ? [] : [`follows '${parent}', of whose runs nobody hears how they end`];
    });
    if ((after?.schedules.length ?? 0) > PARENTS_MAX)
      messages.push(`follows more than ${PARENTS_MAX} schedules`);
    if ((followers.get(schedule) ?? 0) > FOLLOWERS_MAX)
      messages.push(`is followed by more than ${FOLLOWERS_MAX} schedules`);
    return messages.map((message) => ({ schedule, message }));
  };
}

function circleFaults(schedules: readonly ScheduleSpec[]): ScheduleFault[] {
  return circles(schedules).map((circle) => ({
    schedule: circle[0] as string,
    message: `waits for itself: ${circle.join(' follows ')}`,
  }));
}

/** The next fires of a schedule; none for one that follows others. A pause is not looked at. */
export function nextFires(
  schedule: Schedule,
  nowMs: number,
  count = 5,
): Array<{ nominalMs: number; dueMs: number }> {
  const fires: Array<{ nominalMs: number; dueMs: number }> = [];
  let at = nominalAfter(schedule, nowMs);
  while (at !== undefined && fires.length < Math.min(count, schedule.times)) {
    fires.push({ nominalMs: at, dueMs: dueAt(schedule, at) });
    at = nominalAfter(schedule, at);
  }
  return fires;
}
