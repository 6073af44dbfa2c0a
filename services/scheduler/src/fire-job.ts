import { common, type keeper } from '@malabar/contracts';
import type { Fire, ParentRun, Skip } from './core/record.js';

/** Headers of the jobs that schedules make. */
export const HEADER = {
  schedule: 'malabar-schedule',
  /** Unix milliseconds of the nominal time. */
  nominal: 'malabar-nominal',
  run: 'malabar-run',
  /** timetable, parent, trigger or backfill. */
  reason: 'malabar-reason',
  /** JSON: the runs that it follows, with their capped output. */
  parents: 'malabar-parents',
  /** Why it did not run. */
  skipped: 'malabar-skipped',
  /** Of several that did not run: how many, and the nominal time of the last. */
  count: 'malabar-count',
  until: 'malabar-until',
  /** Of a part of a run on many nodes: its node, its place among them from 0, how many there are. */
  node: 'malabar-node',
  index: 'malabar-index',
  total: 'malabar-total',
} as const;

/** Whoever carries the job must carry this header, and web servers take 8 KiB of them. */
const PARENTS_MAX = 4_096;
/** A job that is expired before it arrives is history and never a delivery. */
const LONG_AGO_MS = 1;

/** Of a document that says nothing of it any more. */
const NODE_WAIT_MS = 60_000;

/** The jobs of a run: one, or one for each of its nodes in their order. */
export function jobsOfFire(fire: Fire, config: keeper.ScheduleConfig): common.Job[] {
  const { nodes, idempotencyKey } = fire;
  if (nodes === undefined) return [jobOfFire(fire, config)];
  const nodeWaitMs = config.broadcast?.waitMs ?? NODE_WAIT_MS;
  return nodes.map((node, index) => {
    const part = {
      [HEADER.node]: node,
      [HEADER.index]: String(index),
      [HEADER.total]: String(nodes.length),
    };
    const job = jobOfFire({ ...fire, idempotencyKey: `${idempotencyKey}#${node}` }, config, part);
    return { ...job, node, nodeWaitMs };
  });
}

function jobOfFire(
  fire: Fire,
  { job }: keeper.ScheduleConfig,
  part: Record<string, string> = {},
): common.Job {
  const { parents = [], idempotencyKey, reason, runId } = fire;
  const own = {
    ...placeOf(fire),
    [HEADER.run]: runId,
    [HEADER.reason]: reason,
    ...(parents.length > 0 && { [HEADER.parents]: parentsText(parents) }),
    ...part,
  };
  return jobOf(job, { idempotencyKey, headers: { ...job?.headers, ...own } });
}

/** The job that stands for runs that do not happen. */
export function jobOfSkip(skip: Skip, { job }: keeper.ScheduleConfig): common.Job {
  const { count, untilMs, idempotencyKey, reason } = skip;
  const several = { [HEADER.count]: String(count), [HEADER.until]: String(untilMs) };
  const own = { ...placeOf(skip), [HEADER.skipped]: reason, ...(count > 1 && several) };
  const expired = { expiresAtMs: LONG_AGO_MS, idempotencyKey };
  return jobOf(job, { ...expired, headers: { ...job?.headers, ...own } });
}

function jobOf(job: keeper.ScheduledJob | undefined, given: Partial<common.Job>): common.Job {
  const { body, contentType, priority } = job ?? {};
  return common.Job.fromPartial({ body, contentType, priority, ...given });
}

const placeOf = ({ schedule, nominalMs }: Fire | Skip) => ({
  [HEADER.schedule]: schedule,
  [HEADER.nominal]: String(nominalMs),
});

function parentsText(parents: readonly ParentRun[]): string {
  const room = Math.floor(PARENTS_MAX / parents.length) - 160;
  const told = parents.map(({ schedule, runId, nominalMs, status, output }) => {
    return { schedule, run: runId, nominalMs, status, output: output.slice(0, Math.max(0, room)) };
  });
  // Headers are ASCII.
  return JSON.stringify(told).replace(
    /[\u007f-\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
