import type { ScheduleSpec } from '@malabar/schedule';
import type { Input } from '../core/planner.js';
import type { Fire, Outgoing, ParentRun, Skip } from '../core/record.js';
import { YEAR_END_MS } from './almanac.suite.js';
import { type Outside, Wrong } from './outside.suite.js';
import type { Plan } from './plans.suite.js';

const MISFIRE_AFTER_MS = 60_000;
const RUNS_MAX = 1_000;
const WAITING_MAX = 256;
const COUNTED_MAX = 1_000;

/** A fire that must come because of something that happened. */
interface Expected {
  earliestMs: number;
  latestMs: number;
}

/** What the checks know of one schedule, from what was decided and from nothing else. */
class Watched {
  /** For each of the plan's times whether it is decided. */
  readonly decided: Uint8Array;
  /** All before are decided. */
  first = 0;
  sinceMs: number;
  /** Runs that go on: of the timetable and the like, that others take the place of, of backfills. */
  readonly open = new Set<string>();
  readonly replaced = new Set<string>();
  readonly backfills = new Map<string, string>();
  readonly expected = new Map<string, Expected>();
  /** Fires whose nodes are not known, by key. */
  readonly placing = new Map<string, { fire: Fire; sinceMs: number }>();
  /** Runs on many nodes: parts that go on, and how the others have ended. */
  readonly parts = new Map<string, { left: Set<string>; endings: string[]; nodes: string[] }>();
  readonly heard = new Map<string, string>();
  readonly requests = new Set<string>();
  fired = 0;
  failures = 0;
  paused: { byFailures: boolean } | undefined;

  constructor(
    readonly plan: Plan,
    nowMs: number,
  ) {
    const { start } = plan.spec;
    const startMs = start === undefined ? Infinity : Date.parse(start);
    this.sinceMs = Math.min(nowMs, startMs - 1);
    this.decided = new Uint8Array(plan.times.length);
    this.first = position(plan.times, this.sinceMs + 1);
  }

  get spec(): ScheduleSpec {
    return this.plan.spec;
  }

  get jitterMs(): number {
    return this.spec.jitterMs ?? 0;
  }

  get waits(): boolean {
    const kind = this.spec.overlap?.kind;
    return this.spec.tracked && (kind === 'queue_one' || kind === 'queue_all');
  }

  decide(index: number): void {
    if (this.decided[index] || index < this.first) throw new Wrong('a time is decided twice');
    this.decided[index] = 1;
    while (this.decided[this.first]) this.first++;
  }
}

/** The index of the first time that is not before `atMs`. */
function position(times: readonly number[], atMs: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] as number) < atMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Questions for nodes are answered so much later at most. */
const ANSWER_MS_MAX = 10_000;

const placedSince = ({ placing }: Watched): number[] =>
  Array.from(placing.values(), ({ sinceMs }) => sinceMs);

const iso = (ms: number): string => new Date(ms).toISOString();

/**
 * Looks at every decision as soon as it is in the journal, and at the end at what is missing. Knows the
 * times from the almanac and the rules from their description; shares no code with the planner.
 */
export class Checks {
  readonly #watched = new Map<string, Watched>();
  readonly #ids = new Map<string, Outgoing['kind']>();
  /** The nodes of fires on many nodes. */
  readonly #nodesOf = new Map<string, string[]>();
  #followers = new Map<string, Watched[]>();
  /** When the leader began to know what is due. */
  #aliveSinceMs = 0;
  #aliveUntilMs = Infinity;
  #resent = false;
  #nowMs = 0;

  constructor(private readonly outside: Outside) {}

  leaderBegins(nowMs: number): void {
    this.#aliveSinceMs = nowMs;
    this.#aliveUntilMs = Infinity;
    this.#resent = false;
  }

  leaderDies(nowMs: number): void {
    this.#aliveUntilMs = nowMs;
  }

