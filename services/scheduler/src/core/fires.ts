import { RUNS_MAX, type Schedule } from '@malabar/schedule';
import { jobsOf } from './parts.js';
import { type Fire, keyOf, type LiveRun, runIdOf, type SkipReason } from './record.js';
import { send, type Turn } from './turn.js';

/** Fires that may wait for the end of a run. */
const WAITING_MAX = 256;

/** A fire of `schedule`. `by` tells fires of the same time apart. */
export function newFire(
  { name: schedule }: Schedule,
  time: Omit<Fire, 'schedule' | 'runId' | 'idempotencyKey'>,
  by?: string,
): Fire {
  const idempotencyKey = keyOf(schedule, time.nominalMs, by);
  return { schedule, runId: runIdOf(idempotencyKey), idempotencyKey, ...time };
}

/** A fire is due by itself, not by hand: not while paused and not after the end. */
export function admit(turn: Turn, fire: Fire): void {
  const { schedule, record } = turn;
  const isOver = record.fired >= schedule.times || fire.nominalMs > schedule.endMs;
  if (isOver) skip(turn, fire, 'ended');
  else if (record.paused !== undefined) skip(turn, fire, 'paused');
  else if (place(turn, fire)) record.fired++;
}

/** Starts a fire, lets it wait or skips it, as the overlap policy has it. False if it was skipped. */
export function place(turn: Turn, fire: Fire): boolean {
  const { schedule, record } = turn;
  const { overlap } = schedule;
  const open = record.runs.filter(isOpen);
  const mayWait = { queue_one: 1, queue_all: WAITING_MAX, skip: 0, replace: 0, allow: 0 };
  const isFree = open.length < (overlap.kind === 'allow' ? overlap.max : 1);
  const isNext = record.waiting.length === 0;
  const hasRoom = record.runs.length < RUNS_MAX;
  if (hasRoom && isNext && (isFree || overlap.kind === 'replace')) {
    for (const run of open) if (overlap.kind === 'replace') replace(turn, run);
    start(turn, fire);
  } else if (record.waiting.length < mayWait[overlap.kind]) {
    record.waiting.push(fire);
  } else {
    skip(turn, fire, 'overlap');
    return false;
  }
  return true;
}

/** Starts what has waited for the end of a run, or of a pause. */
export function startWaiting(turn: Turn): void {
  const { record } = turn;
  while (record.waiting.length > 0 && !record.paused && !record.runs.some(isOpen))
    start(turn, record.waiting.shift() as Fire);
}

/** A run begins, whatever goes on beside it. */
export function start(turn: Turn, fire: Fire): void {
  const { runId, nominalMs, reason, backfill, idempotencyKey: key } = fire;
  const { everywhere } = turn.schedule;
  const run: LiveRun = { runId, nominalMs, reason, backfill };
  if (everywhere) run.placing = true;
  turn.record.runs.push(run);
  if (everywhere) send(turn, { kind: 'place', id: `${key} placed`, ...fire });
  else send(turn, { kind: 'fire', id: key, ...fire });
}

/** A fire does not happen. */
export function skip(turn: Turn, fire: Fire, reason: SkipReason): void {
  const { schedule, idempotencyKey, nominalMs, parents } = fire;
  const what = { schedule, idempotencyKey, nominalMs, untilMs: nominalMs, count: 1, parents };
  send(turn, { kind: 'skipped', id: idempotencyKey, ...what, reason });
}

function replace(turn: Turn, run: LiveRun): void {
  run.replaced = true;
  endReplaced(turn, run, 'replaced');
}

/** Ends a run whose place is taken, as far as its jobs are known; `how` tells one attempt from another. */
export function endReplaced(turn: Turn, run: LiveRun, how: string): void {
  const { runId } = run;
  const { name: schedule } = turn.schedule;
  send(turn, { kind: 'replace', id: `${runId} ${how}`, schedule, runId, jobs: jobsOf(run) });
}

/** Whether a run counts for the overlap policy. */
export const isOpen = (run: LiveRun): boolean => !run.replaced && run.backfill === undefined;
