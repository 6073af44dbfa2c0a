import { join } from 'node:path';
import { keeper, storage } from '@malabar/contracts';
import { bind } from '@malabar/rpc';
import { type Module, watchBusConfig } from '@malabar/runtime';
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
  async start({ config, clock, random, log, metrics, instanceId, client }) {
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
    const configuration = watchBusConfig({
      keeper: client('keeper', keeper.KeeperServiceDefinition),
      instanceId,
      clock,
      random,
      log,
      onConfig: (busConfig) => store.configure(busConfig),
    });
    return {
      bindings: [
        bind(storage.StorageServiceDefinition, createStorageService(store, new Browser(store))),
      ],
      notReady: () => store.notReady(),
      async stop() {
        configuration.stop();
        trimmer.stop();
        await store.close();
      },
    };
  },
};