  /** The step of this input is in the journal. */
  decided(input: Input, outgoing: Outgoing[], plans: ReadonlyMap<string, Plan>): void {
    this.#nowMs = input.nowMs;
    const before = new Map<string, Watched['paused']>();
    if (input.kind === 'configured') this.#configured(plans, before);
    if (input.kind === 'runEnded') this.#runEnded(input);
    if (input.kind === 'triggered') this.#triggered(input.schedule, input.request);
    if (input.kind === 'resumed') this.#resumed(input.schedule, before);
    const mayResend = input.kind === 'configured' && !this.#resent;
    this.#resent ||= input.kind === 'configured';
    for (const out of outgoing) {
      const known = this.#ids.has(out.id);
      if (known && !mayResend) this.#fail(out.schedule, `${out.id} is decided twice`);
      if (!known) this.#decide(out, before);
    }
    for (const name of new Set(outgoing.map(({ schedule }) => schedule))) this.#checkWaiting(name);
    if (input.kind === 'runEnded') this.#checkWaiting(input.schedule);
    if (input.kind === 'placed') this.#placed(input);
  }

  pushed(out: Outgoing): void {
    if (this.#ids.get(out.id) !== out.kind)
      this.#fail(out.schedule, `${out.id} is pushed, but it is not in the journal`);
  }

  #fail(schedule: string, message: string): never {
    const spec = JSON.stringify(this.#watched.get(schedule)?.spec);
    throw new Wrong(`${iso(this.#nowMs)} ${schedule}: ${message}\n${spec}`);
  }

  #of(schedule: string): Watched {
    return this.#watched.get(schedule) ?? this.#fail(schedule, 'nobody knows it');
  }

  // --- what happens -------------------------------------------------------------------------------

  #configured(plans: ReadonlyMap<string, Plan>, before: Map<string, Watched['paused']>): void {
    if (this.#watched.size === 0) this.#begin(plans);
    for (const [name, { spec }] of plans) {
      const watched = this.#of(name);
      before.set(name, watched.paused);
      if (spec.paused !== undefined) watched.paused = { byFailures: false };
      else if (watched.paused?.byFailures === false) this.#unpause(watched);
    }
  }

  #begin(plans: ReadonlyMap<string, Plan>): void {
    for (const [name, plan] of plans) this.#watched.set(name, new Watched(plan, this.#nowMs));
    for (const watched of this.#watched.values())
      for (const parent of watched.spec.after?.schedules ?? [])
        this.#followers.set(parent, [...(this.#followers.get(parent) ?? []), watched]);
  }

