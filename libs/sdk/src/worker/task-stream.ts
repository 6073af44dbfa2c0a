import type { dispatcher } from '@malabar/contracts';
import { BusError, type Clock, reconnectDelayMs, sleep, toBusError } from '@malabar/core';
import type { Client } from '@malabar/rpc';
import type { MalabarError } from '../errors.js';
import type { Log } from '../log.js';
import { Attempts } from './attempts.js';
import type { JobFacts } from './job-facts.js';
import { Session } from './session.js';
import type { Verdict } from './verdict.js';

const RECONNECT_MS_MIN = 100;
const RECONNECT_MS_MAX = 2_000;
/** What the bus may take to end its side of a stream that we have ended. */
const FAREWELL_MS = 5_000;
/** One that ends at once again and again is no better than one that is not there. */
const STANDS_MS = 2_000;

/** What goes on is said again now and then. */
const REPEATED_EVERY = 30;

/** What somebody has to mend: trying again helps nobody. */
const LASTING: readonly string[] = [
  'UNAUTHENTICATED',
  'WRONG_PASSWORD',
  'FORBIDDEN',
  'INVALID',
  'UNSUPPORTED',
];

export interface TaskStreamOptions {
  /** `queue/topic`. */
  path: string;
  password: string | undefined;
  /** How the worker is called in attempt histories. */
  name: string;
  concurrency: number;
  timeoutMs: number;
  client: Client<typeof dispatcher.WorkerServiceDefinition>;
  run(facts: JobFacts): Promise<Verdict>;
  onHung(error: MalabarError): void;
  /** The bus has no such topic. Throws if that is no state to wait in. */
  onMissing(error: BusError): void;
  clock: Clock;
  random: () => number;
  log: Log;
}

/** Serves one task: one stream at a time, opened again whenever it ends, until it is stopped. */
export class TaskStream {
  readonly #options: TaskStreamOptions;
  readonly #attempts: Attempts;
  readonly #stop = new AbortController();
  #session: Session | undefined;
  #ended: Promise<unknown> = Promise.resolve();
  #failures = 0;

  constructor(options: TaskStreamOptions) {
    this.#options = options;
    this.#attempts = new Attempts(options);
  }

  /** Handlers at work. */
  get running(): number {
    return this.#attempts.running;
  }

  /** Resolves when it was stopped; throws a BusError that somebody has to mend. */
  async run(): Promise<void> {
    const { clock, random } = this.#options;
    while (!this.#stop.signal.aborted) {
      const openedAtMs = clock.now();
      const ended = this.#open();
      this.#ended = ended;
      const error = await ended;
      if (this.#stop.signal.aborted) return;
      if (clock.now() - openedAtMs > STANDS_MS) this.#failures = 0;
      this.#judge(error);
      const pauseMs = reconnectDelayMs(
        this.#failures++,
        random,
        RECONNECT_MS_MIN,
        RECONNECT_MS_MAX,
      );
      await sleep(clock, pauseMs, this.#stop.signal);
    }
  }

  /** Takes nothing more, lets what runs end, tells the bus, and leaves. */
  async stop(drainMs: number): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    const session = this.#session;
    session?.leave();
    await this.#attempts.stop(drainMs);
    session?.end();
    const cancel = this.#options.clock.after(FAREWELL_MS, () => session?.cut());
    await this.#ended;
    cancel();
  }

  /** Resolves with why the stream has ended. */
  async #open(): Promise<BusError> {
    const { client, path: topic, password = '', name: worker, concurrency, clock } = this.#options;
    const session = new Session({
      client,
      hello: { topic, password, worker, capacity: concurrency },
      clock,
      onHeld: (held) => this.#attempts.take(held),
      onLost: (held) => this.#attempts.lose(held),
    });
    this.#session = session;
    try {
      await session.run();
      return new BusError('UNAVAILABLE', 'the bus has ended the stream');
    } catch (thrown) {
      return toBusError(thrown);
    } finally {
      this.#session = undefined;
    }
  }

  #judge(error: BusError): void {
    const { path: topic, onMissing, log } = this.#options;
    if (error.code === 'UNKNOWN_TOPIC') {
      onMissing(error);
      return;
    }
    if (LASTING.includes(error.code)) throw error;
    if (this.#failures % REPEATED_EVERY !== 0) return;
    log.warn({ topic, reason: error.message }, 'no stream to the bus; connecting again');
  }
}
