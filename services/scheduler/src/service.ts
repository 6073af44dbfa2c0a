import { randomUUID } from 'node:crypto';
import { parentsOf } from '@malabar/config';
import type { scheduler as contract } from '@malabar/contracts';
import { BusError, type Clock } from '@malabar/core';
import type { CallContext, Client, Implementation } from '@malabar/rpc';
import { nextFires, upcoming } from '@malabar/schedule';
import { previewOf } from './preview.js';
import type { RunHistory } from './run-history.js';
import type { Scheduler } from './scheduler.js';
import type { TestRuns } from './test-runs.js';

const FIRES = 5;
const FIRES_MAX = 1_000;
const BACKFILL_MAX = 100_000;
const BACKFILL_AT_ONCE_MAX = 100;

/** A call that another instance passed on is not passed on again. */
export const PASSED_ON = 'malabar-passed-on';

type Definition = typeof contract.SchedulerServiceDefinition;

export interface SchedulerServiceOptions {
  scheduler: Scheduler;
  history: RunHistory;
  tests: TestRuns;
  /** The instance that leads, unless this one does or nobody is known to. */
  leader: { readonly name: string; client(): Client<Definition> | undefined };
  clock: Clock;
}

/** The contract of the scheduler: translates, and passes on to the leader what only that can say. */
export function createSchedulerService(
  options: SchedulerServiceOptions,
): Implementation<Definition> {
  const { scheduler, history, tests, leader, clock } = options;
  const elsewhere = ({ metadata }: CallContext): Client<Definition> | undefined =>
    scheduler.leads || metadata.has(PASSED_ON) ? undefined : leader.client();
  const passOn = { metadata: { [PASSED_ON]: '1' } };
  return {
    async listSchedules(request, context) {
      const other = elsewhere(context);
      if (other !== undefined) return other.listSchedules(request, passOn);
      const { schedule } = request;
      if (schedule !== '') scheduler.require(schedule);
      const schedules = scheduler.status(schedule === '' ? undefined : [schedule]);
      return { schedules, leader: leader.name };
    },
    async getSchedule(request, context) {
      const other = elsewhere(context);
      if (other !== undefined) return other.getSchedule(request, passOn);
      const { schedule } = request;
      const { config: document } = scheduler.require(schedule);
      const [status] = scheduler.status([schedule]);
      const family = scheduler
        .family(schedule)
        .map((each) => ({ schedule: each.name, after: [...parentsOf(each)] }));
      return { status, document, family };
    },
    async listFires({ schedule, count }) {
      const fires = Math.min(count || FIRES, FIRES_MAX);
      const next = nextFires(scheduler.require(schedule).schedule, clock.now(), fires);
      return { nextMs: next.map(({ dueMs }) => dueMs) };
    },
    preview: async (request) => previewOf(request, clock.now()),
    async trigger(request, context) {
      const other = elsewhere(context);
      if (other !== undefined) return other.trigger(request, passOn);
      const { schedule, request: id } = request;
      const nowMs = clock.now();
      await scheduler.wish({ kind: 'triggered', nowMs, schedule, request: id || randomUUID() });
      return {};
    },
    async backfill(request, context) {
      const other = elsewhere(context);
      if (other !== undefined) return other.backfill(request, passOn);
      const { schedule, fromMs, toMs, concurrency, request: id } = request;
      const fires = countFires(scheduler, request, clock.now());
      if (concurrency > BACKFILL_AT_ONCE_MAX)
        throw new BusError('INVALID', `at most ${BACKFILL_AT_ONCE_MAX} runs at once`);
      const wish = {
        kind: 'backfill' as const,
        nowMs: clock.now(),
        schedule,
        fromMs,
        toMs: toMs - 1,
      };
      await scheduler.wish({ ...wish, concurrency: concurrency || 1, id: id || randomUUID() });
      return { fires };
    },
    async resume(request, context) {
      const other = elsewhere(context);
      if (other !== undefined) return other.resume(request, passOn);
      const { schedule } = request;
      const { config } = scheduler.require(schedule);
      if (config.paused !== '')
        throw new BusError('INVALID', `${schedule} is paused by its document: ${config.paused}`);
      await scheduler.wish({ kind: 'resumed', nowMs: clock.now(), schedule });
      return {};
    },
    testRun: async (request) => tests.start(scheduler.require(request.schedule).config, request),
    async listRuns(request) {
      const { config } = scheduler.require(request.schedule);
      return history.list(config, request);
    },
  };
}

/** How many nominal times a backfill has. Throws INVALID for a range that has none or too many. */
function countFires(
  scheduler: Scheduler,
  { schedule: name, fromMs, toMs }: contract.BackfillRequest,
  nowMs: number,
): number {
  const { schedule } = scheduler.require(name);
  const refuse = (reason: string): never => {
    throw new BusError('INVALID', reason);
  };
  if (schedule.timetable === undefined) return refuse(`${name} follows others and has no times`);
  if (toMs > nowMs) return refuse('a backfill ends in the past');
  const times = upcoming(schedule.timetable, fromMs - 1, BACKFILL_MAX + 1);
  const fires = times.filter((at) => at < toMs).length;
  if (fires === 0) return refuse('there is no time of the schedule in that range');
  return fires > BACKFILL_MAX ? refuse(`more than ${BACKFILL_MAX} times; ask for less`) : fires;
}
