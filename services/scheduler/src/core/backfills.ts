import { newFire, start } from './fires.js';
import type { Turn } from './turn.js';

/** Starts as many runs of each backfill as may go on at once; one that has no more is over. */
export function startBackfills(turn: Turn): void {
  const { schedule, record, step } = turn;
  for (const backfill of [...record.backfills]) {
    const { id, concurrency, toMs } = backfill;
    let live = record.runs.filter((run) => run.backfill === id).length;
    for (; live < concurrency; live++) {
      const nominalMs = schedule.timetable?.next(backfill.cursorMs);
      if (nominalMs === undefined || nominalMs > toMs) {
        record.backfills = record.backfills.filter((one) => one !== backfill);
        break;
      }
      backfill.cursorMs = nominalMs;
      const time = { nominalMs, dueMs: step.nowMs, reason: 'backfill' as const, backfill: id };
      start(turn, newFire(schedule, time, id));
    }
  }
}
