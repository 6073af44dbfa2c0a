import type { discovery } from '@malabar/contracts';
import { type Clock, sleep, toBusError } from '@malabar/core';
import type { KeeperServices } from '../connection.js';
import type { KeeperClientLog } from '../log.js';

const RETRY_MS = 1_000;
const CALL_TIMEOUT_MS = 5_000;
const LEAVE_TIMEOUT_MS = 1_000;

/** What keeps instances known at the keeper. */
export interface Registration {
  /** Ends it: the instances leave at once. Safe to call twice. */
  stop(): Promise<void>;
}

export interface RegistrationOptions {
  client: KeeperServices['discovery'];
  instances: readonly discovery.Instance[];
  ttlMs: number;
  clock: Clock;
  random: () => number;
  log: KeeperClientLog;
}

/** Keeps instances known. The keeper's absence is no fault: it is told again. */
export function keepRegistered(options: RegistrationOptions): Registration {
  const { client, ttlMs, clock, random, log } = options;
  const instances = [...options.instances];
  const stopping = new AbortController();
  const call = { timeoutMs: CALL_TIMEOUT_MS, signal: stopping.signal };
  let known: boolean | undefined;

  async function announce(): Promise<number> {
    const { renewAfterMs } = await client.register({ instances, ttlMs }, call);
    if (known !== true) log.info({ services: instances.length }, 'registered at the keeper');
    known = true;
    return renewAfterMs || ttlMs / 3;
  }

  // Once for each outage, not for each try.
  function missed(thrown: unknown): number {
    if (known !== false && !stopping.signal.aborted) {
      const { message } = toBusError(thrown);
      log.warn({ reason: message }, 'cannot register at the keeper; trying again');
    }
    known = false;
    return RETRY_MS;
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const pauseMs = await announce().catch(missed);
      // Many that started together must not ask together for ever.
      await sleep(clock, pauseMs * (0.9 + 0.1 * random()), stopping.signal);
    }
  }

  async function leave(): Promise<void> {
    stopping.abort();
    await running;
    const names = instances.map(({ service, id }) => ({ service, id }));
    // Whoever does not hear it finds out by the lease's end.
    const left = client.deregister({ instances: names }, { timeoutMs: LEAVE_TIMEOUT_MS });
    await left.catch(() => undefined);
  }

  const running = run();
  let left: Promise<void> | undefined;
  return {
    stop() {
      left ??= leave();
      return left;
    },
  };
}
