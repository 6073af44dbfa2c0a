import type { sync } from '@malabar/contracts';
import { BusError, Channel, type Clock } from '@malabar/core';
import { type KeeperServices, stayConnected } from '../connection.js';
import type { KeeperClientLog } from '../log.js';

/** Until the keeper says how often it speaks. */
const FIRST_PERIOD_MS = 5_000;

export interface SyncStreamOptions {
  client: KeeperServices['sync'];
  clock: Clock;
  random: () => number;
  log: KeeperClientLog;
  /** Said whenever a stream opens. */
  hello(): sync.Hello;
  /** A stream stands: nothing has been reported on it. */
  onOpen(keeperId: string): void;
  /** The stream has ended, by itself or for a new one. */
  onEnd(): void;
  /** Answers, if there is something to answer. */
  onNotice(notice: sync.Notice): void;
  onDenied(denied: sync.Denied): void;
}

/** One stream to whichever keeper answers; opened again, elsewhere, when it breaks or falls silent. */
export class SyncStream {
  readonly #options: SyncStreamOptions;
  readonly #stopping = new AbortController();
  #requests: Channel<sync.SyncRequest> | undefined;
  #cut: ((reason: Error) => void) | undefined;
  #restarting = false;

  constructor(options: SyncStreamOptions) {
    this.#options = options;
    const { clock, random, log } = options;
    const environment = { what: 'configuration', clock, random, log };
    void stayConnected({ ...environment, signal: this.#stopping.signal }, async (connected) => {
      do {
        this.#restarting = false;
        await this.#follow(connected);
      } while (this.#restarting && !this.#stopping.signal.aborted);
    });
  }

  /** Without a stream it is not sent: the next hello says what there is to say. */
  send(message: sync.SyncRequest['message']): void {
    this.#requests?.push({ message });
  }

  /** What hello said is no longer true: says it anew, on a new stream. */
  restart(): void {
    if (this.#cut === undefined) return;
    this.#restarting = true;
    this.#cut(new Error('there is more to say hello with'));
  }

  stop(): void {
    this.#stopping.abort();
    this.#requests?.end();
  }

  async #follow(connected: () => void): Promise<void> {
    const requests = new Channel<sync.SyncRequest>();
    const cutting = new AbortController();
    this.#cut = (reason) => cutting.abort(reason);
    this.#requests = requests;
    requests.push({ message: { $case: 'hello', value: this.#options.hello() } });
    const signal = AbortSignal.any([this.#stopping.signal, cutting.signal]);
    const silence = new SilenceGuard(this.#options.clock, this.#cut);
    try {
      for await (const { message } of this.#options.client.sync(requests, { signal })) {
        silence.heard();
        if (message?.$case === 'welcome') {
          silence.expectEvery(message.value.reconcileMs);
          connected();
        }
        this.#take(message);
      }
    } catch (error) {
      if (!this.#restarting) throw silence.broken ?? error;
    } finally {
      silence.stop();
      this.#cut = undefined;
      this.#requests = undefined;
      requests.end();
      this.#options.onEnd();
    }
  }

  #take(message: sync.SyncResponse['message']): void {
    if (message?.$case === 'welcome') this.#options.onOpen(message.value.keeperId);
    else if (message?.$case === 'notice') this.#options.onNotice(message.value);
    else if (message?.$case === 'denied') this.#options.onDenied(message.value);
  }
}

/** Cuts a stream on which nothing has come for two periods. */
class SilenceGuard {
  broken: BusError | undefined;
  #heardAtMs: number;
  #periodMs = FIRST_PERIOD_MS;
  #cancel: () => void = () => {};

  constructor(
    private readonly clock: Clock,
    private readonly cut: (reason: Error) => void,
  ) {
    this.#heardAtMs = clock.now();
    this.#watch(2 * this.#periodMs);
  }

  heard(): void {
    this.#heardAtMs = this.clock.now();
  }

  expectEvery(periodMs: number): void {
    this.#periodMs = periodMs;
    this.#watch(2 * periodMs);
  }

  stop(): void {
    this.#cancel();
  }

  // One timer a period, not one a message.
  #watch(delayMs: number): void {
    this.#cancel();
    this.#cancel = this.clock.after(delayMs, () => {
      const leftMs = this.#heardAtMs + 2 * this.#periodMs - this.clock.now();
      if (leftMs > 0) return this.#watch(leftMs);
      const message = `the keeper has said nothing for ${2 * this.#periodMs} ms`;
      this.broken = new BusError('UNAVAILABLE', message);
      this.cut(this.broken);
    });
  }
}
