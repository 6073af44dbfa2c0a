import { readSchedule } from '@malabar/config';
import { createSchedule, type Timetable } from '@malabar/schedule';
import { clockText } from '../../schedules/upcoming.js';
import { familyFaults } from './family.js';
import { type Fires, firesOf } from './fires.js';
import type { PeppercronJob, ReadJob } from './job.js';
import { runOf } from './new-run.js';
import { whenOf } from './new-when.js';
import { type OldReading, readWhen } from './old-reading.js';
import type { PeppercronStore } from './store.js';

/** One run, as many schedules, or a run on every node that carries the tag. */
export type Replicas = 'once' | 'copies' | 'nodes';

/** How somebody wants to move. */
export interface ConvertOptions {
  /** Zone of peppercron's machines, for jobs that name none. */
  zone?: string;
  /** Jobs whose five fields were meant as a crontab. */
  crontab: ReadonlySet<string>;
  /** What becomes of several replicas. */
  replicas?: Replicas;
  keepRetries: boolean;
  /** Other names, by job. */
  names: ReadonlyMap<string, string>;
  /** Schedules fire at once. */
  enable: boolean;
  nowMs: number;
}

/** A schedule as it will be here. */
export interface PlannedSchedule {
  name: string;
  document: Record<string, unknown>;
}

/** A job of peppercron and what becomes of it. */
export interface PlannedJob {
  name: string;
  key: string;
  job?: PeppercronJob;
  /** Undefined if peppercron itself does not know when to run it. */
  reading?: OldReading;
  /** Of jobs with times of their own. */
  fires?: Fires;
  /** None if it is refused. */
  schedules: PlannedSchedule[];
  warnings: string[];
  /** Why it is not taken over. */
  refusals: string[];
}

/** Why a schedule from peppercron does not fire yet. */
export const MOVED = 'moved from peppercron; resume it once it is stopped there';
const COMPLETED = 'peppercron has completed it';
const NO_REPLICA = 'peppercron never ran it: its concurrency was';

/** What becomes of each job; jobs that refused ones are parents of are refused too. */
export function convert(store: PeppercronStore, options: ConvertOptions): PlannedJob[] {
  const planned = store.jobs.map((read) => plan(read, store, options));
  refuseSameNames(planned);
  for (const { name, faults } of familyFaults(planned, store.jobs)) {
    planned.find((each) => each.name === name)?.refusals.push(...faults);
  }
  for (const each of planned) if (each.refusals.length > 0) each.schedules = [];
  return planned;
}

function plan(read: ReadJob, store: PeppercronStore, options: ConvertOptions): PlannedJob {
  const { key, name, job, faults, warnings } = read;
  const base = { name, key, schedules: [], warnings: [...warnings], refusals: [...faults] };
  if (job === undefined) return base;
  const planned: PlannedJob = { ...base, job };
  const refuse = (message: string): void => void planned.refusals.push(message);
  const warn = (message: string): void => void planned.warnings.push(message);
  try {
    planned.reading = readWhen(job, options.zone);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    refuse(error.message);
  }
  const run = runOf(job, { ...options, nodes: store.nodes, warn, refuse });
  if (planned.reading === undefined) return planned;
  const when = whenOf(job, planned.reading, {
    crontab: options.crontab.has(name),
    schedulesOf: (parent) => namesOf(parent, store.jobs, options),
    warn,
  });
  sayTheRest(job, warn);
  const on = replicasOf(job, options, { warn, refuse });
  const document = {
    ...when,
    ...pauseOf(job, store, { ...options, warn }),
    run: { ...run, ...on },
  };
  const names = namesOf(name, store.jobs, options);
  planned.schedules = names.map((schedule) => ({ name: schedule, document }));
  const timetables = names.map((schedule) => {
    const { timetable, faults } = checked(schedule, document);
    for (const fault of faults) refuse(fault);
    return timetable;
  });
  planned.fires = firesOf(planned, timetables[0], options.nowMs);
  if (planned.fires !== undefined) sayDifferences(planned.fires, { warn, refuse });
  return planned;
}

