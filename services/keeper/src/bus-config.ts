import { join } from 'node:path';
import { keeper } from '@malabar/contracts';
import { bind } from '@malabar/rpc';
import { Keeper } from './keeper.js';
import { createKeeperMetrics, exportGauges } from './metrics.js';
import type { KeeperContext, KeeperPart } from './part.js';
import { createKeeperService } from './service.js';

/** The queues of malabar.yaml, and the registry of the bus's instances. */
export async function createBusConfig(context: KeeperContext): Promise<KeeperPart> {
  const { config, configFile, clock, log, metrics } = context;
  const heart = new Keeper({
    configFile,
    storePath: join(config.data, 'keeper', 'release.json'),
    env: process.env,
    clock,
    log,
    metrics: createKeeperMetrics(metrics),
  });
  await heart.start();
  exportGauges(metrics, {
    watchers: () => heart.releases.watchers,
    services: () => heart.registry.resolve().map(({ service }) => service),
  });
  return {
    bindings: [bind(keeper.KeeperServiceDefinition, createKeeperService(heart))],
    // Watches last as long as the process; who reads one is not worth waiting for.
    drain: async () => heart.releases.close(),
    stop: () => heart.stop(),
  };
}
