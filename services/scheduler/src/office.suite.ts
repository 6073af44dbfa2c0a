import { keeper } from '@malabar/contracts';
import { type BusError, toBusError } from '@malabar/core';
import { createSchedule, type ScheduleSpec } from '@malabar/schedule';
import type { Logger } from '@malabar/telemetry';
import { FakeClock, logToMemory, type MemoryEntry } from '@malabar/testkit';
import { BusDouble } from './bus-double.suite.js';
import { NOW, spec } from './core/bench.suite.js';
import { JournalStore } from './journal-store.js';
import { Leader, type Schedules } from './leader.js';
import { Outbox } from './outbox.js';
import { Patience } from './patience.js';
import { Submitter } from './submitter.js';

export const QUEUE = 'work';

export interface Town {
  clock: FakeClock;
  bus: BusDouble;
}

/** A bus and its time. */
export function newTown(): Town {
  const clock = new FakeClock(NOW);
  return { clock, bus: new BusDouble(clock) };
}

/** Schedules that push their name to `work`. */
export function schedulesOf(...specs: Array<Partial<ScheduleSpec>>): Schedules {
  return new Map(
    specs.map((one, at) => {
      const name = one.name ?? (at === 0 ? 'one' : `s${at}`);
      const job = { queue: QUEUE, body: Buffer.from(name) };
      const config = keeper.ScheduleConfig.fromPartial({ name, job });
      return [name, { config, schedule: createSchedule(spec(one, name)) }];
    }),
  );
}

/** What a leader counts. */
interface Counted {
  fired: number;
  skipped: number;
  refused: string[];
}

/** What a leader works with, on a bus that can fail. */
export class Desk {
  readonly journal: JournalStore;
  readonly outbox: Outbox;
  readonly counted: Counted = { fired: 0, skipped: 0, refused: [] };
  readonly log: MemoryEntry[];
  readonly logger: Logger;
  readonly #leaving = new AbortController();
  readonly #submitter: Submitter;

  constructor({ clock, bus }: Town) {
    const { log, entries } = logToMemory<Logger>();
    this.log = entries;
    this.logger = log;
    const submitter = new Submitter({ ingest: bus.ingest, clock });
    this.#submitter = submitter;
    // A pause is a whole number of milliseconds then, as on a real clock.
    const patience = new Patience({ clock, random: () => 0, log, signal: this.signal });
    this.journal = new JournalStore({ submitter, storage: bus.storage, patience });
    const metrics = {
      fired: () => void this.counted.fired++,
      skipped: () => void this.counted.skipped++,
      refused: (code: string) => void this.counted.refused.push(code),
      paused: () => undefined,
    };
    const ends = { endRun: async () => undefined, nodesFor: async () => ['n1', 'n2', 'n3'] };
    this.outbox = new Outbox({ submitter, patience, clock, metrics, ...ends });
  }

  get signal(): AbortSignal {
    return this.#leaving.signal;
  }

  /** All that waits ends. */
  clear(): void {
    this.#leaving.abort();
    this.#submitter.close();
  }
}

/** One time of office of a leader. */
export class Office {
  readonly leader: Leader;
  /** Why it has ended; undefined if nothing was wrong. */
  readonly over: Promise<BusError | undefined>;
  readonly #desk: Desk;

  constructor(town: Town, token: number, schedules: Schedules) {
    this.#desk = new Desk(town);
    const { journal, outbox, logger: log, signal } = this.#desk;
    const onPaused = (): void => undefined;
    const { clock } = town;
    this.leader = new Leader({ token, signal, journal, outbox, clock, log, onPaused });
    this.over = this.leader.lead(schedules).then(() => undefined, toBusError);
  }

  get counted(): Counted {
    return this.#desk.counted;
  }

  /** It leads no more, and what it waits for ends. */
  async leave(): Promise<BusError | undefined> {
    this.#desk.clear();
    return this.over;
  }
}
