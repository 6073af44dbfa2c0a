import { guard, mayReceiveDomain, principalOf, syncRules } from '@malabar/access';
import { bind } from '@malabar/rpc';
import type { KeeperContext, KeeperPart } from '../part.js';
import { Hub } from './hub.js';
import { createSyncMetrics } from './metrics.js';
import { listNodes } from './node-list.js';
import { createSyncService } from './service.js';
import { SharedSyncDefinition as definition } from './wire.js';

/** Push: what nodes follow, and who can be asked which of them run what. */
export function createSync(context: KeeperContext): KeeperPart {
  const { store, discovery, access, config, clock, metrics } = context;
  const hub: Hub = new Hub({
    keeperId: config.node,
    source: store,
    reconcileMs: config.keeper.reconcileMs,
    mayReceive: (call, domain) => mayReceiveDomain(principalOf(call), domain, access.systemOf),
    metrics: createSyncMetrics(metrics, () => hub.size),
    clock,
  });
  const all = {
    here: (domain: string) => hub.nodes(domain),
    peers: async () => discovery.peers(),
  };
  store.askNodes((request) => listNodes(all, request));
  const guarded = guard(definition, createSyncService(hub), syncRules, access.authenticate);
  return {
    bindings: [bind(definition, guarded, { access: 'public' })],
    drain: async () => hub.close(),
    stop: () => hub.close(),
  };
}
