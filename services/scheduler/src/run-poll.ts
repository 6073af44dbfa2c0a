import { common, type storage as contract } from '@malabar/contracts';
import { type Clock, every, toBusError } from '@malabar/core';
import type { ScheduleLife } from './core/life.js';
import type { FinalStatus } from './core/record.js';
import type { StorageClient } from './journal-store.js';
import type { RunEnded } from './leader.js';

const PERIOD_MS = 200;
const AT_ONCE = 32;
const { DONE, DEAD, DISCARDED } = common.DeliveryState;
const ENDS: readonly common.DeliveryState[] = [DONE, DEAD, DISCARDED];

export interface RunPollOptions {
  storage: StorageClient;
  clock: Clock;
  lives(): ReadonlyMap<string, ScheduleLife>;
  /** Resolves when it is in the journal. */
  ended(run: RunEnded): Promise<void>;
  /** Whose runs are told of otherwise. */
  isTold(schedule: string): boolean;
}

/** A run whose end somebody waits for. */
interface Awaited {
  schedule: string;
  runId: string;
  /** Of a part of a run. */
  node?: string;
  job: string;
}

/**
 * Asks storage how runs have ended, of schedules that must know it and push to queues of others, which
 * tell nobody. Returns how to stop.
 */
export function pollRuns(options: RunPollOptions): () => void {
  return every(options.clock, PERIOD_MS, async () => {
    const runs = awaitedRuns(options);
    for (let at = 0; at < runs.length; at += AT_ONCE)
      await Promise.all(runs.slice(at, at + AT_ONCE).map((run) => ask(run, options)));
  });
}

function awaitedRuns({ lives, isTold }: RunPollOptions): Awaited[] {
  return [...lives().values()]
    .filter(({ schedule }) => schedule.tracked && !isTold(schedule.name))
    .flatMap(({ schedule: { name: schedule }, record }) =>
      record.runs.flatMap(({ runId, job: whole, parts }) =>
        (parts ?? [{ node: undefined, job: whole }]).flatMap(({ node, job }) =>
          job === undefined ? [] : [{ schedule, runId, node, job }],
        ),
      ),
    );
}

async function ask(run: Awaited, { storage, clock, ended }: RunPollOptions): Promise<void> {
  const { schedule, runId, node } = run;
  try {
    const end = await endOf(run, storage);
    const nowMs = clock.now();
    if (end === undefined) return;
    await ended({ kind: 'runEnded', nowMs, endedAtMs: nowMs, schedule, runId, node, ...end });
  } catch {
    // Storage is away, or this leader leads no more: whoever asks next finds out.
  }
}

interface End {
  status: FinalStatus;
  output: string;
}

/** A run has ended when no topic is to deliver it any more; the worst of its ends counts. */
async function endOf({ job }: Awaited, storage: StorageClient): Promise<End | undefined> {
  const deliveries = await deliveriesOf(job, storage);
  // Trimmed: it ended long ago, and nobody knows how.
  if (deliveries === undefined) return { status: 'discarded', output: '' };
  if (!deliveries.every(({ state }) => ENDS.includes(state))) return undefined;
  const dead = deliveries.find(({ state }) => state === DEAD);
  if (dead !== undefined) return { status: 'dead', output: dead.error };
  const discarded = deliveries.some(({ state }) => state === DISCARDED);
  return { status: discarded ? 'discarded' : 'done', output: '' };
}

async function deliveriesOf(
  jobId: string,
  storage: StorageClient,
): Promise<readonly contract.Delivery[] | undefined> {
  try {
    return (await storage.getJob({ jobId })).deliveries;
  } catch (thrown) {
    if (toBusError(thrown).code === 'UNKNOWN_JOB') return undefined;
    throw thrown;
  }
}
