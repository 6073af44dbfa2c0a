import { join } from 'node:path';
import { keeper } from '@malabar/contracts';
import { bind } from '@malabar/rpc';
import type { Module } from '@malabar/runtime';
import { Keeper } from './keeper.js';
import { createKeeperMetrics, exportGauges } from './metrics.js';
import { createKeeperService } from './service.js';

/** Wiring only: the configuration file, its releases and the registry, behind one contract. */
export const keeperModule: Module = {
  name: 'keeper',
  needs: [],
  async start({ config, configFile, clock, log, metrics }) {
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
  },
};
