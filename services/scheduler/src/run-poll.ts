import { common, type storage } from '@malabar/contracts';
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
  onEnded(run: RunEnded): void;
}

/** A run whose end somebody waits for. */
interface Awaited {
  schedule: string;
  runId: string;
  job: string;
}

/** Asks storage how runs have ended, of the schedules that must know it. Returns how to stop. */
export function pollRuns(options: RunPollOptions): () => void {
  return every(options.clock, PERIOD_MS, async () => {
    const runs = awaitedRuns(options.lives());
    for (let at = 0; at < runs.length; at += AT_ONCE)
      await Promise.all(runs.slice(at, at + AT_ONCE).map((run) => ask(run, options)));
  });
}

function awaitedRuns(lives: ReadonlyMap<string, ScheduleLife>): Awaited[] {
  return [...lives.values()]
    .filter(({ schedule }) => schedule.tracked)
    .flatMap(({ schedule: { name: schedule }, record }) =>
      record.runs.flatMap(({ runId, job }) =>
        job === undefined ? [] : [{ schedule, runId, job }],
      ),
    );
}

async function ask(run: Awaited, { storage, clock, onEnded }: RunPollOptions): Promise<void> {
  try {
    const { deliveries } = await storage.getJob({ jobId: run.job });
    const end = endOf(deliveries);
    if (end !== undefined)
      onEnded({
        kind: 'runEnded',
        nowMs: clock.now(),
        endedAtMs: clock.now(),
        ...named(run),
        ...end,
      });
  } catch (thrown) {
    // Trimmed: it ended long ago, and nobody knows how. Whatever else is wrong may pass.
    if (toBusError(thrown).code !== 'UNKNOWN_JOB') return;
    const end = { status: 'discarded' as const, output: '' };
    onEnded({
      kind: 'runEnded',
      nowMs: clock.now(),
      endedAtMs: clock.now(),
      ...named(run),
      ...end,
    });
  }
}

const named = ({ schedule, runId }: Awaited) => ({ schedule, runId });

/** A run has ended when no topic is to deliver it any more; the worst of its ends counts. */
function endOf(
  deliveries: readonly storage.Delivery[],
): { status: FinalStatus; output: string } | undefined {
  if (!deliveries.every(({ state }) => ENDS.includes(state))) return undefined;
  const worst = (['DEAD', 'DISCARDED'] as const)
    .map((name) => deliveries.find(({ state }) => state === common.DeliveryState[name]))
    .find((one) => one !== undefined);
  if (worst === undefined) return { status: 'done', output: '' };
  return { status: worst.state === DEAD ? 'dead' : 'discarded', output: worst.error };
}
