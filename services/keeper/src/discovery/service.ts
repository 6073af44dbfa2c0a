import type { discovery } from '@malabar/contracts';
import type { Implementation } from '@malabar/rpc';
import type { Discovery } from './discovery.js';
import { checkServices } from './instance.js';

/** The contract: translates and calls, nothing else. */
export function createDiscoveryService(
  heart: Discovery,
): Implementation<typeof discovery.DiscoveryServiceDefinition> {
  return {
    async register({ instances, ttlMs }) {
      return { renewAfterMs: await heart.registrar.register(instances, ttlMs) };
    },
    async deregister({ instances }) {
      await heart.registrar.deregister(instances);
      return {};
    },
    async resolve({ services, env }) {
      checkServices(services);
      return { services: heart.catalog.resolve(services, env) };
    },
    async *watch({ services, env }, { signal }) {
      checkServices(services, 1);
      for await (const service of heart.catalog.watch(services, env, signal)) yield { service };
    },
  };
}
