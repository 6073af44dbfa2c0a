import type { scheduler } from '@malabar/contracts';
import { nextFires } from '@malabar/schedule';
import type { ScheduleLife } from './core/life.js';
import type { Configured, LastFire } from './leader.js';
import { whenText } from './when-text.js';

const FIRES = 5;

/** What a leader knows of a schedule beyond its document. */
export interface Known {
  life: ScheduleLife | undefined;
  lastFire: LastFire | undefined;
}

/** A schedule as people see it. */
export function statusOf(
  { config, schedule }: Configured,
  { life, lastFire }: Known,
  nowMs: number,
): scheduler.ScheduleStatus {
  const record = life?.record;
  const paused = record?.paused?.reason ?? config.paused;
  const isOver = (record?.fired ?? 0) >= schedule.times;
  const left = schedule.times - (record?.fired ?? 0);
  const next = paused !== '' || isOver ? [] : nextFires(schedule, nowMs, Math.min(FIRES, left));
  return {
    name: config.name,
    system: config.system,
    owner: config.owner,
    when: whenText(config),
    queue: config.job?.queue ?? '',
    nextMs: next.map(({ dueMs }) => dueMs),
    paused,
    pausedByFailures: record?.paused?.byFailures ?? false,
    lastNominalMs: lastFire?.nominalMs ?? 0,
    lastLateMs: lastFire?.lateMs ?? 0,
    running: record?.runs.length ?? 0,
    waiting: (record?.waiting.length ?? 0) + (record?.delayed.length ?? 0),
    fired: record?.fired ?? 0,
    failures: record?.failures ?? 0,
    backfills: record?.backfills.length ?? 0,
  };
}
