import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { BusError, type Clock } from '@malabar/core';
import type { KeeperServices } from '../connection.js';
import type { KeeperClientLog } from '../log.js';
import { acquire } from './acquire.js';
import { type Campaign, type CampaignOptions, startCampaign } from './campaign.js';
import type { Claim, ElectionEnvironment } from './holding.js';

const TTL_MS = 10_000;

export interface ElectionClientOptions {
  client: KeeperServices['election'];
  clock: Clock;
  /** Default: the machine's. */
  monotonic?: () => number;
  random: () => number;
  log: KeeperClientLog;
}

export interface LockOptions {
  holder?: string;
  ttlMs?: number;
  /** Ends the waiting; the work has to see to itself. */
  signal?: AbortSignal;
}

/** The election side of a keeper client. */
export class ElectionClient {
  readonly #environment: ElectionEnvironment;
  readonly #campaigns = new Set<Campaign>();
  readonly #closing = new AbortController();
  readonly #life = `${hostname()}/${process.pid}/${randomBytes(6).toString('hex')}`;

  constructor(options: ElectionClientOptions) {
    this.#environment = { monotonic: () => performance.now(), ...options };
  }

  /** Tries to lead, now and whenever nobody does. */
  campaign(options: CampaignOptions): Campaign {
    this.#assertOpen();
    const campaign = startCampaign(options, { ...this.#environment, claim: this.#claim(options) });
    this.#campaigns.add(campaign);
    return campaign;
  }

  /**
   * Does work while nobody else does under this name, and waits for that. Throws STALE_LEASE if the
   * lock was lost before the work had ended.
   */
  async lock<T>(
    name: string,
    work: (token: number, signal: AbortSignal) => Promise<T>,
    options: LockOptions = {},
  ): Promise<T> {
    this.#assertOpen();
    // Each lock is a holder of its own: one that is held twice would be no lock.
    const holder = options.holder ?? `${this.#life}/${randomBytes(4).toString('hex')}`;
    const claim = this.#claim({ name, ...options, holder });
    const signals = [this.#closing.signal, ...(options.signal ? [options.signal] : [])];
    const signal = AbortSignal.any(signals);
    const holding = await acquire({ ...this.#environment, claim, signal });
    if (holding === undefined) {
      throw new BusError('UNAVAILABLE', `nobody waits for ${name} any more`);
    }
    try {
      const result = await work(holding.token, holding.signal);
      if (holding.held) return result;
      throw new BusError('STALE_LEASE', `${name} was lost while it was needed`);
    } finally {
      await holding.release();
    }
  }

  /** Gives up all that is held. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([...this.#campaigns].map((campaign) => campaign.stop()));
  }

  #claim({
    name,
    holder = this.#life,
    ttlMs = TTL_MS,
  }: Pick<CampaignOptions, 'name' | 'holder' | 'ttlMs'>): Claim {
    return { name, holder, ttlMs };
  }

  #assertOpen(): void {
    if (this.#closing.signal.aborted) throw new BusError('INVALID', 'the keeper client is closed');
  }
}
