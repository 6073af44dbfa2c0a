import { keeper } from '@malabar/contracts';
import { bind } from '@malabar/rpc';
import { exportInstances } from './metrics.js';
import type { KeeperContext, KeeperPart } from './part.js';
import { Registry } from './registry.js';
import { createKeeperService } from './service.js';

/** Who runs where, in memory. */
export function createRegistry({ clock, metrics }: KeeperContext): KeeperPart {
  const registry = new Registry(clock);
  exportInstances(metrics, () => registry.resolve().map(({ service }) => service));
  return { bindings: [bind(keeper.KeeperServiceDefinition, createKeeperService(registry))] };
}
