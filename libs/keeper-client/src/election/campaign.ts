import { sleep, toBusError } from '@malabar/core';
import { acquire } from './acquire.js';
import type { Claim, ElectionEnvironment, Holding } from './holding.js';

const FAILED_MS = 1_000;

export interface CampaignOptions {
  name: string;
  /** Unique to the life of a process; default is. */
  holder?: string;
  /** How long others wait for a leader that is gone; default 10 s. */
  ttlMs?: number;
  /**
   * The leader's work: ends soon after the signal aborts, and before it does nobody else begins
   * here. Whatever it changes elsewhere goes with the token, so that a later leader's is greater.
   * One that throws gives up, and the campaign goes on; one that returns leads on.
   */
  onElected(token: number, signal: AbortSignal): void | Promise<void>;
  /** It leads no more, for this reason. */
  onLost?(reason: string): void;
}

/** A candidate for as long as the program wants. */
export interface Campaign {
  /** Its token while it leads at this very moment, else 0. */
  readonly token: number;
  /** Gives up what it holds and ends. Resolves when the leader's work has ended. */
  stop(): Promise<void>;
}

/** Begins at once and ends when it is stopped. */
export function startCampaign(
  { onElected, onLost = () => {} }: CampaignOptions,
  environment: ElectionEnvironment & { claim: Claim },
): Campaign {
  const { clock, random, log, claim } = environment;
  const stopping = new AbortController();
  const { signal } = stopping;
  let holding: Holding | undefined;

  async function run(): Promise<void> {
    while (!signal.aborted) {
      holding = await acquire({ ...environment, signal });
      if (holding === undefined) continue;
      await lead(holding);
      holding = undefined;
    }
  }

  async function lead(held: Holding): Promise<void> {
    const { name } = claim;
    log.info({ name, token: held.token }, 'elected');
    const work = (async () => onElected(held.token, held.signal))().then(
      () => undefined,
      toBusError,
    );
    // Work that is done leaves the leader in place; work that fails does not.
    const failed = work.then((error) => (error ? undefined : over(held.signal)));
    await Promise.race([failed, over(held.signal, signal)]);
    const lost = held.signal.aborted ? toBusError(held.signal.reason).message : undefined;
    held.giveUp();
    const error = await work;
    if (lost === undefined) await held.release();
    else {
      log.warn({ name, token: held.token, reason: lost }, 'leads no more');
      onLost(lost);
    }
    if (error === undefined || signal.aborted) return;
    log.error({ name, err: error }, 'what the leader does has failed');
    await sleep(clock, FAILED_MS * (0.5 + random()), signal);
  }

  const ended = run();
  return {
    get token() {
      return holding?.held ? holding.token : 0;
    },
    stop() {
      stopping.abort();
      return ended;
    },
  };
}

/** Resolves when one of the signals has aborted. */
function over(...signals: AbortSignal[]): Promise<void> {
  const either = AbortSignal.any(signals);
  return new Promise((resolve) => {
    if (either.aborted) resolve();
    else either.addEventListener('abort', () => resolve(), { once: true });
  });
}
