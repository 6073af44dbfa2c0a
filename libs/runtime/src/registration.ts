import { keeper } from '@malabar/contracts';
import { type Clock, sleep, toBusError } from '@malabar/core';
import type { Client } from '@malabar/rpc';
import type { Logger } from '@malabar/telemetry';

const TTL_MS = 15_000;
const RETRY_MS = 1_000;
const CALL_TIMEOUT_MS = 5_000;

export interface RegistrationOptions {
  keeper: Client<typeof keeper.KeeperServiceDefinition>;
  instances: readonly keeper.Instance[];
  clock: Clock;
  log: Logger;
}

/** Keeps this process's services known at the keeper. The keeper's absence is no fault: it is told again. */
export function registerInstances(options: RegistrationOptions): { stop(): Promise<void> } {
  const { clock, log } = options;
  const stopping = new AbortController();
  const call = { timeoutMs: CALL_TIMEOUT_MS, signal: stopping.signal };
  let known: boolean | undefined;

  async function announce(): Promise<number> {
    const request = keeper.RegisterRequest.fromPartial({ ttlMs: TTL_MS });
    const instances = [...options.instances];
    const { renewAfterMs } = await options.keeper.register({ ...request, instances }, call);
    if (known !== true) log.info({ services: instances.length }, 'registered at the keeper');
    known = true;
    return renewAfterMs || TTL_MS / 3;
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
      await sleep(clock, pauseMs, stopping.signal);
    }
  }

  const running = run();
  return {
    async stop() {
      stopping.abort();
      await running;
      const instanceIds = options.instances.map(({ id }) => id);
      // Whoever does not hear it finds out by the lease's end.
      await options.keeper.deregister({ instanceIds }, { timeoutMs: 1_000 }).catch(() => undefined);
    },
  };
}
