import type { keeper } from '@malabar/contracts';
import type { Implementation } from '@malabar/rpc';
import type { Registry } from './registry.js';

/** The contract: translates and calls, nothing else. */
export function createKeeperService(
  registry: Registry,
): Implementation<typeof keeper.KeeperServiceDefinition> {
  return {
    async register({ instances, ttlMs }) {
      return { renewAfterMs: registry.register(instances, ttlMs) };
    },
    async deregister({ instanceIds }) {
      registry.deregister(instanceIds);
      return {};
    },
    async resolve({ service }) {
      return { instances: registry.resolve(service) };
    },
  };
}
