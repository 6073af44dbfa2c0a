import { systemClock } from '@malabar/core';
import { createLmdbEngine } from './engines/lmdb.js';
import type { StoreMetrics } from './metrics.js';
import { Store } from './store.js';
import { type Findings, verify } from './verify.js';

const silent: StoreMetrics = {
  committed: () => undefined,
  commitRefused: () => undefined,
  settled: () => undefined,
  staleLeases: () => undefined,
  leasesExpired: () => undefined,
  trimmed: () => undefined,
  batchEnded: () => undefined,
};

/**
 * Verifies the store in a folder that no storage process has open. Throws if one has, or CORRUPT if the
 * store cannot be opened at all.
 */
export async function verifyStore(options: {
  path: string;
  log: ConstructorParameters<typeof Store>[0]['log'];
  onProgress?: (findings: Findings) => void;
}): Promise<Findings> {
  const store = new Store({
    // Opening it checks every page and every checksum of the file.
    engine: createLmdbEngine({ path: options.path, checkBytesMax: Infinity, checkMs: Infinity }),
    clock: systemClock,
    random: Math.random,
    log: options.log,
    metrics: silent,
    turn: setImmediate,
    settleDelayMs: 5,
    cacheBytes: 8 * 1024 * 1024,
  });
  await store.open();
  try {
    let last: Findings = { jobs: 0, deliveries: 0, problems: [] };
    for await (const findings of verify(store)) {
      last = findings;
      options.onProgress?.(findings);
    }
    return last;
  } finally {
    await store.close();
  }
}
