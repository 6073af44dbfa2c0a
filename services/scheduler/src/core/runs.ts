import { startBackfills } from './backfills.js';
import { endReplaced, isOpen, skip, startWaiting } from './fires.js';
import { beginParts, countParts, endPart, jobsOf, PARTS_MAX, statusOfParts } from './parts.js';
import { cappedOutput, type FinalStatus, type LiveRun, type ParentRun } from './record.js';
import { remember, send, type Turn } from './turn.js';

/** How a run has ended. */
export interface Ending {
  runId: string;
  /** Of a run on many nodes: whose part. */
  node?: string;
  status: FinalStatus;
  endedAtMs: number;
  output: string;
}

/** What became of something that was sent. */
export interface Report extends Arrival {
  id: string;
  /** Of a fire on many nodes, instead: what became of each part. */
  parts?: ReadonlyArray<{ node: string } & Arrival>;
}

/** What became of one job. */
export interface Arrival {
  /** The id of the job that has the key. */
  job?: string;
  /** Nobody takes it, for this reason; it is not to be sent again. */
  refused?: string;
  /** That job was there before this fire was decided: it belongs to a schedule of that name in former days. */
  stranger?: boolean;
}

// --- it is placed ---------------------------------------------------------------------------------

/** These nodes are there for a fire that was to be placed; none: it does not happen. */
export function placed(turn: Turn, { id, nodes }: { id: string; nodes: readonly string[] }): void {
  const { record } = turn;
  const sent = record.outbox.find((one) => one.id === id);
  const run = record.runs.find(({ runId }) => sent?.kind === 'place' && runId === sent.runId);
  if (sent?.kind !== 'place' || run === undefined) return;
  record.outbox = record.outbox.filter((one) => one !== sent);
  remember(turn);
  const { kind: _, id: __, ...fire } = sent;
  const hasRoom = countParts(record.runs) + nodes.length <= PARTS_MAX;
  if (nodes.length > 0 && hasRoom && !run.replaced) {
    beginParts(run, nodes);
    send(turn, { kind: 'fire', id: fire.idempotencyKey, ...fire, nodes: [...nodes] });
    return;
  }
  if (fire.reason === 'timetable' || fire.reason === 'parent') record.fired--;
  skip(turn, fire, nodes.length === 0 ? 'no_node' : 'overlap');
  drop(turn, run);
}

// --- it arrives -----------------------------------------------------------------------------------

/** What was sent has arrived or never will. Returns what followers hear, as `ended` does. */
export function done(turn: Turn, report: Report): ParentRun | undefined {
  const { record } = turn;
  const at = record.outbox.findIndex((one) => one.id === report.id);
  const [sent] = at < 0 ? [] : record.outbox.splice(at, 1);
  const run = record.runs.find(({ runId }) => sent?.kind === 'fire' && runId === sent.runId);
  if (run === undefined) return undefined;
  const heard =
    report.parts === undefined ? arrived(turn, run, report) : partsArrived(turn, run, report.parts);
  // Its place was taken while nobody knew where it was.
  if (run.replaced && record.runs.includes(run) && jobsOf(run).length > 0)
    endReplaced(turn, run, 'replaced on arrival');
  return heard;
}

function arrived(turn: Turn, run: LiveRun, arrival: Arrival): ParentRun | undefined {
  const { job, refused, stranger } = arrival;
  const { runId } = run;
  const endedAtMs = turn.step.nowMs;
  if (refused !== undefined)
    return runEnded(turn, { runId, status: 'failed', endedAtMs, output: refused });
  if (job !== undefined) run.job = job;
  if (!turn.schedule.tracked || stranger) drop(turn, run);
  return undefined;
}

function partsArrived(
  turn: Turn,
  run: LiveRun,
  arrivals: NonNullable<Report['parts']>,
): ParentRun | undefined {
  const { tracked } = turn.schedule;
  for (const { node, job, refused, stranger } of arrivals) {
    const part = run.parts?.find((one) => one.node === node);
    if (part === undefined) continue;
    part.job = job;
    if (stranger) run.parts = run.parts?.filter((one) => one !== part);
    else if (refused !== undefined) endPart(run, { node, status: 'failed', output: refused });
  }
  if (tracked && run.endings !== undefined) return partsEnded(turn, run, turn.step.nowMs);
  if (!tracked || run.parts?.length === 0) drop(turn, run);
  return undefined;
}

// --- it ends --------------------------------------------------------------------------------------

/**
 * A run, or a part of one, has ended for good. Returns what the followers of the run hear; nothing if
 * it goes on elsewhere or is not known.
 */
export function ended(turn: Turn, ending: Ending): ParentRun | undefined {
  const run = turn.record.runs.find(({ runId }) => runId === ending.runId);
  if (run === undefined || run.placing) return undefined;
  if (run.parts === undefined) return runEnded(turn, ending);
  const { node = '', status, output } = ending;
  if (!endPart(run, { node, status, output })) return undefined;
  remember(turn);
  return partsEnded(turn, run, ending.endedAtMs);
}

/** If no part of it goes on any more, the run has ended. */
function partsEnded(turn: Turn, run: LiveRun, endedAtMs: number): ParentRun | undefined {
  const { runId, parts = [], endings = [], output = '' } = run;
  if (parts.length > 0) return undefined;
  return runEnded(turn, { runId, status: statusOfParts(endings), endedAtMs, output });
}

function runEnded(turn: Turn, { runId, status, endedAtMs, output }: Ending): ParentRun | undefined {
  const run = forget(turn, runId);
  if (run === undefined) return undefined;
  if (isOpen(run)) countFailure(turn, status);
  goOn(turn);
  remember(turn);
  const { name: schedule } = turn.schedule;
  const { nominalMs } = run;
  return { schedule, runId, nominalMs, status, output: cappedOutput(output), endedAtMs };
}

/** After too many failures in a row the schedule pauses. */
function countFailure({ schedule, record, step }: Turn, status: FinalStatus): void {
  if (status === 'discarded') return;
  record.failures = status === 'done' ? 0 : record.failures + 1;
  if (record.failures < schedule.pauseAfterFailures || record.paused !== undefined) return;
  const reason = `${record.failures} runs failed, one after the other`;
  record.paused = { reason, byFailures: true };
  step.paused.push({ schedule: schedule.name, reason });
}

/** Nobody hears of its end. */
function drop(turn: Turn, run: LiveRun): void {
  forget(turn, run.runId);
  goOn(turn);
}

/** Nobody asks for the ends of runs any more: those that have arrived are not followed. */
export function untrack({ record }: Turn): void {
  const isUnsent = (runId: string): boolean =>
    record.outbox.some(
      (one) => (one.kind === 'fire' || one.kind === 'place') && one.runId === runId,
    );
  record.runs = record.runs.filter(({ runId }) => isUnsent(runId));
}

function forget({ record }: Turn, runId: string): LiveRun | undefined {
  const at = record.runs.findIndex((one) => one.runId === runId);
  if (at < 0) return undefined;
  record.outbox = record.outbox.filter((one) => one.kind === 'skipped' || one.runId !== runId);
  return record.runs.splice(at, 1)[0];
}

/** A run may have ended, or a pause: starts what has waited for it. */
export function goOn(turn: Turn): void {
  startWaiting(turn);
  startBackfills(turn);
}
