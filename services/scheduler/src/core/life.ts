import { dueAt, nominalAfter, type Schedule } from '@malabar/schedule';
import { startBackfills } from './backfills.js';
import { admit, newFire, place } from './fires.js';
import { admitDelayed, follow } from './following.js';
import { countSkipped, missedToFire, newest } from './missed.js';
import {
  type Backfill,
  keyOf,
  type ParentRun,
  type ScheduleRecord,
  type SkipReason,
} from './record.js';
import { done, type Ending, ended, goOn, placed, type Report, untrack } from './runs.js';
import { remember, type Step, send, type Turn } from './turn.js';

const REQUESTS_KEPT = 16;

/** A time of the timetable. */
interface Time {
  nominalMs: number;
  dueMs: number;
}

/** One schedule and what has happened to it: knows when it is due, and what to do with what happens. */
export class ScheduleLife {
  /** The first time of the timetable after `afterMs`; kept, because it is dear to find. */
  #found: { afterMs: number; next: Time | undefined } | undefined;

  constructor(
    private current: Schedule,
    readonly record: ScheduleRecord,
  ) {}

  get schedule(): Schedule {
    return this.current;
  }

  #turn(step: Step): Turn {
    return { schedule: this.current, record: this.record, step };
  }

  // --- times --------------------------------------------------------------------------------------

  /** When there is something to do; Infinity if nothing ever is. */
  get dueMs(): number {
    const { delayed } = this.record;
    return Math.min(this.#next?.dueMs ?? Infinity, delayed[0]?.dueMs ?? Infinity);
  }

  /** The next time of the timetable that is to be decided. */
  get #next(): Time | undefined {
    const { current, record } = this;
    if (record.paused !== undefined || record.fired >= current.times) return undefined;
    if (this.#found?.afterMs !== record.cursorMs) {
      const nominalMs = nominalAfter(current, record.cursorMs);
      const next =
        nominalMs === undefined ? undefined : { nominalMs, dueMs: dueAt(current, nominalMs) };
      this.#found = { afterMs: record.cursorMs, next };
    }
    return this.#found.next;
  }

  /** Does what is due. */
  runDue(step: Step): void {
    const turn = this.#turn(step);
    admitDelayed(turn);
    this.#runMissed(turn);
    for (let next = this.#next; next !== undefined && next.dueMs <= step.nowMs; next = this.#next)
      this.#fireTime(turn, next);
    remember(turn);
  }

  #fireTime(turn: Turn, time: Time): void {
    this.record.cursorMs = time.nominalMs;
    admit(turn, newFire(this.current, { ...time, reason: 'timetable' }));
  }

  #runMissed(turn: Turn): void {
    const { current, record } = this;
    const { nowMs, misfireAfterMs } = turn.step;
    const untilMs = nowMs - misfireAfterMs - current.jitterMs;
    if ((this.#next?.nominalMs ?? Infinity) > untilMs) return;
    const kept = missedToFire(current, { fromMs: record.cursorMs, untilMs, nowMs });
    this.#skipTimes(turn, { untilMs: (kept[0] ?? untilMs + 1) - 1, reason: 'misfire' });
    for (const nominalMs of kept)
      if (record.fired < current.times)
        this.#fireTime(turn, { nominalMs, dueMs: dueAt(current, nominalMs) });
    record.cursorMs = Math.max(record.cursorMs, untilMs);
  }

  /** The times of the timetable from the next one to `untilMs`, if there are any, do not happen. */
  #skipTimes(turn: Turn, { untilMs, reason }: { untilMs: number; reason: SkipReason }): void {
    const { current, record } = this;
    const { name: schedule } = current;
    const nominalMs = this.#next?.nominalMs ?? Infinity;
    if (nominalMs > untilMs) return;
    const [lastMs = nominalMs] = newest(current, record.cursorMs, untilMs, 1);
    const idempotencyKey = keyOf(schedule, nominalMs);
    const count = countSkipped(current, record.cursorMs, untilMs);
    const skip = { schedule, idempotencyKey, nominalMs, untilMs: lastMs, count, reason };
    send(turn, { kind: 'skipped', id: idempotencyKey, ...skip });
  }

  // --- other words, pauses ------------------------------------------------------------------------

  /** The same schedule with other words. Its cursor is kept as long as its times are the same. */
  change(schedule: Schedule, step: Step): void {
    const { record } = this;
    this.current = schedule;
    this.#found = undefined;
    const turn = this.#turn(step);
    if (record.fingerprint !== schedule.fingerprint) {
      record.fingerprint = schedule.fingerprint;
      record.cursorMs = Math.max(record.cursorMs, step.nowMs);
      record.fired = 0;
      record.heard = record.heard.filter((run) =>
        schedule.follows?.schedules.includes(run.schedule),
      );
    }
    if (!schedule.tracked) untrack(turn);
    this.#changePause(turn);
    goOn(turn);
    remember(turn);
  }

  #changePause(turn: Turn): void {
    const { paused: reason } = this.current;
    const { paused } = this.record;
    if (reason !== undefined) this.record.paused = { reason, byFailures: false };
    else if (paused?.byFailures === false) this.#endPause(turn);
  }

  /** Ends a pause after failures. One that the configuration asks for is ended there. */
  resume(step: Step): void {
    if (this.record.paused?.byFailures) this.#endPause(this.#turn(step));
  }

  /** What was due meanwhile is skipped. */
  #endPause(turn: Turn): void {
    const { record } = this;
    const { nowMs: untilMs } = turn.step;
    record.paused = undefined;
    record.failures = 0;
    this.#skipTimes(turn, { untilMs, reason: 'paused' });
    record.cursorMs = Math.max(record.cursorMs, untilMs);
    goOn(turn);
    remember(turn);
  }

  // --- by hand ------------------------------------------------------------------------------------

  /** Somebody wants a run now; a pause or an end of the schedule does not hinder. */
  trigger(request: string, step: Step): void {
    if (!this.#isNew(request)) return;
    const { nowMs } = step;
    const turn = this.#turn(step);
    const time = { nominalMs: nowMs, dueMs: nowMs, reason: 'trigger' as const };
    place(turn, newFire(this.current, time, request));
    remember(turn);
  }

  /** Runs a stretch of the past again, beside everything else. */
  backfill(request: Backfill, step: Step): void {
    if (!this.#isNew(request.id)) return;
    const turn = this.#turn(step);
    this.record.backfills.push({ ...request });
    startBackfills(turn);
    remember(turn);
  }

  /** Starts no more runs of a backfill; those that go on may end. */
  cancelBackfill(id: string, step: Step): void {
    const { record } = this;
    record.backfills = record.backfills.filter((one) => one.id !== id);
    remember(this.#turn(step));
  }

  #isNew(request: string): boolean {
    const { requests } = this.record;
    if (requests.includes(request)) return false;
    requests.push(request);
    requests.splice(0, requests.length - REQUESTS_KEPT);
    return true;
  }

  // --- runs ---------------------------------------------------------------------------------------

  /** These nodes are there for a fire that was to be placed; none: it does not happen. */
  placed(answer: { id: string; nodes: readonly string[] }, step: Step): void {
    placed(this.#turn(step), answer);
  }

  /** What was sent has arrived or never will. Returns what followers hear, as `ended` does. */
  done(report: Report, step: Step): ParentRun | undefined {
    return done(this.#turn(step), report);
  }

  /**
   * A run, or a part of one, has ended for good. Returns what the followers of the run hear; nothing if
   * it goes on elsewhere or is not known.
   */
  ended(ending: Ending, step: Step): ParentRun | undefined {
    return ended(this.#turn(step), ending);
  }

  /** A run of another schedule has ended; this one may follow it. */
  parentEnded(parent: ParentRun, step: Step): void {
    follow(this.#turn(step), parent);
  }
}
