import { dueAt, nominalAfter, RUNS_MAX, type Schedule } from '@malabar/schedule';
import { countSkipped, missedToFire, newest } from './missed.js';
import { beginParts, countParts, endPart, jobsOf, PARTS_MAX, statusOfParts } from './parts.js';
import {
  type Backfill,
  cappedOutput,
  type FinalStatus,
  type Fire,
  keyOf,
  type LiveRun,
  type Outgoing,
  type ParentRun,
  runIdOf,
  type ScheduleRecord,
  type SkipReason,
} from './record.js';

/** Fires that may wait for the end of a run. */
export const WAITING_MAX = 256;
const REQUESTS_KEPT = 16;

/** What one step of the planner comes to; lives add to it. */
export interface Step {
  nowMs: number;
  /** Fires that are later than this were missed. */
  misfireAfterMs: number;
  /** Schedules whose records must be in the journal before anything is sent. */
  changed: Set<string>;
  outgoing: Outgoing[];
  paused: Array<{ schedule: string; reason: string }>;
}

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

const isOpen = (run: LiveRun): boolean => !run.replaced && run.backfill === undefined;

/** One schedule and what has happened to it: decides what becomes of its fires. */
export class ScheduleLife {
  /** The first time of the timetable after `afterMs`; kept, because it is dear to find. */
  #found: { afterMs: number; next: { nominalMs: number; dueMs: number } | undefined } | undefined;

  constructor(
    private current: Schedule,
    readonly record: ScheduleRecord,
  ) {}

  get schedule(): Schedule {
    return this.current;
  }

  /** When there is something to do; Infinity if nothing ever is. */
  get dueMs(): number {
    const { delayed } = this.record;
    return Math.min(this.#next?.dueMs ?? Infinity, delayed[0]?.dueMs ?? Infinity);
  }

  /** The next time of the timetable that is to be decided. */
  get #next(): { nominalMs: number; dueMs: number } | undefined {
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

  /** The same schedule with other words. Its cursor is kept as long as its times are the same. */
  change(schedule: Schedule, step: Step): void {
    const { record } = this;
    this.current = schedule;
    this.#found = undefined;
    if (record.fingerprint !== schedule.fingerprint) {
      record.fingerprint = schedule.fingerprint;
      record.cursorMs = Math.max(record.cursorMs, step.nowMs);
      record.fired = 0;
      record.heard = record.heard.filter((run) =>
        schedule.follows?.schedules.includes(run.schedule),
      );
    }
    if (!schedule.tracked) record.runs = record.runs.filter(({ runId }) => this.#isUnsent(runId));
    this.#changePause(step);
    this.#goOn(step);
    step.changed.add(schedule.name);
  }

  #changePause(step: Step): void {
    const { paused: reason } = this.current;
    const { paused } = this.record;
    if (reason !== undefined) this.record.paused = { reason, byFailures: false };
    else if (paused?.byFailures === false) this.#endPause(step);
  }

  /** Ends a pause after failures. One that the configuration asks for is ended there. */
  resume(step: Step): void {
    if (this.record.paused?.byFailures) this.#endPause(step);
  }

  /** What was due meanwhile is skipped. */
  #endPause(step: Step): void {
    const { current, record } = this;
    record.paused = undefined;
    record.failures = 0;
    const untilMs = step.nowMs;
    this.#skipTimes({ untilMs, reason: 'paused' }, step);
    record.cursorMs = Math.max(record.cursorMs, untilMs);
    this.#goOn(step);
    step.changed.add(current.name);
  }

  /** Does what is due. */
  runDue(step: Step): void {
    const { delayed } = this.record;
    while (delayed[0] !== undefined && delayed[0].dueMs <= step.nowMs)
      this.#admit(delayed.shift() as Fire, step);
    this.#runMissed(step);
    for (let next = this.#next; next !== undefined && next.dueMs <= step.nowMs; next = this.#next)
      this.#fireTime(next.nominalMs, next.dueMs, step);
    step.changed.add(this.current.name);
  }

  #fireTime(nominalMs: number, dueMs: number, step: Step): void {
    this.record.cursorMs = nominalMs;
    this.#admit(this.#newFire({ nominalMs, dueMs, reason: 'timetable' }), step);
  }

