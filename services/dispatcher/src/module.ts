import { dispatcher, keeper, storage } from '@malabar/contracts';
import { bind } from '@malabar/rpc';
import { type Module, watchBusConfig } from '@malabar/runtime';
import { Dispatcher } from './dispatcher.js';
import { createDispatcherMetrics, exportGauges } from './metrics.js';
import { createDispatcherService } from './service.js';
import { createStorageLink } from './storage-link.js';
import { FastcgiPools } from './targets/fastcgi.js';
import { workerServiceDefinition } from './work-encoding.js';
import { createWorkerService } from './worker-service.js';

/** Wiring only: one link to storage, the runners of all topics, the contract that workers connect to. */
export const dispatcherModule: Module = {
  name: 'dispatcher',
  needs: ['keeper', 'storage'],
  async start({ config, clock, random, log, metrics, instanceId, client }) {
    const link = createStorageLink({
      client: client('storage', storage.StorageServiceDefinition),
      name: instanceId,
      clock,
      random,
      log,
      turn: setImmediate,
    });
    const pools = new FastcgiPools(clock);
    const heart = new Dispatcher({
      ...config.dispatcher,
      link,
      clock,
      random,
      log,
      metrics: createDispatcherMetrics(metrics),
      pools,
      turn: setImmediate,
    });
    exportGauges(metrics, () => heart.status(), pools);
    const configuration = watchBusConfig({
      keeper: client('keeper', keeper.KeeperServiceDefinition),
      instanceId,
      clock,
      random,
      log,
      onConfig: (busConfig) => heart.configure(busConfig),
    });
    const workers = createWorkerService({ runner: (path) => heart.workers(path), clock });
    return {
      bindings: [
        // Workers are not services of the bus: they show the password of their topic, not our token.
        bind(workerServiceDefinition, workers, { access: 'public' }),
        bind(dispatcher.DispatcherServiceDefinition, createDispatcherService(heart)),
      ],
      notReady: () => heart.notReady(),
      drain: () => heart.drain(),
      async stop() {
        configuration.stop();
        await heart.stop();
        await link.stop();
      },
    };
  },
};
