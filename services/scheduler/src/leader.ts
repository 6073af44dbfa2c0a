import type { keeper } from '@malabar/contracts';
import { BusError, type Clock, toBusError } from '@malabar/core';
import type { Schedule } from '@malabar/schedule';
import type { Logger } from '@malabar/telemetry';
import type { LoadedJournal } from './core/journal.js';
import type { ScheduleLife } from './core/life.js';
import { type Effect, type Input, Planner } from './core/planner.js';
import type { Outgoing } from './core/record.js';
import { Inbox } from './inbox.js';
import type { Outbox, Placed, Sent } from './outbox.js';

/** A schedule as its document says it and as the planner sees it. */
export interface Configured {
  config: keeper.ScheduleConfig;
  schedule: Schedule;
}

export type Schedules = ReadonlyMap<string, Configured>;

/** What people ask for. */
export type Wish = Extract<Input, { kind: 'triggered' | 'backfill' | 'resumed' }>;
/** How a run has ended. */
export type RunEnded = Extract<Input, { kind: 'runEnded' }>;

export interface LeaderOptions {
  /** The fencing token. */
  token: number;
  /** Ends its leading. */
  signal: AbortSignal;
  journal: {
    claim(token: number): Promise<LoadedJournal>;
    append(token: number, position: number, text: string): Promise<void>;
  };
  outbox: Outbox;
  clock: Clock;
  log: Logger;
  onPaused(): void;
}

/** The latest fire of a schedule, as this leader has seen it. */
export interface LastFire {
  nominalMs: number;
  lateMs: number;
}

/**
 * One time of office: everything that happens goes through the planner, one after the other, and what
 * the planner wants is done, the journal first.
 */
export class Leader {
  readonly #planner: Planner;
  readonly #inbox: Inbox;
  readonly #lastFires = new Map<string, LastFire>();
  #schedules: Schedules = new Map();
  #ready = false;

  constructor(private readonly options: LeaderOptions) {
    this.#planner = new Planner({ token: options.token });
    this.#inbox = new Inbox(options);
  }

  /** What is known of each schedule; empty until the journal has been read. */
  get lives(): ReadonlyMap<string, ScheduleLife> {
    return this.#ready ? this.#planner.lives : new Map();
  }

  lastFire(schedule: string): LastFire | undefined {
    return this.#lastFires.get(schedule);
  }

  /** Leads until it is over. Throws when it must not lead any more or cannot. */
  async lead(schedules: Schedules): Promise<void> {
    const { token, signal, journal, clock, log } = this.options;
    const loaded = await journal.claim(token);
    log.info({ token, position: loaded.position, known: loaded.records.size }, 'journal read');
    await this.#step({ kind: 'loaded', nowMs: clock.now(), journal: loaded });
    await this.#configure(schedules);
    this.#ready = true;
    while (!signal.aborted) {
      const next = await this.#inbox.next();
      if (next === undefined) break;
      await next();
    }
  }

  /** Takes a release over. */
  configure(schedules: Schedules): void {
    this.#inbox.put(() => this.#configure(schedules));
  }

  /** Takes in what somebody wants or tells. Resolves when it is in the journal. */
  tell(input: Wish | RunEnded): Promise<void> {
    return new Promise((resolve, reject) => {
      const gone = new BusError('UNAVAILABLE', 'this scheduler leads no more');
      this.#inbox.put(
        async () => {
          await this.#step(input).catch((error) => {
            reject(toBusError(error));
            throw error;
          });
          resolve();
        },
        () => reject(gone),
      );
    });
  }

  async #configure(schedules: Schedules): Promise<void> {
    this.#schedules = schedules;
    const list = [...schedules.values()].map(({ schedule }) => schedule);
    await this.#step({ kind: 'configured', nowMs: this.options.clock.now(), schedules: list });
  }

  async #step(input: Input): Promise<void> {
    const outgoing: Outgoing[] = [];
    for (const effect of this.#planner.step(input)) await this.#carryOut(effect, outgoing);
    // The first configuration repeats what a leader before may have sent.
    if (outgoing.length > 0) this.#send(outgoing, this.#ready);
  }

  async #carryOut(effect: Effect, outgoing: Outgoing[]): Promise<void> {
    const { token, journal, log } = this.options;
    if (effect.kind === 'journal') await journal.append(token, effect.position, effect.text);
    else if (effect.kind === 'stop') throw new BusError('STALE_LEASE', effect.reason);
    else if (effect.kind === 'wakeAt') this.#wakeAt(effect.atMs);
    else if (effect.kind === 'paused') {
      const { schedule, reason } = effect;
      log.warn({ schedule, reason }, 'the schedule has paused itself; resume it when it is mended');
      this.options.onPaused();
    } else outgoing.push(effect);
  }

  #wakeAt(atMs: number): void {
    const { clock } = this.options;
    this.#inbox.putAt(atMs, () => this.#step({ kind: 'tick', nowMs: clock.now() }));
  }

  /** Not waited for: other schedules are due meanwhile. What became of it is told to the planner. */
  #send(outgoing: readonly Outgoing[], isNew: boolean): void {
    const { outbox, clock } = this.options;
    const onSent = (sent: readonly Sent[]): void => {
      for (const one of sent) this.#remember(one);
      this.#inbox.put(() =>
        this.#step({ kind: 'done', nowMs: clock.now(), reports: sent.map(reportOf) }),
      );
    };
    const onPlaced = (placed: Placed): void =>
      this.#inbox.put(() => this.#step({ kind: 'placed', nowMs: clock.now(), ...placed }));
    outbox.send({ outgoing, schedules: this.#schedules, isNew, onSent, onPlaced });
  }

  #remember({ outgoing, lateMs, report }: Sent): void {
    const arrivals = report.parts ?? [report];
    if (outgoing.kind !== 'fire' || arrivals.every(({ refused }) => refused !== undefined)) return;
    const { schedule, nominalMs } = outgoing;
    if (nominalMs >= (this.#lastFires.get(schedule)?.nominalMs ?? 0))
      this.#lastFires.set(schedule, { nominalMs, lateMs });
  }
}

const reportOf = ({ outgoing, report }: Sent) => ({ schedule: outgoing.schedule, ...report });