  #runMissed(step: Step): void {
    const { current, record } = this;
    const untilMs = step.nowMs - step.misfireAfterMs - current.jitterMs;
    if ((this.#next?.nominalMs ?? Infinity) > untilMs) return;
    const kept = missedToFire(current, { fromMs: record.cursorMs, untilMs, nowMs: step.nowMs });
    this.#skipTimes({ untilMs: (kept[0] ?? untilMs + 1) - 1, reason: 'misfire' }, step);
    for (const nominalMs of kept)
      if (record.fired < current.times) this.#fireTime(nominalMs, dueAt(current, nominalMs), step);
    record.cursorMs = Math.max(record.cursorMs, untilMs);
  }

  /** The times of the timetable from the next one to `untilMs`, if there are any, do not happen. */
  #skipTimes({ untilMs, reason }: { untilMs: number; reason: SkipReason }, step: Step): void {
    const { current, record } = this;
    const { name: schedule } = current;
    const nominalMs = this.#next?.nominalMs ?? Infinity;
    if (nominalMs > untilMs) return;
    const [lastMs = nominalMs] = newest(current, record.cursorMs, untilMs, 1);
    const idempotencyKey = keyOf(schedule, nominalMs);
    const count = countSkipped(current, record.cursorMs, untilMs);
    const skip = { schedule, idempotencyKey, nominalMs, untilMs: lastMs, count, reason };
    this.#send({ kind: 'skipped', id: idempotencyKey, ...skip }, step);
  }

  /** A run that this schedule follows has ended. */
  parentEnded(parent: ParentRun, step: Step): void {
    const { follows } = this.current;
    if (follows === undefined || !follows.schedules.includes(parent.schedule)) return;
    if (!isAwaited(follows.on, parent.status)) return;
    const parents = this.#heardAll(parent);
    if (parents !== undefined) this.#delay(this.#fireAfter(parents, parent.endedAtMs), step);
    step.changed.add(this.current.name);
  }

