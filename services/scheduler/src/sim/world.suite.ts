import { createSchedule, type Schedule, type ScheduleSpec } from '@malabar/schedule';
import { claimText, foldJournal } from '../core/journal.js';
import { type Effect, type Input, Planner, type PlannerOptions } from '../core/planner.js';
import type { Outgoing } from '../core/record.js';
import type { Report as RunReport } from '../core/runs.js';
import { YEAR_END_MS, YEAR_START_MS } from './almanac.suite.js';
import { Checks } from './checks.suite.js';
import { Dice } from './dice.suite.js';
import { Outside, type Result, Wrong } from './outside.suite.js';
import { anyPlan, type Plan, TAGS } from './plans.suite.js';

/** Thrown where a leader dies. */
class Death extends Error {}

export interface YearOptions {
  schedules: number;
  deaths: number;
  /** Effects between two deaths, on average. */
  effectsPerLife: number;
  /** Parts with a fault that must not stay unnoticed. */
  create?: (spec: ScheduleSpec) => Schedule;
  planner?: (options: PlannerOptions) => Pick<Planner, 'step'>;
  fold?: typeof foldJournal;
  reorder?: (effects: Effect[]) => Effect[];
}

const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;
/** Nodes that come and go. */
const NODES = 5;

/** For which nodes a fire is, and when that is answered. */
interface Question {
  atMs: number;
  schedule: string;
  id: string;
}

interface Leader {
  planner: Pick<Planner, 'step'>;
  life: number;
  wakeAtMs: number;
}

/** One simulated year of leaders that die: the clock jumps from one event to the next. */
export class World {
  readonly dice: Dice;
  readonly plans = new Map<string, Plan>();
  readonly outside: Outside;
  readonly checks: Checks;
  readonly #schedules = new Map<ScheduleSpec, Schedule>();
  nowMs = YEAR_START_MS;
  deaths = 0;
  effects = 0;
  steps = 0;
  #lives = 0;
  #leader: Leader | undefined;
  #nextLeaderMs = YEAR_START_MS;
  #untilDeath: number;
  /** What a leader would still do that does not know that it is none any more. */
  #zombie: { effects: Effect[]; life: number } | undefined;
  /** Somebody else wrote into the journal of this leader. */
  #isDisturbed = false;
  /** Answers to fires that are to be placed, in order; they are for this leader only. */
  #places: Question[] = [];
  /** When nodes come and go, the next one last. */
  #moves: Array<{ atMs: number; move: () => void }> = [];
  /** What people do, in order: changes of the configuration and requests. */
  #people: Array<{ atMs: number; act: () => Input }> = [];

  constructor(
    seed: number,
    private readonly options: YearOptions,
  ) {
    this.dice = new Dice(seed);
    for (let i = 0; i < options.schedules; i++) this.#addPlan(`s${i}`);
    this.outside = new Outside(this.dice, this.plans);
    this.checks = new Checks(this.outside);
    this.#untilDeath = this.#someLife();
    this.#planPeople();
    this.#planNodes();
  }

