import type { common } from '@malabar/contracts';
import { type BusError, toBusError } from '@malabar/core';
import type { StorageClient } from './storage-client.js';

const SETTLE_TIMEOUT_MS = 30_000;

type Done = (stale: boolean, error?: BusError) => void;

/** Gathers the outcomes of one turn of the event loop into one call of storage. */
export class Settler {
  readonly #storage: StorageClient;
  #outcomes: common.Outcome[] = [];
  #waiting: Done[] = [];

  constructor(storage: StorageClient) {
    this.#storage = storage;
  }

  /** True once the outcome is durable; false if its lease had ended before. */
  settle(outcome: common.Outcome): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#outcomes.push(outcome);
      const done: Done = (stale, error) => (error ? reject(error) : resolve(!stale));
      if (this.#waiting.push(done) === 1) setImmediate(() => this.#send());
    });
  }

  async #send(): Promise<void> {
    const outcomes = this.#outcomes;
    const waiting = this.#waiting;
    this.#outcomes = [];
    this.#waiting = [];
    try {
      const options = { timeoutMs: SETTLE_TIMEOUT_MS };
      const { staleLeaseIds } = await this.#storage.settle({ outcomes }, options);
      const stale = new Set(staleLeaseIds);
      waiting.forEach((done, i) => {
        done(stale.has((outcomes[i] as common.Outcome).leaseId));
      });
    } catch (thrown) {
      const error = toBusError(thrown);
      for (const done of waiting) done(false, error);
    }
  }
}