  #unpause(watched: Watched): void {
    watched.paused = undefined;
    watched.failures = 0;
  }

  #resumed(schedule: string, before: Map<string, Watched['paused']>): void {
    const watched = this.#of(schedule);
    before.set(schedule, watched.paused);
    if (watched.paused?.byFailures) this.#unpause(watched);
  }

  #triggered(schedule: string, request: string): void {
    const { requests, expected } = this.#of(schedule);
    if (requests.has(request)) return;
    requests.add(request);
    expected.set(request, { earliestMs: this.#nowMs, latestMs: this.#nowMs });
  }

  /** An answer is not lost, whatever it is. */
  #placed({ schedule, id }: Input & { kind: 'placed' }): void {
    const key = id.replace(/ placed$/, '');
    if (this.#of(schedule).placing.has(key)) this.#fail(schedule, `${key} has its nodes in vain`);
  }

  /** How a run has ended with this part; undefined if others go on. */
  #partEnded(watched: Watched, { runId, node = '', status }: Input & { kind: 'runEnded' }) {
    const parts = watched.parts.get(runId);
    if (parts === undefined) return status;
    if (!parts.left.delete(node)) return undefined;
    parts.endings.push(status);
    if (parts.left.size > 0) return undefined;
    const has = (one: string): boolean => parts.endings.includes(one);
    if (has('dead')) return 'dead';
    if (has('failed') || (has('done') && has('discarded'))) return 'failed';
    return has('done') ? 'done' : 'discarded';
  }

  #runEnded(input: Input & { kind: 'runEnded' }): void {
    const { schedule, runId, endedAtMs } = input;
    const watched = this.#of(schedule);
    const status = this.#partEnded(watched, input);
    if (status === undefined) return;
    const isOpen = watched.open.delete(runId);
    const isKnown = isOpen || watched.replaced.delete(runId) || watched.backfills.delete(runId);
    if (!isKnown) return;
    if (isOpen && status !== 'discarded') {
      watched.failures = status === 'done' ? 0 : watched.failures + 1;
      if (watched.failures >= (watched.spec.pauseAfterFailures ?? Infinity))
        watched.paused ??= { byFailures: true };
    }
    for (const follower of this.#followers.get(schedule) ?? []) {
      const on = follower.spec.after?.on;
      const isAwaited =
        on === 'always' || (on === 'success' ? status === 'done' : /failed|dead/.test(status));
      if (isAwaited) this.#expectAfter(follower, schedule, runId, endedAtMs);
    }
  }

  #expectAfter(follower: Watched, schedule: string, runId: string, endedAtMs: number): void {
    const { heard, spec, jitterMs } = follower;
    heard.set(schedule, runId);
    if (spec.after?.need === 'all' && heard.size < spec.after.schedules.length) return;
    const parents = [...heard.values()].sort().join(' ');
    heard.clear();
    const earliestMs = endedAtMs + (spec.after?.delayMs ?? 0);
    const latestMs = Math.max(earliestMs + jitterMs, this.#nowMs);
    follower.expected.set(parents, { earliestMs, latestMs });
  }

  // --- what is decided ----------------------------------------------------------------------------

  #decide(out: Outgoing, before: Map<string, Watched['paused']>): void {
    this.#ids.set(out.id, out.kind);
    const watched = this.#of(out.schedule);
    if (out.kind === 'replace') this.#replaced(out.runId, watched);
    else if (out.kind === 'skipped' && watched.placing.has(out.id)) this.#unplaced(out, watched);
    else if (out.kind === 'fire' && out.nodes !== undefined) this.#spread(out, watched);
    else if (out.kind === 'fire' || out.kind === 'place') this.#begun(out, watched);
    else this.#skipped(out, watched, before.get(out.schedule));
  }

  #begun(out: Outgoing & { kind: 'fire' | 'place' }, watched: Watched): void {
    const isPlaced = out.kind === 'place';
    if (isPlaced !== (watched.spec.everywhere ?? false))
      this.#fail(out.schedule, 'runs on one node instead of many, or the other way round');
    if (isPlaced) watched.placing.set(out.idempotencyKey, { fire: out, sinceMs: this.#nowMs });
    if (out.reason === 'backfill') this.#backfilled(out, watched);
    else this.#fired(out, watched);
  }

  /** A fire has its nodes: those that are there, in order. */
  #spread({ idempotencyKey, runId, schedule, nodes = [] }: Fire, watched: Watched): void {
    if (!watched.placing.delete(idempotencyKey)) this.#fail(schedule, 'nobody has asked for nodes');
    const there = this.outside.nodesFor(schedule);
    if (nodes.length === 0 || nodes.join() !== there.join())
      this.#fail(schedule, `runs on ${nodes}, but ${there} are there`);
    this.#nodesOf.set(idempotencyKey, nodes);
    watched.parts.set(runId, { left: new Set(nodes), endings: [], nodes });
  }

  /** A fire has no node, or its place was taken before it had one: there was no run. */
  #unplaced({ id, schedule, reason }: Outgoing & { kind: 'skipped' }, watched: Watched): void {
    const { fire } = watched.placing.get(id) as { fire: Fire };
    watched.placing.delete(id);
    const { runId } = fire;
    const isReplaced = watched.replaced.delete(runId);
    if (reason === 'no_node' ? this.outside.nodesFor(schedule).length > 0 : !isReplaced)
      this.#fail(schedule, `does not run for ${reason}, but that is not so`);
    watched.open.delete(runId);
    watched.backfills.delete(runId);
    if (fire.reason === 'timetable' || fire.reason === 'parent') watched.fired--;
  }

  #replaced(runId: string, watched: Watched): void {
    // A second time, because its jobs were not known at the first.
    if (watched.replaced.has(runId)) return;
    if (!watched.open.delete(runId)) this.#fail(watched.spec.name, 'replaces what does not run');
    watched.replaced.add(runId);
  }

  #fired(fire: Fire, watched: Watched): void {
    const { name, overlap, tracked, times = Infinity } = watched.spec;
    const max = overlap?.kind === 'allow' ? overlap.max : 1;
    if (tracked && watched.open.size >= max) this.#fail(name, 'too many runs at once');
    if (tracked) watched.open.add(fire.runId);
    if (fire.reason !== 'trigger') {
      if (watched.paused !== undefined) this.#fail(name, 'fires while it is paused');
      if (++watched.fired > times) this.#fail(name, `fires more than ${times} times`);
    }
    if (fire.reason === 'timetable') this.#firedAtTime(fire.nominalMs, watched);
    else this.#meet(fire, watched);
  }

  #backfilled({ runId, backfill = '' }: Fire, { backfills, spec }: Watched): void {
    if (spec.tracked) backfills.set(runId, backfill);
    const live = [...backfills.values()].filter((id) => id === backfill).length;
    if (live > 3) this.#fail(spec.name, 'a backfill has too many runs at once');
  }

  /** A fire that something has caused, or its skip. */
  #meet({ idempotencyKey, parents }: Fire | Skip, watched: Watched): void {
    const runs = parents?.map(({ runId }) => runId).sort();
    const cause = runs?.join(' ') ?? idempotencyKey.replace(/^[^+]*\+/, '');
    const expected = watched.expected.get(cause);
    if (expected === undefined)
      this.#fail(watched.spec.name, `fires for '${cause}', once too often`);
    watched.expected.delete(cause);
    for (const parent of parents ?? []) this.#checkParent(parent, watched);
    const latestMs = Math.max(expected.latestMs, this.#aliveSinceMs);
    const isLate = this.#nowMs > latestMs && !watched.waits;
    if (isLate || this.#nowMs < expected.earliestMs)
      this.#fail(watched.spec.name, 'the wrong time');
  }

  #checkParent({ output, runId, schedule }: ParentRun, { spec }: Watched): void {
    const nodes = this.#of(schedule).parts.get(runId)?.nodes;
    const texts = nodes?.map((node) => `the output of ${runId} at ${node}`);
    const isWhole = texts?.every((text) => output.includes(text));
    if (!(isWhole ?? output === `the output of ${runId}`))
      this.#fail(spec.name, 'it hears a wrong output');
  }

  #firedAtTime(nominalMs: number, watched: Watched): void {
    const { plan, spec, jitterMs } = watched;
    const index = position(plan.times, nominalMs);
    if (plan.times[index] !== nominalMs) this.#fail(spec.name, `${iso(nominalMs)} is not due`);
    watched.decide(index);
    if (this.#nowMs < nominalMs) this.#fail(spec.name, 'fires too early');
    if (watched.waits) return;
    if (this.#nowMs > Math.max(nominalMs + jitterMs, this.#aliveSinceMs))
      this.#fail(spec.name, `${iso(nominalMs)} is late, but a leader was there`);
    if (this.#isMissed(nominalMs, watched)) {
      this.outside.saw(`missed and fired: ${spec.misfire?.fire}`);
      if (!this.#mayFireMissed(nominalMs, watched))
        this.#fail(spec.name, `${iso(nominalMs)} was missed and fires against its policy`);
    }
  }

  #isMissed(nominalMs: number, { jitterMs }: Watched): boolean {
    return nominalMs <= this.#nowMs - MISFIRE_AFTER_MS - jitterMs;
  }

  /** Whether a missed time is one of those that are still fired. */
  #mayFireMissed(nominalMs: number, { plan, spec, jitterMs }: Watched): boolean {
    const { fire = 'once', withinMs = Infinity, max = 100 } = spec.misfire ?? {};
    const { times } = plan;
    const last = position(times, this.#nowMs - MISFIRE_AFTER_MS - jitterMs + 1);
    const newer = last - position(times, nominalMs) - 1;
    const isNew = newer < (fire === 'once' ? 1 : max);
    return fire !== 'skip' && isNew && nominalMs >= this.#nowMs - withinMs;
  }

  #skipped(skip: Skip, watched: Watched, before: Watched['paused']): void {
    const { name, overlap, tracked, times = Infinity } = watched.spec;
    const { open, replaced, backfills, paused } = watched;
    const isAtTime = skip.parents === undefined && !skip.idempotencyKey.includes('+');
    if (skip.reason === 'overlap') {
      const max = overlap?.kind === 'allow' ? overlap.max : 1;
      const runs = open.size + replaced.size + backfills.size;
      const isBusy = overlap?.kind === 'replace' ? runs >= RUNS_MAX : open.size >= max;
      const mayWait = watched.waits && (paused !== undefined || open.size > 0);
      if (tracked && !isBusy && !mayWait) this.#fail(name, 'skips without need');
      if (!tracked) this.#fail(name, 'skips for runs that nobody hears of');
    }
    if (skip.reason === 'paused' && (isAtTime ? before : paused) === undefined)
      this.#fail(name, 'skips for a pause that there is not');
    if (skip.reason === 'ended' && !watched.waits && watched.fired < times)
      this.#fail(name, 'has not ended');
    if (isAtTime) this.#skippedTimes(skip, watched);
    else this.#meet(skip, watched);
  }

  #skippedTimes({ nominalMs, untilMs, count, reason }: Skip, watched: Watched): void {
    const { times } = watched.plan;
    const { name } = watched.spec;
    const from = position(times, nominalMs);
    const to = position(times, untilMs);
    if (times[from] !== nominalMs || times[to] !== untilMs)
      this.#fail(name, `skips ${iso(nominalMs)} to ${iso(untilMs)}, which are not due`);
    if (count !== Math.min(COUNTED_MAX, to - from + 1)) this.#fail(name, 'miscounts what it skips');
    for (let index = from; index <= to; index++) {
      watched.decide(index);
      const at = times[index] as number;
      if (reason !== 'misfire') continue;
      if (!this.#isMissed(at, watched)) this.#fail(name, `${iso(at)} was not missed`);
      if (this.#mayFireMissed(at, watched))
        this.#fail(name, `${iso(at)} is skipped against its policy`);
    }
  }

  /** What waits for a run starts as soon as there is none. */
  #checkWaiting(schedule: string): void {
    const watched = this.#of(schedule);
    const { plan, spec, open, paused, fired, jitterMs, first } = watched;
    if (paused !== undefined || open.size > 0 || fired >= (spec.times ?? Infinity)) return;
    const at = plan.times[first] ?? Infinity;
    const isNew = this.#nowMs <= this.#aliveSinceMs;
    if (watched.waits && !isNew && at + jitterMs < this.#nowMs)
      this.#fail(schedule, `${iso(at)} waits for nothing`);
  }

  // --- the end ------------------------------------------------------------------------------------

  atTheEnd(nowMs: number): void {
    this.#nowMs = nowMs;
    for (const watched of this.#watched.values()) this.#checkMissing(watched);
    for (const [id, kind] of this.#ids) if (kind !== 'place') this.#checkPushed(id, kind);
    for (const key of this.outside.jobs.keys())
      if (!this.#ids.has(key.replace(/#.*/, '')))
        throw new Wrong(`${key} is in its queue, and nobody decided it`);
  }

  #checkPushed(id: string, kind: Outgoing['kind']): void {
    if (kind === 'replace') return;
    const nodes = this.#nodesOf.get(id);
    const keys = nodes?.map((node) => `${id}#${node}`) ?? [id];
    for (const key of keys)
      if (this.outside.jobs.get(key)?.kind !== kind)
        throw new Wrong(`${key} is decided, but it is not in its queue`);
  }

  #checkMissing(watched: Watched): void {
    const { plan, spec, decided, expected, jitterMs, paused, open, fired } = watched;
    const untilMs = Math.min(YEAR_END_MS, this.#aliveUntilMs) - 1;
    const causes = [...expected.values()].filter(({ latestMs }) => latestMs <= untilMs);
    const times = plan.times.filter(
      (at, i) => !decided[i] && at > watched.sinceMs && at + jitterMs <= untilMs,
    );
    const isOver = paused !== undefined || fired >= (spec.times ?? Infinity);
    const missing = causes.length + (isOver ? 0 : times.length);
    const waiting = spec.overlap?.kind === 'queue_one' ? 1 : WAITING_MAX;
    const mayWait = watched.waits && (open.size > 0 || paused !== undefined) ? waiting : 0;
    if (missing > mayWait) this.#fail(spec.name, `${missing} fires are lost`);
    const sinceMs = Math.max(this.#aliveSinceMs, ...placedSince(watched));
    if (watched.placing.size > 0 && sinceMs + ANSWER_MS_MAX < untilMs)
      this.#fail(spec.name, 'a fire has no nodes, and nobody asks for them');
  }
}
