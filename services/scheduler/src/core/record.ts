import { hash } from 'node:crypto';

/** Why a run is made. */
export type Reason = 'timetable' | 'parent' | 'trigger' | 'backfill';
/** How a run has ended for good. */
export type FinalStatus = 'done' | 'failed' | 'dead' | 'discarded';
/** Why a run did not happen. */
export type SkipReason = 'overlap' | 'misfire' | 'paused' | 'ended' | 'no_node';

/** What a run hears of the run that it follows. */
export interface ParentRun {
  schedule: string;
  runId: string;
  nominalMs: number;
  endedAtMs: number;
  status: FinalStatus;
  /** Capped; see `OUTPUT_MAX`. */
  output: string;
}

/** A run that is to start: a job with `idempotencyKey` is to be in its queue, whoever pushes it. */
export interface Fire {
  schedule: string;
  runId: string;
  idempotencyKey: string;
  nominalMs: number;
  dueMs: number;
  reason: Reason;
  parents?: ParentRun[];
  backfill?: string;
  /** It has a part on each of these; in order, so that each part has its place. */
  nodes?: string[];
}

/** Runs that do not happen: all of the timetable from `nominalMs` to `untilMs`, both included. */
export interface Skip {
  schedule: string;
  idempotencyKey: string;
  nominalMs: number;
  untilMs: number;
  /** How many; `SKIPS_COUNTED_MAX` may mean more. */
  count: number;
  reason: SkipReason;
  parents?: ParentRun[];
}

/** What must happen outside, and is asked for again by each leader until it is reported as done. */
export type Outgoing =
  /** Ask which nodes are there for this fire, and tell with an input `placed`. */
  | ({ kind: 'place'; id: string } & Fire)
  | ({ kind: 'fire'; id: string } & Fire)
  | ({ kind: 'skipped'; id: string } & Skip)
  /** End this run: these jobs, as far as they are known. */
  | { kind: 'replace'; id: string; schedule: string; runId: string; jobs: string[] };

/** A run that has started and not ended. */
export interface LiveRun {
  runId: string;
  nominalMs: number;
  reason: Reason;
  backfill?: string;
  /** The id of its job, once it is in its queue. */
  job?: string;
  /** Another run has taken its place; it is being ended. */
  replaced?: true;
  /** On which nodes it runs is not known yet. */
  placing?: true;
  /** Of a run on many nodes: the parts that go on, and how many there were. */
  parts?: Array<{ node: string; job?: string }>;
  total?: number;
  /** What those said that have ended: each word once, and what they printed, capped. */
  endings?: FinalStatus[];
  output?: string;
}

/** A stretch of the past that is run again. */
export interface Backfill {
  id: string;
  /** Up to here all is started. */
  cursorMs: number;
  toMs: number;
  concurrency: number;
}

/** All that is remembered of a schedule. What is in here survives every leader. */
export interface ScheduleRecord {
  fingerprint: string;
  /** Every nominal time up to here is decided. */
  cursorMs: number;
  /** Runs that count towards `times`. */
  fired: number;
  /** Runs that failed since one succeeded. */
  failures: number;
  paused?: { reason: string; byFailures: boolean };
  runs: LiveRun[];
  /** Fires that wait for the end of a run. */
  waiting: Fire[];
  /** Fires after a parent's run whose delay is not over, in the order in which they are due. */
  delayed: Fire[];
  /** Where all parents are needed: the newest run of each since the last fire. */
  heard: ParentRun[];
  outbox: Outgoing[];
  backfills: Backfill[];
  /** The last ids of triggers and backfills, so that a repeated one starts nothing. */
  requests: string[];
}

/** A schedule of which nothing has happened yet. */
export const newRecord = (fingerprint: string, cursorMs: number): ScheduleRecord => ({
  fingerprint,
  cursorMs,
  fired: 0,
  failures: 0,
  runs: [],
  waiting: [],
  delayed: [],
  heard: [],
  outbox: [],
  backfills: [],
  requests: [],
});

/** The record as the journal has it: without what is empty. */
export function packRecord(record: ScheduleRecord): Partial<ScheduleRecord> {
  const kept = Object.entries(record).filter(([, value]) =>
    Array.isArray(value) ? value.length > 0 : value !== 0 && value !== undefined,
  );
  return Object.fromEntries(kept);
}

export const unpackRecord = (packed: Partial<ScheduleRecord>): ScheduleRecord => ({
  ...newRecord('', 0),
  ...packed,
});

/** Characters of a run's output that its followers receive. */
export const OUTPUT_MAX = 4_096;
const CUT = '\n[cut]\n';

/** The beginning and the end of an output that is too long, with a mark between them. */
export function cappedOutput(output: string, max = OUTPUT_MAX): string {
  if (output.length <= max) return output;
  const half = (max - CUT.length) >> 1;
  return half < 1 ? output.slice(0, max) : output.slice(0, half) + CUT + output.slice(-half);
}

/** `<schedule>@<nominal time>`, with what tells runs of the same time apart. */
export function keyOf(schedule: string, nominalMs: number, by?: string): string {
  const key = `${schedule}@${new Date(nominalMs).toISOString()}`;
  return by === undefined ? key : `${key}+${by}`;
}

/** The same for the same key, on every machine. */
export const runIdOf = (key: string): string => hash('sha256', key, 'hex').slice(0, 24);
