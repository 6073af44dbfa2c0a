import type { Schedule } from '@malabar/schedule';
import { DueHeap } from './heap.js';
import { JournalWriter, type LoadedJournal } from './journal.js';
import { ScheduleLife } from './life.js';
import {
  type Backfill,
  newRecord,
  type Outgoing,
  type ParentRun,
  type ScheduleRecord,
} from './record.js';
import type { Ending, Report } from './runs.js';
import type { Step } from './turn.js';

/** What happens to one schedule. */
type Request = { nowMs: number; schedule: string } & (
  | ({ kind: 'runEnded' } & Ending)
  /** The answer to an effect `place`: the nodes that are there, each once; none if there are none. */
  | { kind: 'placed'; id: string; nodes: readonly string[] }
  /** `request` is chosen by whoever asks: the same one starts nothing twice. */
  | { kind: 'triggered'; request: string }
  | { kind: 'backfill'; id: string; fromMs: number; toMs: number; concurrency: number }
  | { kind: 'cancelBackfill'; id: string }
  | { kind: 'resumed' }
);

/** What happens to a planner. Every input says what time it is. */
export type Input =
  | { kind: 'loaded'; nowMs: number; journal: LoadedJournal }
  /** All schedules that there are: once after `loaded`, before everything else, and on each change. */
  | { kind: 'configured'; nowMs: number; schedules: readonly Schedule[] }
  | { kind: 'tick'; nowMs: number }
  | { kind: 'done'; nowMs: number; reports: ReadonlyArray<{ schedule: string } & Report> }
  | Request;

/**
 * What is to be done, in this order and one after the other. An `Outgoing` has an id: it is asked for
 * again by every leader to come until an input `done` reports it.
 */
export type Effect =
  /** To be appended before anything that follows; if it lies elsewhere than at `position`, stop. */
  | { kind: 'journal'; position: number; text: string }
  | Outgoing
  /** For whoever watches: the schedule has paused itself. */
  | { kind: 'paused'; schedule: string; reason: string }
  /** Another leader has taken over. */
  | { kind: 'stop'; reason: string }
  /** When to tick, at the latest. */
  | { kind: 'wakeAt'; atMs: number };

export interface PlannerOptions {
  /** The fencing token of this leader. */
  token: number;
  /** A fire that is later than this was missed. Default: one minute. */
  misfireAfterMs?: number;
}

const MISFIRE_AFTER_MS = 60_000;
/** Schedules that one step takes care of; the next step follows at once. */
const DUE_PER_STEP = 256;
/** Records of one entry where their number is not bounded by the step. */
const RECORDS_PER_ENTRY = 500;
/** What was done is in the journal so much later at most: well inside the window of idempotency keys. */
const CONFIRM_WITHIN_MS = 10_000;
/** So often something is written, so that no record is older than what the journal's queue keeps. */
const IDLE_MS = 3_600_000;

/**
 * Decides what is due. A machine of states without clock, chance or input and output: the same inputs
 * give the same effects.
 *
 * A decision is in the journal before it is carried out, together with what must be carried out (the
 * outbox). So a leader never decides again what another has decided: it repeats what is not known to
 * be done, with the same idempotency keys, and goes on. No death between two effects loses or doubles
 * anything.
 */
export class Planner {
  readonly #lives = new Map<string, ScheduleLife>();
  readonly #due = new DueHeap<ScheduleLife>();
  readonly #followers = new Map<string, Set<ScheduleLife>>();
  readonly #unconfirmed = new Set<string>();
  #records = new Map<string, ScheduleRecord>();
  #journal: JournalWriter | undefined;
  #isConfigured = false;
  /** When something must be written although nothing has changed. */
  #writeAtMs = Infinity;

  constructor(private readonly options: PlannerOptions) {}

  /** The schedules with all that is known of them. */
  get lives(): ReadonlyMap<string, ScheduleLife> {
    return this.#lives;
  }

  step(input: Input): Effect[] {
    const step: Step = {
      nowMs: input.nowMs,
      misfireAfterMs: this.options.misfireAfterMs ?? MISFIRE_AFTER_MS,
      changed: new Set(),
      outgoing: [],
      paused: [],
    };
    if (input.kind === 'loaded') return this.#load(input.journal, input.nowMs);
    if (input.kind === 'configured') this.#configure(input.schedules, step);
    else if (!this.#isConfigured) throw new Error('a planner must know its schedules first');
    else this.#take(input, step);
    return this.#effects(step, input.kind === 'configured');
  }

  #take(input: Exclude<Input, { kind: 'loaded' | 'configured' }>, step: Step): void {
    if (input.kind === 'tick') this.#tick(step);
    else if (input.kind === 'done') for (const one of input.reports) this.#done(one, step);
    else this.#onLife(input.schedule, (life) => this.#ask(life, input, step));
  }

