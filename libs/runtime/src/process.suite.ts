import { loadConfig, type MalabarConfig } from '@malabar/config';
import { discovery, metrics } from '@malabar/contracts';
import { Channel, type ServiceName } from '@malabar/core';
import { bind, type Implementation } from '@malabar/rpc';
import type { Logger } from '@malabar/telemetry';
import { logToMemory, type MemoryEntry, tempDir } from '@malabar/testkit';
import type { Module, RunningModule } from './module.js';
import { type RunningProcess, start } from './process.js';

/** Settings of a process on ports of its own; `flags` as the command line gives them. */
function settings(flags: Record<string, string> = {}): MalabarConfig {
  const listen = { 'grpc.listen': '127.0.0.1:0', 'ops.listen': '127.0.0.1:0' };
  const data = tempDir('process');
  return loadConfig({ env: {}, flags: { ...listen, data, node: 'test-node', ...flags } });
}

/** A process together with what it logged. */
export interface Started extends RunningProcess {
  entries: MemoryEntry[];
}

export async function startModules(
  modules: readonly Module[],
  flags?: Record<string, string>,
): Promise<Started> {
  const { log, entries } = logToMemory<Logger>();
  return { ...(await start({ modules, config: settings(flags), log })), entries };
}

/** A module that does nothing but write into `journal` what is asked of it. */
export function journaled(
  journal: string[],
  name: ServiceName,
  needs: ServiceName[] = [],
  running: Partial<RunningModule> = {},
): Module {
  const write = (what: string) => async () => void journal.push(`${what} ${name}`);
  return {
    name,
    needs,
    async start() {
      journal.push(`start ${name}`);
      return { drain: write('drain'), stop: write('stop'), ...running };
    },
  };
}

/** The answer of a service that `schedulerOf` made. */
export const answerOf = (name: string) => ({
  processes: [{ instanceId: name, services: [], text: '', error: '' }],
});

/** A service that answers with one name, by the smallest contract that there is. */
export function schedulerOf(answer: string): Module {
  return journaled([], 'scheduler', ['keeper'], {
    bindings: [bind(metrics.MetricsServiceDefinition, { gather: async () => answerOf(answer) })],
  });
}

/** A keeper that remembers who registered, and tells those who follow. */
export function memoryKeeper() {
  /** By `id/service`. */
  const instances = new Map<string, discovery.Instance>();
  const watchers = new Map<Channel<discovery.WatchResponse>, readonly string[]>();
  const service = (name: string): discovery.Service => {
    const found = [...instances.values()].filter((each) => each.service === name);
    const weighted = found.map((each) => ({ ...each, weight: 100 }));
    return discovery.Service.fromPartial({ name, instances: weighted });
  };
  const tell = (): void => {
    for (const [channel, names] of watchers) {
      for (const name of names) channel.push({ service: service(name) });
    }
  };
  const keyOf = ({ id, service }: { id: string; service: string }): string => `${id}/${service}`;
  const implementation: Implementation<typeof discovery.DiscoveryServiceDefinition> = {
    async register(request) {
      for (const instance of request.instances) instances.set(keyOf(instance), instance);
      tell();
      return { renewAfterMs: 20 };
    },
    async deregister(request) {
      for (const ref of request.instances) instances.delete(keyOf(ref));
      tell();
      return {};
    },
    resolve: async ({ services }) => ({ services: services.map(service) }),
    watch({ services }) {
      const channel = new Channel<discovery.WatchResponse>(() => watchers.delete(channel));
      watchers.set(channel, services);
      for (const name of services) channel.push({ service: service(name) });
      return channel;
    },
  };
  const module = journaled([], 'keeper', [], {
    bindings: [bind(discovery.DiscoveryServiceDefinition, implementation)],
    drain: async () => {
      for (const channel of watchers.keys()) channel.end();
    },
  });
  return { module, instances };
}
