import { dispatcherRules, guard, QueueSystems } from '@malabar/access';
import { dispatcher, storage } from '@malabar/contracts';
import { bind } from '@malabar/rpc';
import type { Module } from '@malabar/runtime';
import { Dispatcher } from './dispatcher.js';
import { createDispatcherMetrics, exportGauges } from './metrics.js';
import { Placement } from './placement.js';
import { CommandRuns } from './runs/runs.js';
import { createDispatcherService } from './service.js';
import { createStorageLink } from './storage-link.js';
import { FastcgiPools } from './targets/fastcgi.js';
import { workerServiceDefinition } from './work-encoding.js';
import { createWorkerService } from './worker-service.js';

/** Wiring only: one link to storage, the runners of all topics, the contract that workers connect to. */
export const dispatcherModule: Module = {
  name: 'dispatcher',
  needs: ['keeper', 'storage'],
  async start(context) {
    const { config, clock, random, log, metrics, instanceId, client } = context;
    const link = createStorageLink({
      client: client('storage', storage.StorageServiceDefinition),
      name: instanceId,
      node: config.node,
      clock,
      random,
      log,
      turn: setImmediate,
    });
    const systems = new QueueSystems();
    const pools = new FastcgiPools(clock);
    const placement = new Placement(config.node, config.dispatcher.tags);
    const runs = new CommandRuns({ clock, node: config.node });
    const heart = new Dispatcher({
      ...config.dispatcher,
      link,
      clock,
      random,
      log,
      metrics: createDispatcherMetrics(metrics),
      pools,
      runs,
      placement,
      environment: environmentOf(process.env),
      turn: setImmediate,
    });
    exportGauges(metrics, () => heart.status(), pools);
    context.onBusConfig((busConfig) => {
      systems.take(busConfig);
      return heart.configure(busConfig);
    });
    const workers = createWorkerService({ runner: (path) => heart.workers(path), clock });
    const { DispatcherServiceDefinition: definition } = dispatcher;
    const rules = dispatcherRules(systems.of);
    const service = createDispatcherService({ heart, runs, placement, log });
    const guarded = guard(definition, service, rules, context.authenticate);
    return {
      bindings: [
        // Workers are not services of the bus: they show the password of their topic, not our token.
        bind(workerServiceDefinition, workers, { access: 'public' }),
        bind(definition, guarded, { access: 'public' }),
      ],
      notReady: () => heart.notReady(),
      drain: () => heart.drain(),
      async stop() {
        await heart.stop();
        await link.stop();
      },
    };
  },
};

/** What commands see of this process's environment: its secrets are none of theirs. */
function environmentOf({ PATH, HOME }: NodeJS.ProcessEnv): Record<string, string> {
  const path = { PATH: PATH || '/usr/local/bin:/usr/bin:/bin' };
  return HOME ? { ...path, HOME } : path;
}
