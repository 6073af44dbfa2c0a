import type { Module, ModuleContext, RunningModule } from '@malabar/runtime';
import { openAccess } from './access/part.js';
import type { Backend } from './backend.js';
import { createBackend } from './backend-of.js';
import { createBusFile } from './bus-file/part.js';
import { createConfig, openConfigStore } from './config/part.js';
import type { ConfigStore } from './config/store.js';
import { createDiscovery, openDiscovery } from './discovery/part.js';
import { createElection } from './election/part.js';
import type { CreatePart, KeeperPart } from './part.js';
import { createSync } from './sync/part.js';

/** In the order in which they start; they stop in the opposite one. */
const PARTS: readonly CreatePart[] = [
  createConfig,
  createDiscovery,
  createSync,
  createElection,
  createBusFile,
];

/** Wiring only: a backend, the store of all configuration, and the parts that stand on it. */
export const keeperModule: Module = {
  name: 'keeper',
  needs: [],
  async start(context) {
    const backend = createBackend(context.config, context.clock, context.random);
    await backend.open();
    const undo: Array<() => Promise<void> | void> = [() => backend.close()];
    try {
      return await startOn(context, backend, undo);
    } catch (error) {
      await inReverse(undo);
      throw error;
    }
  },
};

async function startOn(
  context: ModuleContext,
  backend: Backend,
  undo: Array<() => Promise<void> | void>,
): Promise<RunningModule> {
  const store = await openConfigStore(context, backend);
  undo.push(() => store.stop());
  const access = await openAccess(context, store);
  undo.push(() => access.stop());
  const discovery = await openDiscovery(context, backend, store);
  undo.push(() => discovery.stop());
  const parts: KeeperPart[] = [{ bindings: [access.binding] }];
  for (const create of PARTS) {
    const part = await create({ ...context, backend, store, discovery, access });
    parts.push(part);
    undo.push(() => part.stop?.());
  }
  return {
    bindings: parts.flatMap(({ bindings = [] }) => bindings),
    notReady: () => [...outage(store), ...parts.flatMap((part) => part.notReady?.() ?? [])],
    drain: async () => {
      await Promise.all(parts.map((part) => part.drain?.()));
    },
    stop: () => inReverse(undo),
  };
}

function outage({ lostAtMs }: ConfigStore): string[] {
  if (lostAtMs === undefined) return [];
  return [`the backend has not answered since ${new Date(lostAtMs).toISOString()}`];
}

async function inReverse(undo: Array<() => Promise<void> | void>): Promise<void> {
  for (const one of undo.reverse()) await one();
}
