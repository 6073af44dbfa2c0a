import { BusError, type Clock, reconnectDelayMs, sleep, toBusError } from '@malabar/core';
import type { Backend, Transaction } from '../backend.js';

/** A caller waits for 30 s as a rule, and one more attempt may last some seconds. */
const UNCERTAIN_MS_MAX = 12_000;

/** A transaction that leaves a proof: it can be found out whether it has happened. */
export interface ProvenTransaction extends Transaction {
  /** A key that this transaction puts and no other one ever does. */
  proof: string;
}

/** The revision of the commit, or undefined if a condition did not hold: then nothing has happened. */
export type Commit = (transaction: ProvenTransaction) => Promise<number | undefined>;

/**
 * Commits until it is known whether it happened. A commit whose answer was lost is tried again: its
 * condition holds only once, and when it does not hold any more the proof says whose doing that was.
 * Throws UNAVAILABLE if the backend stays silent, for some twelve seconds.
 */
export function createCommit(backend: Backend, clock: Clock, random: () => number): Commit {
  return async (transaction) => {
    const startMs = clock.now();
    for (let attempt = 0; ; attempt++) {
      try {
        const revision = await backend.commit(transaction);
        if (revision !== undefined || attempt === 0) return revision;
        return (await backend.get(transaction.proof))?.revision;
      } catch (error) {
        if (!isUncertain(error)) throw error;
        if (clock.now() - startMs >= UNCERTAIN_MS_MAX) throw unknownOutcome(error);
        await sleep(clock, reconnectDelayMs(attempt, random));
      }
    }
  };
}

function isUncertain(error: unknown): boolean {
  const { code } = toBusError(error);
  return code === 'UNAVAILABLE' || code === 'TIMEOUT';
}

function unknownOutcome(cause: unknown): BusError {
  const message =
    'the backend of the keeper does not answer: nobody knows yet whether this was done; look before you try again';
  return new BusError('UNAVAILABLE', message, { cause });
}
