import { BusError, type Clock, toBusError } from '@malabar/core';
import type { KeeperServices } from '../connection.js';
import type { KeeperClientLog } from '../log.js';

const RELEASE_TIMEOUT_MS = 1_000;

export interface ElectionEnvironment {
  client: KeeperServices['election'];
  clock: Clock;
  /** Milliseconds of a clock that nobody sets, from any begin. */
  monotonic: () => number;
  random: () => number;
  log: KeeperClientLog;
}

/** What is held, and by whom. */
export interface Claim {
  name: string;
  holder: string;
  ttlMs: number;
}

/**
 * A name that is held. It counts as held only until a margin before the end of the lease, as it was
 * when the last renewal that succeeded was sent: a keeper that gives the name to somebody else does
 * so later than that.
 */
export class Holding {
  readonly token: number;
  readonly #environment: ElectionEnvironment;
  readonly #claim: Claim;
  readonly #over = new AbortController();
  #untilMs: number;
  #cancelEnd: () => void = () => {};
  #cancelRenewal: () => void = () => {};

  /** `sentAtMs`: when the call was sent that got it, by the monotonic clock. */
  constructor(environment: ElectionEnvironment, claim: Claim, token: number, sentAtMs: number) {
    this.token = token;
    this.#environment = environment;
    this.#claim = claim;
    this.#untilMs = this.#endOf(sentAtMs);
    this.#prolong(sentAtMs);
    this.#renewIn(claim.ttlMs / 3);
  }

  /** Aborted when the name is not held any more, with the reason. */
  get signal(): AbortSignal {
    return this.#over.signal;
  }

  /** Whether it is held at this very moment, even if the process slept over the end. */
  get held(): boolean {
    return !this.signal.aborted && this.#environment.monotonic() < this.#untilMs;
  }

  /** Holds it no more here; the others learn of it by `release` or by the lease's end. */
  giveUp(): void {
    this.#end(new BusError('STALE_LEASE', `${this.#claim.name} was given up`));
  }

  /** Gives up; the next one may have it at once. */
  async release(): Promise<void> {
    this.giveUp();
    const { name, holder } = this.#claim;
    const holding = { name, holder, token: this.token };
    const call = this.#environment.client.release(holding, { timeoutMs: RELEASE_TIMEOUT_MS });
    // Whoever does not hear it finds out by the lease's end.
    await call.catch(() => undefined);
  }

  #endOf(sentAtMs: number): number {
    const { ttlMs } = this.#claim;
    return sentAtMs + ttlMs - Math.max(100, ttlMs / 10);
  }

  #prolong(sentAtMs: number): void {
    this.#untilMs = this.#endOf(sentAtMs);
    this.#cancelEnd();
    const leftMs = this.#untilMs - this.#environment.monotonic();
    this.#cancelEnd = this.#environment.clock.after(leftMs, () => this.#end(this.#silence()));
  }

  #renewIn(delayMs: number): void {
    const { clock, random } = this.#environment;
    this.#cancelRenewal = clock.after(delayMs * (0.9 + 0.1 * random()), () => void this.#renew());
  }

  async #renew(): Promise<void> {
    const { client, monotonic } = this.#environment;
    const { name, holder, ttlMs } = this.#claim;
    const sentAtMs = monotonic();
    const options = { timeoutMs: ttlMs / 3, signal: this.signal };
    try {
      await client.renew({ name, holder, token: this.token }, options);
      if (!this.held) return this.#end(this.#silence());
      this.#prolong(sentAtMs);
      this.#renewIn(ttlMs / 3);
    } catch (thrown) {
      const error = toBusError(thrown);
      if (error.code === 'STALE_LEASE') this.#end(error);
      else if (!this.signal.aborted) this.#renewIn(ttlMs / 20);
    }
  }

  #silence(): BusError {
    const { name } = this.#claim;
    return new BusError('STALE_LEASE', `no keeper has renewed ${name} in time`);
  }

  #end(reason: BusError): void {
    this.#cancelEnd();
    this.#cancelRenewal();
    if (!this.signal.aborted) this.#over.abort(reason);
  }
}
