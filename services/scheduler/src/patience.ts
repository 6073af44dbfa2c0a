import { BusError, type Clock, reconnectDelayMs, sleep, toBusError } from '@malabar/core';
import type { Logger } from '@malabar/telemetry';

const RETRY_MS_MIN = 50;
const RETRY_MS_MAX = 2_000;
/** Another process may hear of a release a little later than this one. */
const RELEASE_SPREAD_MS = 10_000;

export interface PatienceOptions {
  clock: Clock;
  random: () => number;
  log: Logger;
  /** Ends all waiting. */
  signal: AbortSignal;
}

/** Tries again what may work later, for as long as this leader leads. */
export class Patience {
  constructor(private readonly options: PatienceOptions) {}

  get log(): Logger {
    return this.options.log;
  }

  /** The first result. Throws what no waiting helps against, or UNAVAILABLE once it leads no more. */
  async until<T>(what: string, attempt: () => Promise<T>): Promise<T> {
    const { clock, random, log, signal } = this.options;
    const startedAtMs = clock.now();
    for (let failures = 0; ; failures++) {
      if (signal.aborted) throw new BusError('UNAVAILABLE', `it leads no more before ${what}`);
      try {
        const result = await attempt();
        if (failures > 0) log.info({ failures }, `${what} at last`);
        return result;
      } catch (thrown) {
        const error = toBusError(thrown);
        if (!mayHelp(error, clock.now() - startedAtMs)) throw error;
        const level = failures === 3 ? 'warn' : 'debug';
        log[level]({ code: error.code, reason: error.message }, `not yet: ${what}`);
      }
      await sleep(clock, reconnectDelayMs(failures, random, RETRY_MS_MIN, RETRY_MS_MAX), signal);
    }
  }
}

/** Whether no waiting helps against an error, however short it has been. */
export const isForGood = (error: BusError): boolean => !mayHelp(error, 0);

function mayHelp({ code, retryable }: BusError, waitedMs: number): boolean {
  return retryable || (/^UNKNOWN_/.test(code) && waitedMs < RELEASE_SPREAD_MS);
}