function sayDifferences(fires: Fires, { warn, refuse }: Say): void {
  const { there, leavesOut, differsAtMs, zone } = fires;
  if (there.length === 0) refuse('is never due, and peppercron looks for its time without end');
  if (leavesOut) warn('peppercron leaves out a time within a second after the last; here all fire');
  if (differsAtMs === undefined) return;
  const { startMs, endMs } = zone.stretchAt(differsAtMs);
  const isAtChange = Math.min(differsAtMs - startMs, endMs - differsAtMs) < HOURS_MS;
  const why = isAtChange ? ', where clocks change' : '';
  warn(`fires otherwise than at peppercron, first at ${clockText(differsAtMs, zone)}${why}`);
}

/** A document must be one of the bus's, for whatever reason it might not be. */
function checked(
  name: string,
  document: object,
): { timetable?: Timetable; faults: readonly string[] } {
  const { spec, faults } = readSchedule(name, JSON.stringify(document));
  return { timetable: spec && createSchedule(spec).timetable, faults };
}

/** The schedules that take the place of a job. */
function namesOf(job: string, jobs: readonly ReadJob[], options: ConvertOptions): string[] {
  const name = options.names.get(job) ?? job;
  const replicas = jobs.find((each) => each.name === job)?.job?.concurrency ?? 1;
  if (options.replicas !== 'copies' || replicas <= 1) return [name];
  return Array.from({ length: replicas }, (_, at) => `${name}.${at + 1}`);
}

const REPLICAS_MAX = 100;
/** Times that a change of clocks moves are so near to it. */
const HOURS_MS = 3 * 3_600_000;

interface Say {
  warn(message: string): void;
  refuse(message: string): void;
}

const NOW: Record<Replicas, string> = {
  once: 'one of them does',
  copies: 'as many schedules do',
  nodes: 'every node that carries its tag does',
};

/** What `run` says of replicas. */
function replicasOf(
  { concurrency }: PeppercronJob,
  { replicas }: ConvertOptions,
  { warn, refuse }: Say,
): { on?: string } {
  if (concurrency <= 1) return {};
  const meant = `concurrency ${concurrency} is no limit: so many replicas ran it at every tick`;
  if (replicas === undefined) refuse(`${meant}; say --replicas once, copies or nodes`);
  else if (replicas === 'copies' && concurrency > REPLICAS_MAX)
    refuse(`${meant}; more than ${REPLICAS_MAX} schedules are too many`);
  else warn(`${meant}; here ${NOW[replicas]}`);
  return replicas === 'nodes' ? { on: 'all' } : {};
}

/** Why it does not fire: because it must not yet, or because it did not at peppercron. */
function pauseOf(
  { name, concurrency, dependent_jobs: parents }: PeppercronJob,
  { completed }: PeppercronStore,
  { enable, warn }: ConvertOptions & { warn(message: string): void },
): { paused?: string } {
  // A child is completed after its first run, by mistake.
  if (completed.has(name) && parents.length === 0) {
    warn(`${COMPLETED}; it stays paused here, also with --enable`);
    return { paused: COMPLETED };
  }
  if (concurrency <= 0) {
    warn(`${NO_REPLICA} ${concurrency}; it stays paused here, also with --enable`);
    return { paused: `${NO_REPLICA} ${concurrency}` };
  }
  return enable ? {} : { paused: MOVED };
}

/** What has no place here, or never had an effect there. */
function sayTheRest({ extras, status }: PeppercronJob, warn: (message: string) => void): void {
  const names = Object.keys(extras);
  if (names.length > 0) warn(`extras have no place here: ${names.join(', ')}`);
  if (status !== '') warn(`status '${status}' was never read`);
}

function refuseSameNames(planned: readonly PlannedJob[]): void {
  const owners = new Map<string, PlannedJob[]>();
  for (const each of planned)
    for (const { name } of each.schedules) owners.set(name, [...(owners.get(name) ?? []), each]);
  for (const [name, jobs] of owners) {
    if (jobs.length < 2) continue;
    for (const each of jobs) {
      const others = jobs.filter((other) => other !== each).map((other) => `'${other.name}'`);
      each.refusals.push(`would be the schedule ${name}, as ${others.join(' and ')} would`);
    }
  }
}
