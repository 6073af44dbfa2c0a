import type { keeper } from '@malabar/contracts';
import { type Clock, reconnectDelayMs, sleep, toBusError } from '@malabar/core';
import type { Client } from '@malabar/rpc';
import type { Logger } from '@malabar/telemetry';

/** One small call a second is cheap, and a bus that starts up waits for its configuration. */
const RECONNECT_MS_MAX = 1_000;

export interface WatchOptions {
  keeper: Client<typeof keeper.KeeperServiceDefinition>;
  instanceId: string;
  clock: Clock;
  random: () => number;
  log: Logger;
  /** Takes a release over. One that throws is logged; the next release is offered all the same. */
  onConfig(config: keeper.BusConfig): void | Promise<void>;
}

/**
 * Follows the bus's configuration. Reconnects with jitter for ever. Within one connection a release
 * is offered once; after a reconnect it is offered again, because a keeper that lost its memory may
 * use a number twice.
 */
export function watchBusConfig(options: WatchOptions): { stop(): void } {
  const { clock, random, log } = options;
  const stopping = new AbortController();
  let attempt = 0;

  async function follow(): Promise<void> {
    let release = -1;
    const { instanceId } = options;
    const releases = options.keeper.watchConfig({ instanceId }, { signal: stopping.signal });
    for await (const { config } of releases) {
      if (stopping.signal.aborted) return;
      attempt = 0;
      if (config === undefined || config.release === release) continue;
      release = config.release;
      await apply(config);
    }
  }

  async function apply(config: keeper.BusConfig): Promise<void> {
    try {
      await options.onConfig(config);
      log.info({ release: config.release, queues: config.queues.length }, 'configuration applied');
    } catch (err) {
      log.error({ err, release: config.release }, 'configuration could not be applied');
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        await follow();
      } catch (thrown) {
        if (stopping.signal.aborted) return;
        const level = attempt === 0 ? 'warn' : 'debug';
        log[level](
          { reason: toBusError(thrown).message },
          'the keeper is away; going on as before',
        );
      }
      await sleep(
        clock,
        reconnectDelayMs(attempt++, random, 50, RECONNECT_MS_MAX),
        stopping.signal,
      );
    }
  }

  void run();
  return { stop: () => stopping.abort() };
}
