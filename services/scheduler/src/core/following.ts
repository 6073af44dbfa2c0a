import { dueAt } from '@malabar/schedule';
import { admit, newFire } from './fires.js';
import { type FinalStatus, type Fire, type ParentRun, runIdOf } from './record.js';
import { remember, type Turn } from './turn.js';

/** A run of another schedule has ended: if this one follows it, it fires now or later. */
export function follow(turn: Turn, parent: ParentRun): void {
  const { follows } = turn.schedule;
  if (follows === undefined || !follows.schedules.includes(parent.schedule)) return;
  if (!isAwaited(follows.on, parent.status)) return;
  const parents = heardAll(turn, parent);
  if (parents !== undefined) delay(turn, fireAfter(turn, parents, parent.endedAtMs));
  remember(turn);
}

/** Fires whose delay is over. */
export function admitDelayed(turn: Turn): void {
  const { delayed } = turn.record;
  while (delayed[0] !== undefined && delayed[0].dueMs <= turn.step.nowMs)
    admit(turn, delayed.shift() as Fire);
}

function isAwaited(on: 'success' | 'failure' | 'always', status: FinalStatus): boolean {
  if (on === 'always') return true;
  return on === 'success' ? status === 'done' : status === 'failed' || status === 'dead';
}

/** The runs that a fire follows, once there is none missing. */
function heardAll({ schedule, record }: Turn, parent: ParentRun): ParentRun[] | undefined {
  const { follows } = schedule;
  if (follows?.need !== 'all') return [parent];
  const others = record.heard.filter((run) => run.schedule !== parent.schedule);
  record.heard = [...others, parent];
  if (record.heard.length < new Set(follows.schedules).size) return undefined;
  return record.heard.splice(0);
}

function fireAfter({ schedule }: Turn, parents: ParentRun[], endedAtMs: number): Fire {
  const ids = parents.map(({ runId }) => runId);
  const by = ids.length === 1 ? (ids[0] as string) : runIdOf(ids.join(' '));
  const laterMs = dueAt(schedule, endedAtMs) - endedAtMs;
  const dueMs = endedAtMs + (schedule.follows?.delayMs ?? 0) + laterMs;
  return newFire(schedule, { nominalMs: endedAtMs, dueMs, reason: 'parent', parents }, by);
}

function delay(turn: Turn, fire: Fire): void {
  const { delayed } = turn.record;
  const at = delayed.findIndex(({ dueMs }) => dueMs > fire.dueMs);
  if (fire.dueMs <= turn.step.nowMs) admit(turn, fire);
  else delayed.splice(at < 0 ? delayed.length : at, 0, fire);
}