  #ask(life: ScheduleLife, input: Request, step: Step): void {
    if (input.kind === 'runEnded') this.#tell(life.ended(input, step), step);
    else if (input.kind === 'placed') life.placed(input, step);
    else if (input.kind === 'triggered') life.trigger(input.request, step);
    else if (input.kind === 'backfill') life.backfill(backfillOf(input), step);
    else if (input.kind === 'cancelBackfill') life.cancelBackfill(input.id, step);
    else life.resume(step);
  }

  #load(journal: LoadedJournal, nowMs: number): Effect[] {
    const { token } = this.options;
    if (journal.token > token)
      return [{ kind: 'stop', reason: `the journal is led by ${journal.token}, this is ${token}` }];
    this.#records = journal.records;
    this.#journal = new JournalWriter(token, this.#records, journal);
    this.#writeAtMs = nowMs;
    return [];
  }

  #configure(schedules: readonly Schedule[], step: Step): void {
    const names = new Set(schedules.map(({ name }) => name));
    for (const name of [...this.#records.keys()]) if (!names.has(name)) this.#remove(name, step);
    for (const schedule of schedules) this.#change(schedule, step);
    this.#linkFollowers();
    this.#isConfigured = true;
  }

  #remove(name: string, step: Step): void {
    const life = this.#lives.get(name);
    if (life !== undefined) this.#due.delete(life);
    this.#lives.delete(name);
    this.#records.delete(name);
    step.changed.add(name);
  }

  #change(schedule: Schedule, step: Step): void {
    const known = this.#lives.get(schedule.name);
    if (known?.schedule.text === schedule.text) return;
    const life = known ?? this.#begin(schedule, step);
    life.change(schedule, step);
    this.#due.set(life, life.dueMs);
  }

  /** A life that goes on where the leader before left it, or begins now. */
  #begin(schedule: Schedule, step: Step): ScheduleLife {
    const { name, fingerprint, startMs = Infinity } = schedule;
    const record =
      this.#records.get(name) ?? newRecord(fingerprint, Math.min(step.nowMs, startMs - 1));
    this.#records.set(name, record);
    step.outgoing.push(...record.outbox);
    const life = new ScheduleLife(schedule, record);
    this.#lives.set(name, life);
    return life;
  }

  #linkFollowers(): void {
    this.#followers.clear();
    for (const life of this.#lives.values())
      for (const parent of life.schedule.follows?.schedules ?? []) {
        const followers = this.#followers.get(parent) ?? new Set();
        this.#followers.set(parent, followers.add(life));
      }
  }

  #tick(step: Step): void {
    for (let i = 0; i < DUE_PER_STEP; i++) {
      const life = this.#due.take(step.nowMs);
      if (life === undefined) return;
      life.runDue(step);
      this.#due.set(life, life.dueMs);
    }
  }

  #done(report: { schedule: string } & Report, step: Step): void {
    this.#unconfirmed.add(report.schedule);
    this.#writeAtMs = Math.min(this.#writeAtMs, step.nowMs + CONFIRM_WITHIN_MS);
    this.#onLife(report.schedule, (life) => this.#tell(life.done(report, step), step));
  }

  /** A schedule that is gone has nothing to do any more. */
  #onLife(name: string, act: (life: ScheduleLife) => void): void {
    const life = this.#lives.get(name);
    if (life === undefined) return;
    act(life);
    this.#due.set(life, life.dueMs);
  }

  #tell(run: ParentRun | undefined, step: Step): void {
    if (run === undefined) return;
    for (const follower of this.#followers.get(run.schedule) ?? []) {
      follower.parentEnded(run, step);
      this.#due.set(follower, follower.dueMs);
    }
  }

  #effects(step: Step, isLarge: boolean): Effect[] {
    const paused = step.paused.map((one) => ({ kind: 'paused' as const, ...one }));
    const wakeAt = (): Effect => ({
      kind: 'wakeAt',
      atMs: Math.max(step.nowMs, Math.min(this.#due.nextMs, this.#writeAtMs)),
    });
    return [...this.#journalOf(step, isLarge), ...step.outgoing, ...paused, wakeAt()];
  }

  /** One entry, so that all of the step is remembered or nothing; a configuration is larger, but its parts stand alone. */
  #journalOf({ changed, nowMs }: Step, isLarge: boolean): Effect[] {
    const journal = this.#journal as JournalWriter;
    if (changed.size === 0 && nowMs < this.#writeAtMs) return [];
    const names = [...new Set([...changed, ...this.#unconfirmed])];
    this.#unconfirmed.clear();
    this.#writeAtMs = nowMs + IDLE_MS;
    const size = isLarge ? RECORDS_PER_ENTRY : Math.max(1, names.length);
    const effects: Effect[] = [];
    for (let at = 0; at === 0 || at < names.length; at += size) {
      const { sequence, text } = journal.write(names.slice(at, at + size));
      effects.push({ kind: 'journal', position: sequence, text });
    }
    return effects;
  }
}

const backfillOf = (input: Request & { kind: 'backfill' }): Backfill => ({
  id: input.id,
  cursorMs: input.fromMs - 1,
  toMs: input.toMs,
  concurrency: input.concurrency,
});
