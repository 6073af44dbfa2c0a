import { authorOf, configRules, guard } from '@malabar/access';
import { config } from '@malabar/contracts';
import { bind } from '@malabar/rpc';
import type { ModuleContext } from '@malabar/runtime';
import type { Backend } from '../backend.js';
import { backendFolder } from '../backend-of.js';
import { createConfigMetrics, exportStoreGauges } from '../metrics.js';
import type { KeeperContext, KeeperPart } from '../part.js';
import { readSecretKeys } from './secret-keys.js';
import { createConfigService } from './service.js';
import { ConfigStore } from './store.js';

/** The store of all configuration, started: every other part stands on it. */
export async function openConfigStore(
  { config: settings, clock, random, log, metrics }: ModuleContext,
  backend: Backend,
): Promise<ConfigStore> {
  const { secretKey, previousSecretKey, limits, history } = settings.keeper;
  const folder = backendFolder(settings);
  const secretKeys = await readSecretKeys({ secretKey, previousSecretKey, folder });
  const store = new ConfigStore({
    backend,
    secretKeys,
    limits,
    history,
    clock,
    random,
    log,
    metrics: createConfigMetrics(metrics),
  });
  await store.start();
  exportStoreGauges(metrics, store, clock);
  return store;
}

/** The configuration centre's contract. */
export function createConfig({ store, access }: KeeperContext): KeeperPart {
  const { ConfigServiceDefinition: definition } = config;
  const service = createConfigService(store, authorOf);
  const guarded = guard(definition, service, configRules(access.systemOf), access.authenticate);
  return { bindings: [bind(definition, guarded, { access: 'public' })] };
}
