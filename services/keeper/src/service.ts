import type { keeper } from '@malabar/contracts';
import type { Implementation } from '@malabar/rpc';
import type { Keeper } from './keeper.js';

/** The contract: translates and calls, nothing else. */
export function createKeeperService(
  heart: Keeper,
): Implementation<typeof keeper.KeeperServiceDefinition> {
  return {
    async *watchConfig(_, { signal }) {
      for await (const config of heart.releases.watch(signal)) yield { config };
    },
    async register({ instances, ttlMs }) {
      return { renewAfterMs: heart.registry.register(instances, ttlMs) };
    },
    async deregister({ instanceIds }) {
      heart.registry.deregister(instanceIds);
      return {};
    },
    async resolve({ service }) {
      return { instances: heart.registry.resolve(service) };
    },
  };
}