  /** The runs that a fire follows, once there is none missing. */
  #heardAll(parent: ParentRun): ParentRun[] | undefined {
    const { follows } = this.current;
    if (follows?.need !== 'all') return [parent];
    const { record } = this;
    const others = record.heard.filter(({ schedule }) => schedule !== parent.schedule);
    record.heard = [...others, parent];
    if (record.heard.length < new Set(follows.schedules).size) return undefined;
    return record.heard.splice(0);
  }

  #fireAfter(parents: ParentRun[], endedAtMs: number): Fire {
    const ids = parents.map(({ runId }) => runId);
    const by = ids.length === 1 ? (ids[0] as string) : runIdOf(ids.join(' '));
    const laterMs = dueAt(this.current, endedAtMs) - endedAtMs;
    const dueMs = endedAtMs + (this.current.follows?.delayMs ?? 0) + laterMs;
    return this.#newFire({ nominalMs: endedAtMs, dueMs, reason: 'parent', parents }, by);
  }

  #delay(fire: Fire, step: Step): void {
    const { delayed } = this.record;
    const at = delayed.findIndex(({ dueMs }) => dueMs > fire.dueMs);
    if (fire.dueMs <= step.nowMs) this.#admit(fire, step);
    else delayed.splice(at < 0 ? delayed.length : at, 0, fire);
  }

  /** Somebody wants a run now; a pause or an end of the schedule does not hinder. */
  trigger(request: string, step: Step): void {
    if (!this.#isNew(request)) return;
    const { nowMs } = step;
    this.#place(
      this.#newFire({ nominalMs: nowMs, dueMs: nowMs, reason: 'trigger' }, request),
      step,
    );
    step.changed.add(this.current.name);
  }

  /** Runs a stretch of the past again, beside everything else. */
  backfill(request: Backfill, step: Step): void {
    if (!this.#isNew(request.id)) return;
    this.record.backfills.push({ ...request });
    this.#pumpBackfills(step);
    step.changed.add(this.current.name);
  }

  /** Starts no more runs of a backfill; those that go on may end. */
  cancelBackfill(id: string, step: Step): void {
    const { record } = this;
    record.backfills = record.backfills.filter((one) => one.id !== id);
    step.changed.add(this.current.name);
  }

  #isNew(request: string): boolean {
    const { requests } = this.record;
    if (requests.includes(request)) return false;
    requests.push(request);
    requests.splice(0, requests.length - REQUESTS_KEPT);
    return true;
  }

  /**
   * A run, or a part of one, has ended for good. Returns what the followers of the run hear; nothing if
   * it goes on elsewhere or is not known.
   */
  ended(ending: Ending, step: Step): ParentRun | undefined {
    const run = this.record.runs.find(({ runId }) => runId === ending.runId);
    if (run === undefined || run.placing) return undefined;
    if (run.parts === undefined) return this.#runEnded(ending, step);
    const { node = '', status, output } = ending;
    if (!endPart(run, { node, status, output })) return undefined;
    step.changed.add(this.current.name);
    return this.#partsEnded(run, ending.endedAtMs, step);
  }

  /** If no part of it goes on any more, the run has ended. */
  #partsEnded(run: LiveRun, endedAtMs: number, step: Step): ParentRun | undefined {
    const { runId, parts = [], endings = [], output = '' } = run;
    if (parts.length > 0) return undefined;
    return this.#runEnded({ runId, status: statusOfParts(endings), endedAtMs, output }, step);
  }

  #runEnded({ runId, status, endedAtMs, output }: Ending, step: Step): ParentRun | undefined {
    const run = this.#forget(runId);
    if (run === undefined) return undefined;
    if (isOpen(run)) this.#countFailure(status, step);
    this.#goOn(step);
    const { name: schedule } = this.current;
    step.changed.add(schedule);
    const { nominalMs } = run;
    return { schedule, runId, nominalMs, status, output: cappedOutput(output), endedAtMs };
  }

  /** What was sent has arrived or never will. Returns what followers hear, as `ended` does. */
  done(report: Report, step: Step): ParentRun | undefined {
    const { record } = this;
    const at = record.outbox.findIndex((one) => one.id === report.id);
    const [sent] = at < 0 ? [] : record.outbox.splice(at, 1);
    const run = record.runs.find(({ runId }) => sent?.kind === 'fire' && runId === sent.runId);
    if (run === undefined) return undefined;
    const ended =
      report.parts === undefined
        ? this.#arrived(run, report, step)
        : this.#partsArrived(run, report.parts, step);
    // Its place was taken while nobody knew where it was.
    if (run.replaced && record.runs.includes(run) && jobsOf(run).length > 0)
      this.#endReplaced(run, 'replaced on arrival', step);
    return ended;
  }

  #arrived(run: LiveRun, { job, refused, stranger }: Arrival, step: Step): ParentRun | undefined {
    const { runId } = run;
    if (refused !== undefined)
      return this.#runEnded(
        { runId, status: 'failed', endedAtMs: step.nowMs, output: refused },
        step,
      );
    if (job !== undefined) run.job = job;
    if (!this.current.tracked || stranger) this.#drop(run, step);
    return undefined;
  }

  #partsArrived(
    run: LiveRun,
    arrivals: NonNullable<Report['parts']>,
    step: Step,
  ): ParentRun | undefined {
    for (const { node, job, refused, stranger } of arrivals) {
      const part = run.parts?.find((one) => one.node === node);
      if (part === undefined) continue;
      part.job = job;
      if (stranger) run.parts = run.parts?.filter((one) => one !== part);
      else if (refused !== undefined) endPart(run, { node, status: 'failed', output: refused });
    }
    if (this.current.tracked && run.endings !== undefined)
      return this.#partsEnded(run, step.nowMs, step);
    if (!this.current.tracked || run.parts?.length === 0) this.#drop(run, step);
    return undefined;
  }

  /** Nobody hears of its end. */
  #drop(run: LiveRun, step: Step): void {
    this.#forget(run.runId);
    this.#goOn(step);
  }

  /** These nodes are there for a fire that was to be placed; none: it does not happen. */
  placed({ id, nodes }: { id: string; nodes: readonly string[] }, step: Step): void {
    const { record, current } = this;
    const sent = record.outbox.find((one) => one.id === id);
    const run = record.runs.find(({ runId }) => sent?.kind === 'place' && runId === sent.runId);
    if (sent?.kind !== 'place' || run === undefined) return;
    record.outbox = record.outbox.filter((one) => one !== sent);
    step.changed.add(current.name);
    const { kind: _, id: __, ...fire } = sent;
    const hasRoom = countParts(record.runs) + nodes.length <= PARTS_MAX;
    if (nodes.length > 0 && hasRoom && !run.replaced) {
      beginParts(run, nodes);
      this.#send({ kind: 'fire', id: fire.idempotencyKey, ...fire, nodes: [...nodes] }, step);
      return;
    }
    if (fire.reason === 'timetable' || fire.reason === 'parent') record.fired--;
    this.#skip(fire, nodes.length === 0 ? 'no_node' : 'overlap', step);
    this.#drop(run, step);
  }

  #forget(runId: string): LiveRun | undefined {
    const { record } = this;
    const at = record.runs.findIndex((one) => one.runId === runId);
    if (at < 0) return undefined;
    record.outbox = record.outbox.filter((one) => one.kind === 'skipped' || one.runId !== runId);
    return record.runs.splice(at, 1)[0];
  }

  #isUnsent(runId: string): boolean {
    return this.record.outbox.some(
      (one) => (one.kind === 'fire' || one.kind === 'place') && one.runId === runId,
    );
  }

  #countFailure(status: FinalStatus, step: Step): void {
    const { current, record } = this;
    if (status === 'discarded') return;
    record.failures = status === 'done' ? 0 : record.failures + 1;
    if (record.failures < current.pauseAfterFailures || record.paused !== undefined) return;
    const reason = `${record.failures} runs failed, one after the other`;
    record.paused = { reason, byFailures: true };
    step.paused.push({ schedule: current.name, reason });
  }

  /** A run may have ended, or a pause: starts what has waited for it. */
  #goOn(step: Step): void {
    const { record } = this;
    while (record.waiting.length > 0 && !record.paused && !record.runs.some(isOpen)) {
      this.#start(record.waiting.shift() as Fire, step);
    }
    this.#pumpBackfills(step);
  }

  #pumpBackfills(step: Step): void {
    const { record } = this;
    for (const backfill of [...record.backfills]) {
      const { id, concurrency, toMs } = backfill;
      let live = record.runs.filter((run) => run.backfill === id).length;
      for (; live < concurrency; live++) {
        const at = this.current.timetable?.next(backfill.cursorMs);
        if (at === undefined || at > toMs) {
          record.backfills = record.backfills.filter((one) => one !== backfill);
          break;
        }
        backfill.cursorMs = at;
        const time = {
          nominalMs: at,
          dueMs: step.nowMs,
          reason: 'backfill' as const,
          backfill: id,
        };
        this.#start(this.#newFire(time, id), step);
      }
    }
  }

  /** A fire is due by itself, not by hand: not while paused and not after the end. */
  #admit(fire: Fire, step: Step): void {
    const { current, record } = this;
    const isOver = record.fired >= current.times || fire.nominalMs > current.endMs;
    if (isOver) this.#skip(fire, 'ended', step);
    else if (record.paused !== undefined) this.#skip(fire, 'paused', step);
    else if (this.#place(fire, step)) record.fired++;
  }

  /** Starts a fire, lets it wait or skips it, as the overlap policy has it. */
  #place(fire: Fire, step: Step): boolean {
    const { current, record } = this;
    const { overlap } = current;
    const open = record.runs.filter(isOpen);
    const mayWait = { queue_one: 1, queue_all: WAITING_MAX, skip: 0, replace: 0, allow: 0 };
    const isFree = open.length < (overlap.kind === 'allow' ? overlap.max : 1);
    const isNext = record.waiting.length === 0;
    const hasRoom = record.runs.length < RUNS_MAX;
    if (hasRoom && isNext && (isFree || overlap.kind === 'replace')) {
      for (const run of open) if (overlap.kind === 'replace') this.#replace(run, step);
      this.#start(fire, step);
    } else if (record.waiting.length < mayWait[overlap.kind]) {
      record.waiting.push(fire);
    } else {
      this.#skip(fire, 'overlap', step);
      return false;
    }
    return true;
  }

  #replace(run: LiveRun, step: Step): void {
    run.replaced = true;
    this.#endReplaced(run, 'replaced', step);
  }

  #endReplaced(run: LiveRun, how: string, step: Step): void {
    const { runId } = run;
    const { name: schedule } = this.current;
    const jobs = jobsOf(run);
    this.#send({ kind: 'replace', id: `${runId} ${how}`, schedule, runId, jobs }, step);
  }

  #start(fire: Fire, step: Step): void {
    const { runId, nominalMs, reason, backfill, idempotencyKey: key } = fire;
    const { everywhere } = this.current;
    const run: LiveRun = { runId, nominalMs, reason, backfill };
    if (everywhere) run.placing = true;
    this.record.runs.push(run);
    if (everywhere) this.#send({ kind: 'place', id: `${key} placed`, ...fire }, step);
    else this.#send({ kind: 'fire', id: key, ...fire }, step);
  }

  #skip(fire: Fire, reason: SkipReason, step: Step): void {
    const { schedule, idempotencyKey, nominalMs, parents } = fire;
    const what = { schedule, idempotencyKey, nominalMs, untilMs: nominalMs, count: 1, parents };
    this.#send({ kind: 'skipped', id: idempotencyKey, ...what, reason }, step);
  }

  #send(outgoing: Outgoing, step: Step): void {
    this.record.outbox.push(outgoing);
    step.outgoing.push(outgoing);
    step.changed.add(this.current.name);
  }

  #newFire(time: Omit<Fire, 'schedule' | 'runId' | 'idempotencyKey'>, by?: string): Fire {
    const { name: schedule } = this.current;
    const idempotencyKey = keyOf(schedule, time.nominalMs, by);
    return { schedule, runId: runIdOf(idempotencyKey), idempotencyKey, ...time };
  }
}

function isAwaited(on: 'success' | 'failure' | 'always', status: FinalStatus): boolean {
  if (on === 'always') return true;
  return on === 'success' ? status === 'done' : status === 'failed' || status === 'dead';
}
