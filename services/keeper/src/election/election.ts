import { keeperRecords } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { Logger, Metrics } from '@malabar/telemetry';
import type { Backend } from '../backend.js';
import { type Holding, HoldingView } from './holding-view.js';
import { heldKey, tokenKey } from './keys.js';
import { createElectionMetrics, type ElectionMetrics } from './metrics.js';
import { checkElectionName, checkHolder } from './names.js';

const TTL_LEAST_MS = 1_000;
const TTL_MOST_MS = 5 * 60_000;
// Tokens are kept for ever: more names than this are a client that invents them.
const NAMES_MAX = 100_000;
const ATTEMPTS_MAX = 5;

export interface ElectionOptions {
  backend: Backend;
  log: Logger;
  metrics: Metrics;
}

/** A holding and the revision of its key. */
interface Held {
  record: keeperRecords.HoldingRecord;
  revision: number;
}

/**
 * Of all who ask for a name one holds it, for as long as its lease stands. Every holding is one
 * transaction that also counts the name's token up, so no two ever have the same.
 */
export class Election {
  readonly view: HoldingView;
  readonly #backend: Backend;
  readonly #metrics: ElectionMetrics;

  constructor({ backend, log, metrics }: ElectionOptions) {
    this.#backend = backend;
    this.view = new HoldingView({ backend, log });
    this.#metrics = createElectionMetrics(metrics, this.view);
  }

  start(): Promise<void> {
    return this.view.start();
  }

  stop(): void {
    this.view.stop();
  }

  /** The holding that there is when it is over: the asker's own if it got the name or had it. */
  async acquire(name: string, holder: string, ttl: number): Promise<Holding> {
    checkElectionName(name);
    checkHolder(holder);
    this.#checkRoom(name);
    const ttlMs = Math.min(TTL_MOST_MS, Math.max(TTL_LEAST_MS, Math.floor(ttl)));
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const held = await this.#read(name);
      if (held === undefined) {
        const token = await this.#take(name, holder, ttlMs);
        if (token !== undefined) return { holder, token };
      } else if (held.record.holder !== holder || (await this.#keepAlive(held))) {
        return held.record;
      }
    }
    throw new BusError('CONFLICT', `too many want ${name} at the same time`);
  }

  /** Holds on for another time to live. Throws STALE_LEASE if the holding is lost. */
  async renew(name: string, holder: string, token: number): Promise<void> {
    const held = await this.#own(name, holder, token);
    if (held !== undefined && (await this.#keepAlive(held))) return;
    throw new BusError(
      'STALE_LEASE',
      `${holder} does not hold ${name} with token ${token} any more`,
    );
  }

  /** Gives up; a holding that is lost already is no fault. */
  async release(name: string, holder: string, token: number): Promise<void> {
    const held = await this.#own(name, holder, token);
    if (held === undefined) return;
    const key = heldKey(name);
    await this.#backend.commit({
      conditions: [{ key, revision: held.revision }],
      deletes: [key],
    });
    await this.#backend.revoke(held.record.leaseId);
  }

  /** The token of the new holding, or undefined if somebody was faster. */
  async #take(name: string, holder: string, ttlMs: number): Promise<number | undefined> {
    const [held, last] = [heldKey(name), tokenKey(name)];
    const counter = await this.#backend.get(last);
    const token = Number(counter?.value.toString() ?? 0) + 1;
    const leaseId = await this.#backend.grant(ttlMs);
    const record = keeperRecords.HoldingRecord.encode({ holder, token, leaseId, ttlMs }).finish();
    const revision = await this.#backend.commit({
      conditions: [
        { key: held, revision: 0 },
        { key: last, revision: counter?.revision ?? 0 },
      ],
      puts: [
        { key: held, value: record, leaseId },
        { key: last, value: Buffer.from(String(token)) },
      ],
    });
    if (revision !== undefined) {
      this.#metrics.elected();
      return token;
    }
    await this.#backend.revoke(leaseId);
    return undefined;
  }

  async #read(name: string): Promise<Held | undefined> {
    const entry = await this.#backend.get(heldKey(name));
    if (entry === undefined) return undefined;
    return { record: keeperRecords.HoldingRecord.decode(entry.value), revision: entry.revision };
  }

  async #own(name: string, holder: string, token: number): Promise<Held | undefined> {
    checkElectionName(name);
    const held = await this.#read(name);
    return held?.record.holder === holder && held.record.token === token ? held : undefined;
  }

  #keepAlive({ record }: Held): Promise<boolean> {
    return this.#backend.keepAlive(record.leaseId);
  }

  #checkRoom(name: string): void {
    if (this.view.names < NAMES_MAX || this.view.knows(name)) return;
    throw new BusError('BUSY', `${NAMES_MAX} names have been elected for; no more are taken`);
  }
}
