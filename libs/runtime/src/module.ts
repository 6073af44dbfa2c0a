import type { Authenticator } from '@malabar/access';
import type { MalabarConfig } from '@malabar/config';
import type { Clock, ServiceName } from '@malabar/core';
import type { KeeperClient } from '@malabar/keeper-client';
import type { Binding, Client, ServiceDefinition } from '@malabar/rpc';
import type { Logger, Metrics } from '@malabar/telemetry';
import type { OnBusConfig } from './bus-config.js';

/** What a service gets from the process that it runs in. */
export interface ModuleContext {
  config: MalabarConfig;
  /** The file that `config` came from, if any. */
  configFile: string | undefined;
  clock: Clock;
  /** Like Math.random. */
  random: () => number;
  log: Logger;
  metrics: Metrics;
  /** Name of this process at the keeper. */
  instanceId: string;
  /** Who makes a call: for the guard of what people and programs call. */
  authenticate: Authenticator;
  /** Configuration, discovery and election; one client for all modules of the process. */
  keeper: KeeperClient;
  /**
   * Follows the queues and topics: each release, one at a time, once all modules have started and
   * until they drain. What the callback throws people see as the reason why this process refuses it.
   */
  onBusConfig(onConfig: OnBusConfig, options?: { withoutSecrets?: boolean }): void;
  /** A service's contract: the implementation in this process if it runs here, else a gRPC stub. */
  client<D extends ServiceDefinition>(service: ServiceName, definition: D): Client<D>;
}

/** A service that runs. */
export interface RunningModule {
  /** Contracts that it serves. */
  bindings?: readonly Binding[];
  /** host:port of its other listeners, by name, with the ports that were chosen. */
  addresses?: Readonly<Record<string, string>>;
  /** Why it cannot serve now; empty if it can. */
  notReady?(): string[];
  /** Takes nothing new and finishes what is under way; every module drains before any stops. */
  drain?(): Promise<void>;
  stop(): Promise<void>;
}

/** A service, ready to be started in any process. */
export interface Module {
  name: ServiceName;
  /** Started before it and stopped after it, where they run in the same process. */
  needs: readonly ServiceName[];
  start(context: ModuleContext): Promise<RunningModule>;
}

/**
 * The modules with each one behind those that it needs, and the way in last: ingest opens when
 * everything behind it runs and is the first to drain. Throws if they need each other in a circle.
 */
export function startOrder(modules: readonly Module[]): Module[] {
  const order: Module[] = [];
  const visiting = new Set<Module>();
  const visit = (module: Module): void => {
    if (order.includes(module)) return;
    if (visiting.has(module)) throw new Error(`${module.name} needs itself, by way of others`);
    visiting.add(module);
    for (const need of modules) if (module.needs.includes(need.name)) visit(need);
    order.push(module);
  };
  const isWayIn = ({ name }: Module): boolean => name === 'ingest';
  for (const module of modules) if (!isWayIn(module)) visit(module);
  for (const module of modules) visit(module);
  return order;
}
