import { parentsOf, scheduleSpecs } from '@malabar/config';
import type { keeper, scheduler } from '@malabar/contracts';
import { BusError, type Clock } from '@malabar/core';
import type { Campaign, KeeperClient } from '@malabar/keeper-client';
import { createSchedule } from '@malabar/schedule';
import type { Logger } from '@malabar/telemetry';
import { JournalStore, type StorageClient } from './journal-store.js';
import { type Configured, Leader, type RunEnded, type Schedules, type Wish } from './leader.js';
import type { SchedulerMetrics } from './metrics.js';
import { Outbox } from './outbox.js';
import { Patience } from './patience.js';
import { followResults } from './results-feed.js';
import { pollRuns } from './run-poll.js';
import { statusOf } from './status.js';
import { type IngestClient, Submitter } from './submitter.js';

/** How long others wait for a leader that is gone. */
const TTL_MS = 5_000;
export const ELECTION = 'scheduler';

export interface SchedulerOptions {
  ingest: IngestClient;
  storage: StorageClient;
  election: KeeperClient['election'];
  /** Unique to the life of this process. */
  holder: string;
  /** Ends a run whose place another one takes. */
  endRun(run: { queue: string; job: string }, signal: AbortSignal): Promise<void>;
  /** The nodes on which commands of a schedule run now; `queue`: where their jobs come from. */
  nodesFor(broadcast: keeper.Broadcast, queue: string, signal: AbortSignal): Promise<string[]>;
  clock: Clock;
  random: () => number;
  log: Logger;
  metrics: SchedulerMetrics;
}

/** A candidate for firing, and what is known of the schedules. */
export class Scheduler {
  #schedules: Schedules = new Map();
  #configured = false;
  #leader: Leader | undefined;
  #campaign: Campaign | undefined;
  #onSchedules: () => void = () => {};

  constructor(private readonly options: SchedulerOptions) {}

  get schedules(): Schedules {
    return this.#schedules;
  }

  /** Why it cannot serve; a standby can. */
  notReady(): string[] {
    return this.#configured ? [] : ['no configuration from the keeper yet'];
  }

  get leads(): boolean {
    return this.#leader !== undefined;
  }

  /** The system that owns a schedule. */
  readonly systemOf = (name: string): string => this.#schedules.get(name)?.config.system ?? '';

  /** Takes a release over; with the first one it begins to campaign. */
  configure({ schedules }: Pick<keeper.BusConfig, 'schedules'>): void {
    const specs = scheduleSpecs(schedules);
    const made = schedules.map((config, at): [string, Configured] => {
      const before = this.#schedules.get(config.name)?.schedule;
      const schedule = createSchedule(specs[at] as (typeof specs)[number]);
      return [
        config.name,
        { config, schedule: before?.text === schedule.text ? before : schedule },
      ];
    });
    this.#schedules = new Map(made);
    this.#configured = true;
    this.#leader?.configure(this.#schedules);
    this.#onSchedules();
    this.#campaign ??= this.#start();
  }

  status(names: Iterable<string> = this.#schedules.keys()): scheduler.ScheduleStatus[] {
    const nowMs = this.options.clock.now();
    return [...names].flatMap((name) => {
      const configured = this.#schedules.get(name);
      const life = this.#leader?.lives.get(name);
      const lastFire = this.#leader?.lastFire(name);
      return configured === undefined ? [] : [statusOf(configured, { life, lastFire }, nowMs)];
    });
  }

  /** The schedule. Throws NOT_FOUND. */
  require(name: string): Configured {
    const found = this.#schedules.get(name);
    if (found !== undefined) return found;
    throw new BusError('NOT_FOUND', `there is no schedule ${JSON.stringify(name)}`);
  }

  /** A schedule with all its ancestors and descendants. */
  family(name: string): keeper.ScheduleConfig[] {
    const all = [...this.#schedules.values()].map(({ config }) => config);
    const members = new Set([name]);
    for (let before = 0; before !== members.size; ) {
      before = members.size;
      for (const config of all) {
        const parents = parentsOf(config);
        if (members.has(config.name)) for (const parent of parents) members.add(parent);
        else if (parents.some((parent) => members.has(parent))) members.add(config.name);
      }
    }
    return all.filter((config) => members.has(config.name));
  }

  /** Resolves when it is in the journal. Throws UNAVAILABLE if this process does not lead. */
  async wish(wish: Wish): Promise<void> {
    this.require(wish.schedule);
    if (this.#leader !== undefined) return this.#leader.tell(wish);
    throw new BusError('UNAVAILABLE', 'this scheduler does not lead; try again');
  }

  async stop(): Promise<void> {
    await this.#campaign?.stop();
  }

  #start(): Campaign {
    const { election, holder } = this.options;
    return election.campaign({
      name: ELECTION,
      holder,
      ttlMs: TTL_MS,
      onElected: (token, signal) => this.#lead(token, signal),
    });
  }

  async #lead(token: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.#schedules.size === 0) await this.#someSchedules(signal);
      else await this.#leadWhileThereAre(token, signal);
    }
  }

  /** Without schedules there is nothing to lead, and no journal. */
  #someSchedules(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      this.#onSchedules = () => {
        if (this.#schedules.size > 0) resolve();
      };
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  async #leadWhileThereAre(token: number, office: AbortSignal): Promise<void> {
    const over = new AbortController();
    const signal = AbortSignal.any([office, over.signal]);
    this.#onSchedules = () => {
      if (this.#schedules.size === 0) over.abort();
    };
    const { clock, random, log, ingest, storage, metrics } = this.options;
    const submitter = new Submitter({ ingest, clock });
    const patience = new Patience({ clock, random, log, signal });
    const journal = new JournalStore({ submitter, storage, patience });
    const endRun = (run: { queue: string; job: string }) => this.options.endRun(run, signal);
    const nodesFor = (broadcast: keeper.Broadcast, queue: string) =>
      this.options.nodesFor(broadcast, queue, signal);
    const outbox = new Outbox({ submitter, patience, clock, metrics, endRun, nodesFor });
    const onPaused = (): void => metrics.paused();
    const leader = new Leader({ token, signal, journal, outbox, clock, log, onPaused });
    const lives = () => leader.lives;
    const ended = (run: RunEnded) => leader.tell(run);
    const isTold = (name: string) => this.#schedules.get(name)?.config.runs ?? false;
    const stopPolling = pollRuns({ storage, clock, lives, ended, isTold });
    void followResults({ storage, clock, log, signal, ended });
    this.#leader = leader;
    try {
      await leader.lead(this.#schedules);
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      this.#leader = undefined;
      over.abort();
      stopPolling();
      submitter.close();
    }
  }
}
