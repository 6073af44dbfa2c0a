import { createSchedule } from '@malabar/schedule';
import { DueHeap } from '../core/heap.js';
import { foldJournal, type JournalLine } from '../core/journal.js';
import { ScheduleLife } from '../core/life.js';
import { type Effect, type Input, Planner } from '../core/planner.js';
import type { ScheduleRecord } from '../core/record.js';
import type { YearOptions } from './world.suite.js';

/** A scheduler with one fault that must not stay unnoticed. */
export interface Mutant {
  /** What it does wrong. */
  name: string;
  sabotage?: Partial<YearOptions>;
  /** Changes what all share; returns the way back. */
  arm?: () => () => void;
}

/** A leader that loads records which are not as they were written. */
function loading(change: (record: ScheduleRecord) => void): Partial<YearOptions> {
  return {
    fold: (lines) => {
      const journal = foldJournal(lines);
      for (const record of journal.records.values()) change(record);
      return journal;
    },
  };
}

/** A leader that takes every line of the journal for true, whoever wrote it. */
function believingAll(lines: Iterable<JournalLine>): ReturnType<typeof foldJournal> {
  const all = [...lines].map(({ position, text }) => ({
    position,
    text: JSON.stringify({ ...JSON.parse(text), token: 1, sequence: position }),
  }));
  return foldJournal(all);
}

/** A planner whose steps come to something else. */
function stepping(change: (effects: Effect[], input: Input) => Effect[]): Partial<YearOptions> {
  return {
    planner: (options) => {
      const planner = new Planner(options);
      return { step: (input) => change(planner.step(input), input) };
    },
  };
}

function replacing<T extends object, K extends keyof T>(
  prototype: T,
  method: K,
  replace: (original: T[K]) => unknown,
): () => () => void {
  return () => {
    const original = prototype[method];
    prototype[method] = replace(original) as T[K];
    return () => {
      prototype[method] = original;
    };
  };
}

const journalLast = (effects: Effect[]): Effect[] => {
  const journal = effects.filter(({ kind }) => kind === 'journal');
  return [...effects.filter(({ kind }) => kind !== 'journal'), ...journal];
};

/** The key of a fire belongs to the leader that makes it. */
function ownKeys(): Partial<YearOptions> {
  return {
    planner: (options) => {
      const planner = new Planner(options);
      const own = (key: string) => `${key} ${options.token}`;
      return {
        step: (input) =>
          planner.step(input).map((effect) => {
            if (effect.kind !== 'fire' || effect.reason !== 'timetable') return effect;
            return { ...effect, idempotencyKey: own(effect.idempotencyKey) };
          }),
      };
    },
  };
}

export const mutants: Mutant[] = [
  { name: 'it fires before the journal knows', sabotage: { reorder: journalLast } },
  { name: 'it believes a leader that was deposed', sabotage: { fold: believingAll } },
  { name: 'idempotency keys differ from leader to leader', sabotage: ownKeys() },
  {
    name: 'a new leader does not repeat what may not have been done',
    sabotage: stepping((effects, { kind }) =>
      kind === 'configured' ? effects.filter((effect) => effect.kind !== 'fire') : effects,
    ),
  },
  {
    name: 'a new leader does not know what still runs',
    sabotage: loading((record) => {
      record.runs = [];
    }),
  },
  {
    name: 'a new leader counts the times from the beginning',
    sabotage: loading((record) => {
      record.fired = 0;
    }),
  },
  {
    name: 'a new leader forgets what waits',
    sabotage: loading((record) => {
      record.waiting = [];
    }),
  },
  {
    name: 'a new leader forgets delays',
    sabotage: loading((record) => {
      record.delayed = [];
    }),
  },
  {
    name: 'a new leader forgets which parents have ended',
    sabotage: loading((record) => {
      record.heard = [];
    }),
  },
  {
    name: 'a new leader forgets failures',
    sabotage: loading((record) => {
      record.failures = 0;
      record.paused = undefined;
    }),
  },
  {
    name: 'what was missed fires however late it is',
    sabotage: { planner: ({ token }) => new Planner({ token, misfireAfterMs: Infinity }) },
  },
  {
    name: 'times that clocks skip are lost',
    sabotage: { create: (spec) => createSchedule({ ...spec, clocks: { gap: 'skip' } }) },
  },
  {
    name: 'times that clocks show twice fire twice',
    sabotage: { create: (spec) => createSchedule({ ...spec, clocks: { overlap: 'twice' } }) },
  },
  {
    name: 'a pause does not hold',
    sabotage: { create: (spec) => createSchedule({ ...spec, paused: undefined }) },
  },
  {
    name: 'two runs at once where one is allowed',
    sabotage: {
      create: (spec) => {
        const schedule = createSchedule(spec);
        return schedule.overlap.kind === 'skip'
          ? { ...schedule, overlap: { kind: 'allow', max: 2 } }
          : schedule;
      },
    },
  },
  {
    name: 'an outcome that comes twice counts twice',
    arm: replacing(ScheduleLife.prototype, 'ended', (original) => {
      return function (this: ScheduleLife, ...[ending, step]: Parameters<typeof original>) {
        const run = this.record.runs.find(({ runId }) => runId === ending.runId);
        const told = original.call(this, ending, step);
        if (run !== undefined) this.record.runs.push(run);
        return told;
      };
    }),
  },
  {
    name: 'a follower hears of some runs only',
    arm: replacing(ScheduleLife.prototype, 'parentEnded', (original) => {
      return function (this: ScheduleLife, ...[parent, step]: Parameters<typeof original>) {
        if (!parent.runId.startsWith('0')) original.call(this, parent, step);
      };
    }),
  },
  {
    name: 'the next leader takes other nodes for the same fire',
    sabotage: loading((record) => {
      for (const out of record.outbox) if (out.kind === 'fire') out.nodes = out.nodes?.slice(1);
    }),
  },
  {
    name: 'the next leader does not ask again which nodes are there',
    sabotage: loading((record) => {
      record.outbox = record.outbox.filter(({ kind }) => kind !== 'place');
    }),
  },
  {
    name: 'each node believes that it is another one of them',
    sabotage: stepping((effects) =>
      effects.map((effect) =>
        effect.kind === 'fire' ? { ...effect, nodes: effect.nodes?.toReversed() } : effect,
      ),
    ),
  },
  {
    name: 'a run on many nodes ends with its first part',
    arm: replacing(ScheduleLife.prototype, 'ended', (original) => {
      return function (this: ScheduleLife, ...[ending, step]: Parameters<typeof original>) {
        const run = this.record.runs.find(({ runId }) => runId === ending.runId);
        run?.parts?.splice(1);
        if (run?.parts?.[0] !== undefined) run.parts[0].node = ending.node ?? '';
        return original.call(this, ending, step);
      };
    }),
  },
  {
    name: 'a part that fails is as good as any',
    arm: replacing(ScheduleLife.prototype, 'ended', (original) => {
      return function (this: ScheduleLife, ...[ending, step]: Parameters<typeof original>) {
        const status = ending.node === undefined ? ending.status : 'done';
        return original.call(this, { ...ending, status }, step);
      };
    }),
  },
  {
    name: 'some fires are a millisecond late',
    arm: replacing(DueHeap.prototype, 'set', (original) => {
      return function (this: DueHeap<unknown>, item: unknown, dueMs: number) {
        original.call(this, item, dueMs % 7_000 === 0 ? dueMs + 1 : dueMs);
      };
    }),
  },
];
