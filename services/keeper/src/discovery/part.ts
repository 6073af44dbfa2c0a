import { discoveryRules, guard, LOCAL } from '@malabar/access';
import { discovery } from '@malabar/contracts';
import { bind } from '@malabar/rpc';
import type { ModuleContext } from '@malabar/runtime';
import type { Backend } from '../backend.js';
import type { ConfigStore } from '../config/store.js';
import type { KeeperContext, KeeperPart } from '../part.js';
import { Discovery } from './discovery.js';
import { POLICY_DOMAIN } from './policies.js';
import { createDiscoveryService } from './service.js';

/** Who runs where, started: the other parts find the other keepers through it. */
export async function openDiscovery(
  { config, clock, log, metrics }: ModuleContext,
  backend: Backend,
  store: ConfigStore,
): Promise<Discovery> {
  const settings = { description: 'How callers choose among the instances of a service.' };
  await store.ensureDomain(POLICY_DOMAIN, settings, { name: LOCAL.name, from: LOCAL.name });
  const { token, tls } = config.grpc;
  const self = { id: config.node, token, tls };
  const heart = new Discovery({ backend, policies: store, self, clock, log, metrics });
  await heart.start();
  return heart;
}

/** Discovery's contract. */
export function createDiscovery({ discovery: heart, access }: KeeperContext): KeeperPart {
  const { DiscoveryServiceDefinition: definition } = discovery;
  const service = createDiscoveryService(heart);
  const guarded = guard(definition, service, discoveryRules, access.authenticate);
  return {
    bindings: [bind(definition, guarded, { access: 'public' })],
    // Watches last as long as the process; who reads one is not worth waiting for.
    drain: async () => heart.catalog.close(),
  };
}
