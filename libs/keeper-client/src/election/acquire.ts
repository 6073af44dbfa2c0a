import { reconnectDelayMs, sleep, toBusError } from '@malabar/core';
import { type Claim, type ElectionEnvironment, Holding } from './holding.js';

const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 2_000;
/** Those who wait for a name do not all ask in the same moment. */
const SPREAD_MS = 50;

export interface AcquireOptions extends ElectionEnvironment {
  claim: Claim;
  /** Ends the waiting. */
  signal: AbortSignal;
}

/** Waits until the name is held; undefined if the signal aborted before. */
export async function acquire(options: AcquireOptions): Promise<Holding | undefined> {
  const { client, clock, monotonic, random, claim, log, signal } = options;
  let failures = 0;
  while (!signal.aborted) {
    const sentAtMs = monotonic();
    try {
      const { token } = await client.acquire(claim, { timeoutMs: claim.ttlMs / 2, signal });
      if (failures > 0) log.info({ name: claim.name }, 'the keeper is back');
      failures = 0;
      if (token === 0) await vacant(options);
      else {
        const holding = new Holding(options, claim, token, sentAtMs);
        if (holding.held && !signal.aborted) return holding;
        // The answer came too late for this time to live, or nobody waits for it any more.
        await holding.release();
      }
    } catch (thrown) {
      if (signal.aborted) break;
      const { message: reason, retryable } = toBusError(thrown);
      const level = failures > 0 ? 'debug' : retryable ? 'warn' : 'error';
      log[level]({ name: claim.name, reason }, 'the keeper cannot be asked; nobody leads here');
      await sleep(clock, reconnectDelayMs(failures++, random, RETRY_MS_MIN, RETRY_MS_MAX), signal);
    }
  }
  return undefined;
}

/** Waits until the name may be free: the keeper says so, or the time of a lease has passed. */
async function vacant({ client, clock, random, claim, signal }: AcquireOptions): Promise<void> {
  const enough = new AbortController();
  const either = AbortSignal.any([signal, enough.signal]);
  const told = (async () => {
    const changes = client.observe({ name: claim.name }, { signal: either });
    for await (const { holder } of changes) if (holder === '') return;
  })();
  // A keeper that cannot tell is asked again after a while.
  const patience = sleep(clock, claim.ttlMs * (0.5 + 0.5 * random()), either);
  await Promise.race([told.catch(() => patience), patience]);
  enough.abort();
  await sleep(clock, SPREAD_MS * random(), signal);
}
