import { join } from 'node:path';
import { guard, QueueSystems, storageRules } from '@malabar/access';
import { storage } from '@malabar/contracts';
import { bind } from '@malabar/rpc';
import type { Module } from '@malabar/runtime';
import { Browser } from './browse.js';
import { createLmdbEngine } from './engines/lmdb.js';
import { createStoreMetrics, exportCounters } from './metrics.js';
import { createStorageService } from './service.js';
import { Store } from './store.js';
import { Trimmer } from './trimmer.js';

export { verifyStore } from './verify-store.js';

/** Wiring only: one store on the lmdb engine, configured by the keeper. */
export const storageModule: Module = {
  name: 'storage',
  needs: ['keeper'],
  async start(context) {
    const { config, clock, random, log, metrics } = context;
    const { bytesMax, cacheBytes, settleDelayMs } = config.storage;
    const path = config.storage.path ?? join(config.data, 'store');
    const engine = createLmdbEngine({ path, bytesMax });
    const store = new Store({
      engine,
      clock,
      random,
      log,
      metrics: createStoreMetrics(metrics),
      turn: setImmediate,
      settleDelayMs,
      cacheBytes,
    });
    await store.open();
    log.info({ path, shards: store.shards.size }, 'store opened');
    exportCounters(metrics, store);
    const trimmer = new Trimmer(store);
    trimmer.start();
    const systems = new QueueSystems();
    context.onBusConfig(
      (busConfig) => {
        systems.take(busConfig);
        return store.configure(busConfig);
      },
      { withoutSecrets: true },
    );
    const { StorageServiceDefinition: definition } = storage;
    const service = createStorageService(store, new Browser(store));
    const rules = storageRules(systems.of);
    const guarded = guard(definition, service, rules, context.authenticate);
    return {
      bindings: [bind(definition, guarded, { access: 'public' })],
      notReady: () => store.notReady(),
      async stop() {
        trimmer.stop();
        await store.close();
      },
    };
  },
};
