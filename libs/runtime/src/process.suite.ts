import { loadConfig, type MalabarConfig } from '@malabar/config';
import { keeper, scheduler } from '@malabar/contracts';
import { Channel } from '@malabar/core';
import { bind, type Implementation } from '@malabar/rpc';
import type { Logger } from '@malabar/telemetry';
import { logToMemory, type MemoryEntry } from '@malabar/testkit';
import type { Module, RunningModule, ServiceName } from './module.js';
import { type RunningProcess, start } from './process.js';

/** Settings of a process on ports of its own; `flags` as the command line gives them. */
function settings(flags: Record<string, string> = {}): MalabarConfig {
  const listen = { 'grpc.listen': '127.0.0.1:0', 'ops.listen': '127.0.0.1:0' };
  return loadConfig({ env: {}, flags: { ...listen, node: 'test-node', ...flags } });
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

/** The scheduler's contract, answered with one name: the smallest contract that there is. */
export function schedulerOf(answer: string): Module {
  return journaled([], 'scheduler', ['keeper'], {
    bindings: [
      bind(scheduler.SchedulerServiceDefinition, {
        listSchedules: async () => ({ schedules: [answer] }),
      }),
    ],
  });
}

/** A keeper that remembers who registered and says what a test tells it to. */
export function memoryKeeper() {
  const instances = new Map<string, keeper.Instance>();
  const watchers = new Set<Channel<keeper.WatchConfigResponse>>();
  const implementation: Implementation<typeof keeper.KeeperServiceDefinition> = {
    watchConfig() {
      const releases = new Channel<keeper.WatchConfigResponse>();
      watchers.add(releases);
      return releases;
    },
    async register(request) {
      for (const instance of request.instances) instances.set(instance.id, instance);
      return { renewAfterMs: 20 };
    },
    async deregister({ instanceIds }) {
      for (const id of instanceIds) instances.delete(id);
      return {};
    },
    resolve: async ({ service }) => ({
      instances: [...instances.values()].filter((each) => !service || each.service === service),
    }),
  };
  const module = journaled([], 'keeper', [], {
    bindings: [bind(keeper.KeeperServiceDefinition, implementation)],
    drain: async () => {
      for (const releases of watchers) releases.end();
    },
  });
  return { module, implementation, instances, watchers };
}
