import { discovery, election, sync } from '@malabar/contracts';
import { BusError, type Clock, reconnectDelayMs, sleep, toBusError } from '@malabar/core';
import { type Client, connect, type TlsOptions, type Token } from '@malabar/rpc';
import type { KeeperClientLog } from './log.js';

const RECONNECT_MS_MIN = 100;
const RECONNECT_MS_MAX = 2_000;
// Whoever has taken our place may not know that he did: a fight must not become a storm.
const DISPLACED_MS_MAX = 30_000;

/** The contracts of a keeper that nodes use: remote, or of this process. */
export interface KeeperServices {
  readonly sync: Client<typeof sync.SyncServiceDefinition>;
  readonly discovery: Client<typeof discovery.DiscoveryServiceDefinition>;
  readonly election: Client<typeof election.ElectionServiceDefinition>;
}

export interface ConnectionOptions {
  /** `host:port` of one or more keepers; a call that finds one away goes to the next. */
  addresses: readonly string[];
  tls?: TlsOptions;
  /** A user's token (`mlb_...`) or the token of the bus. */
  token?: Token;
  /** A TCP connection of its own instead of the one that all clients of this process share. */
  ownConnection?: boolean;
  random?: () => number;
}

/** Clients of keepers somewhere else. Each client begins with another of the addresses. */
export function connectKeeper(options: ConnectionOptions): KeeperServices & { close(): void } {
  const { addresses, random = Math.random, ...rest } = options;
  if (addresses.length === 0) throw new BusError('INVALID', 'no address of a keeper is given');
  const order = rotated(addresses, Math.floor(random() * addresses.length));
  const settings = { ...rest, address: async () => order, retries: false };
  const clients = {
    sync: connect(sync.SyncServiceDefinition, settings),
    discovery: connect(discovery.DiscoveryServiceDefinition, settings),
    election: connect(election.ElectionServiceDefinition, settings),
  };
  const close = (): void => {
    for (const client of Object.values(clients)) client.close();
  };
  return { ...clients, close };
}

function rotated(addresses: readonly string[], by: number): string[] {
  return [...addresses.slice(by), ...addresses.slice(0, by)];
}

export interface StayConnectedOptions {
  /** For logs: what is away when it is, e.g. `configuration`. */
  what: string;
  clock: Clock;
  random: () => number;
  log: KeeperClientLog;
  /** Ends it. */
  signal: AbortSignal;
}

/**
 * Runs `open` again and again, with jitter between, until the signal aborts. `open` returns or
 * throws when its connection has ended and calls `connected` when it stands.
 */
export async function stayConnected(
  { what, clock, random, log, signal }: StayConnectedOptions,
  open: (connected: () => void) => Promise<void>,
): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    let connectedAtMs = Number.POSITIVE_INFINITY;
    let ended: BusError | undefined;
    try {
      await open(() => {
        if (failures > 0) log.info({ what }, 'the keeper is back');
        connectedAtMs = clock.now();
      });
    } catch (thrown) {
      ended = toBusError(thrown);
    }
    if (signal.aborted) return;
    // One that ends at once again and again is no better than one that is not there.
    if (clock.now() - connectedAtMs > RECONNECT_MS_MAX) failures = 0;
    report(log, what, failures, ended);
    const most = ended?.code === 'CONFLICT' ? DISPLACED_MS_MAX : RECONNECT_MS_MAX;
    await sleep(clock, reconnectDelayMs(failures++, random, RECONNECT_MS_MIN, most), signal);
  }
}

/** A keeper that is away is news once; one that refuses us is an error that somebody must mend. */
function report(
  log: KeeperClientLog,
  what: string,
  failures: number,
  ended: BusError | undefined,
): void {
  const reason = ended?.message ?? 'the keeper has ended the stream';
  if (ended === undefined || ended.retryable) {
    const level = failures === 0 ? 'warn' : 'debug';
    log[level]({ what, reason }, 'the keeper is away; going on as before');
  } else {
    const level = failures % 20 === 0 ? 'error' : 'debug';
    log[level]({ what, reason, code: ended.code }, 'the keeper refuses this node');
  }
}