  #addPlan(name: string): void {
    this.plans.set(name, anyPlan(this.dice, name, [...this.plans.values()]));
  }

  run(): void {
    while (this.nowMs < YEAR_END_MS) {
      try {
        this.#next();
      } catch (error) {
        if (!(error instanceof Death)) throw error;
        this.#bury();
      }
    }
    this.checks.atTheEnd(this.nowMs);
  }

  #next(): void {
    const leaderMs = this.#leader?.wakeAtMs ?? this.#nextLeaderMs;
    const peopleMs =
      this.#leader === undefined ? Infinity : (this.#people.at(-1)?.atMs ?? Infinity);
    const { outside } = this;
    const placeMs = this.#places[0]?.atMs ?? Infinity;
    const movesMs = this.#moves.at(-1)?.atMs ?? Infinity;
    const nextMs = Math.min(leaderMs, peopleMs, placeMs, movesMs, outside.nextEndMs);
    this.nowMs = Math.max(this.nowMs, nextMs);
    while ((this.#moves.at(-1)?.atMs ?? Infinity) <= this.nowMs) this.#moves.pop()?.move();
    outside.endRuns(this.nowMs);
    if (this.#leader === undefined) {
      if (this.nowMs >= this.#nextLeaderMs) this.#takeOver();
      return;
    }
    while (outside.results[0] !== undefined) this.#hear(outside.results[0]);
    if (placeMs <= this.nowMs) this.#answerPlace();
    else if (peopleMs <= this.nowMs) this.#do((this.#people.pop() as { act: () => Input }).act());
    else if (leaderMs <= this.nowMs) this.#do({ kind: 'tick', nowMs: this.nowMs });
  }

  /** The nodes are those that are there when the question is answered. */
  #answerPlace(): void {
    const { schedule, id } = this.#places.shift() as Question;
    const nodes = this.outside.nodesFor(schedule);
    this.#do({ kind: 'placed', nowMs: this.nowMs, schedule, id, nodes });
  }

  #hear(result: Result): void {
    this.#do({ kind: 'runEnded', nowMs: this.nowMs, ...result });
    this.outside.results.shift();
    // Acknowledgements are lost too: the outcome comes again, and nothing comes of it.
    if (this.dice.chance(0.01)) this.#do({ kind: 'runEnded', nowMs: this.nowMs, ...result });
  }

  // --- leaders ------------------------------------------------------------------------------------

  #takeOver(): void {
    const life = ++this.#lives;
    const planner = this.options.planner?.({ token: life }) ?? new Planner({ token: life });
    this.#leader = { planner, life, wakeAtMs: Infinity };
    this.#isDisturbed = false;
    this.checks.leaderBegins(this.nowMs);
    this.outside.append(claimText(life));
    this.#mayDie();
    if (this.dice.chance(0.5)) this.#runZombie();
    const journal = (this.options.fold ?? foldJournal)(this.outside.readJournal());
    this.#do({ kind: 'loaded', nowMs: this.nowMs, journal });
    this.#do(this.#configured());
    this.#runZombie();
  }

  #configured(): Input {
    const schedules = Array.from(this.plans.values(), ({ spec }) => this.#scheduleOf(spec));
    return { kind: 'configured', nowMs: this.nowMs, schedules };
  }

  #scheduleOf(spec: ScheduleSpec): Schedule {
    const schedule = this.#schedules.get(spec) ?? (this.options.create ?? createSchedule)(spec);
    this.#schedules.set(spec, schedule);
    return schedule;
  }

  #bury(): void {
    const { dice } = this;
    this.deaths++;
    this.#leader = undefined;
    this.#places = [];
    const share = dice.between(1, 100);
    const away = share <= 70 ? 15 * SECOND_MS : share <= 95 ? 10 * 60 * SECOND_MS : 40 * HOUR_MS;
    this.#nextLeaderMs = this.nowMs + dice.between(1_000, away);
    this.#untilDeath = this.#someLife();
    this.checks.leaderDies(this.nowMs);
  }

  #someLife(): number {
    return this.deaths < this.options.deaths
      ? this.dice.between(1, 2 * this.options.effectsPerLife)
      : Infinity;
  }

  #mayDie(): void {
    this.effects++;
    if (--this.#untilDeath <= 0) throw new Death();
  }

  /** The one before goes on for a moment: what it writes does not count, what it pushes is known. */
  #runZombie(): void {
    const zombie = this.#zombie;
    this.#zombie = undefined;
    for (const effect of zombie?.effects ?? []) {
      this.outside.saw('effects of leaders deposed');
      if (isOutgoing(effect) && effect.kind !== 'place') this.#carryOut(effect, zombie?.life ?? 0);
      if (effect.kind !== 'journal') continue;
      this.outside.append(effect.text);
      this.#isDisturbed = true;
      return;
    }
  }

  /** One input, its effects, and the report of what was done. */
  #do(input: Input): void {
    const leader = this.#leader as Leader;
    this.steps++;
    const effects = leader.planner.step(input);
    const reports = this.#perform(this.options.reorder?.(effects) ?? effects, input, leader);
    this.#mayDie();
    if (reports.length > 0) this.#do({ kind: 'done', nowMs: this.nowMs, reports });
  }

  #perform(effects: Effect[], input: Input, leader: Leader): Report[] {
    const reports: Report[] = [];
    for (const [at, effect] of effects.entries()) {
      try {
        this.#mayDie();
      } catch (death) {
        if (this.dice.chance(0.3)) this.#zombie = { effects: effects.slice(at), life: leader.life };
        throw death;
      }
      if (effect.kind === 'stop') throw new Wrong(`a leader stops: ${effect.reason}`);
      if (effect.kind === 'wakeAt') leader.wakeAtMs = effect.atMs;
      if (effect.kind === 'journal') this.#write(effect, effects, input);
      if (!isOutgoing(effect)) continue;
      if (effect.kind === 'place') this.#ask(effect);
      else reports.push(this.#carryOut(effect, leader.life));
    }
    return reports;
  }

  #write(entry: Effect & { kind: 'journal' }, effects: Effect[], input: Input): void {
    if (this.outside.append(entry.text) !== entry.position) {
      if (!this.#isDisturbed) throw new Wrong('a leader expected another position');
      this.outside.saw('leaders who stop because somebody else wrote');
      throw new Death();
    }
    this.outside.saw('journal entries');
    const isLast = effects.findLast(({ kind }) => kind === 'journal') === entry;
    if (isLast) this.checks.decided(input, effects.filter(isOutgoing), this.plans);
  }

  /** Mostly the dispatchers answer at once. */
  #ask({ id, schedule }: Outgoing & { kind: 'place' }): void {
    const laterMs = this.dice.chance(0.7) ? 0 : this.dice.between(1, 10_000);
    const atMs = this.nowMs + laterMs;
    const at = this.#places.findIndex((other) => other.atMs > atMs);
    this.#places.splice(at < 0 ? this.#places.length : at, 0, { atMs, schedule, id });
  }

  #carryOut(out: Exclude<Outgoing, { kind: 'place' }>, life: number): Report {
    const { id, schedule } = out;
    if (out.kind === 'replace') this.outside.kill(out.jobs, this.nowMs);
    else {
      this.checks.pushed(out);
      return { id, schedule, ...this.outside.push(out, life, this.nowMs) };
    }
    return { id, schedule };
  }

  // --- nodes --------------------------------------------------------------------------------------

  #planNodes(): void {
    const { dice, outside } = this;
    for (let i = 0; i < NODES; i++) {
      const node = `n${i}`;
      const tags = dice.chance(0.3) ? TAGS : [dice.pick(TAGS)];
      for (let atMs = YEAR_START_MS; atMs < YEAR_END_MS; ) {
        this.#moves.push({ atMs, move: () => outside.nodes.set(node, tags) });
        atMs += dice.between(1, 40 * 24) * HOUR_MS;
        const goneMs = atMs;
        this.#moves.push({ atMs, move: () => outside.nodeGoes(node, goneMs) });
        atMs += dice.between(1, 30 * 24) * HOUR_MS;
      }
    }
    this.#moves.sort((a, b) => b.atMs - a.atMs);
  }

  // --- people -------------------------------------------------------------------------------------

  #planPeople(): void {
    const { dice } = this;
    const names = [...this.plans.keys()];
    const someTime = (): number => dice.between(YEAR_START_MS + HOUR_MS, YEAR_END_MS - HOUR_MS);
    for (let i = 0; i < names.length / 5; i++) {
      const schedule = dice.pick(names);
      const request = `request ${i}`;
      this.#people.push({ atMs: someTime(), act: () => this.#trigger(schedule, request) });
      this.#people.push({ atMs: someTime(), act: () => this.#resume(dice.pick(names)) });
      const paused = dice.pick(names);
      const atMs = someTime();
      this.#people.push({ atMs, act: () => this.#pause(paused, 'holiday') });
      const untilMs = atMs + dice.between(1, 500) * HOUR_MS;
      this.#people.push({ atMs: untilMs, act: () => this.#pause(paused, undefined) });
    }
    const endless = names.filter((name) => isEndless(this.plans.get(name) as Plan));
    for (let i = 0; i < 20; i++)
      this.#people.push({
        atMs: someTime(),
        act: () => this.#backfill(dice.pick(endless), `b${i}`),
      });
    this.#people.sort((a, b) => b.atMs - a.atMs);
  }

  #trigger(schedule: string, request: string): Input {
    // Whoever gets no answer asks again.
    if (this.dice.chance(0.5) && request !== '')
      this.#people.push({
        atMs: this.nowMs + 1,
        act: () => ({ kind: 'triggered', nowMs: this.nowMs, schedule, request }),
      });
    return { kind: 'triggered', nowMs: this.nowMs, schedule, request };
  }

  #resume(schedule: string): Input {
    return { kind: 'resumed', nowMs: this.nowMs, schedule };
  }

  #pause(name: string, paused: string | undefined): Input {
    const plan = this.plans.get(name) as Plan;
    this.plans.set(name, { ...plan, spec: { ...plan.spec, paused } });
    return this.#configured();
  }

  #backfill(schedule: string, id: string): Input {
    const fromMs = YEAR_START_MS + this.dice.between(0, 300) * 24 * HOUR_MS;
    const toMs = fromMs + 10 * 24 * HOUR_MS;
    return { kind: 'backfill', nowMs: this.nowMs, schedule, id, fromMs, toMs, concurrency: 3 };
  }
}

type Report = { schedule: string } & RunReport;

const isEndless = ({ spec }: Plan): boolean => spec.end === undefined && spec.after === undefined;

function isOutgoing(effect: Effect): effect is Outgoing {
  return ['place', 'fire', 'skipped', 'replace'].includes(effect.kind);
}
