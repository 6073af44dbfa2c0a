import type { MalabarConfig } from '@malabar/config';
import { descriptorSet, discovery, election, sync } from '@malabar/contracts';
import { type Clock, type ServiceName, systemClock } from '@malabar/core';
import { type Binding, type RpcServer, serve } from '@malabar/rpc';
import {
  createLogger,
  createMetrics,
  type Logger,
  type OpsServer,
  serveOps,
} from '@malabar/telemetry';
import { Clients } from './clients.js';
import { KeeperLink } from './keeper-link.js';
import { type Module, type RunningModule, startOrder } from './module.js';
import { defaultGrpcListen, defaultOpsListen } from './ports.js';
import { leaveProcessNote, type ProcessNote, takeProcessNote } from './process-note.js';
import { instancesOf } from './registration.js';
import { createRpcMetrics } from './rpc-metrics.js';

/**
 * How long calls may go on once all modules have drained. Short: what is left are streams that
 * their callers hold open for ever and open anew elsewhere.
 */
const GRACE_MS = 1_000;

export interface StartOptions {
  modules: readonly Module[];
  config: MalabarConfig;
  configFile?: string;
  clock?: Clock;
  random?: () => number;
  log?: Logger;
}

/** A process whose services all run. */
export interface RunningProcess {
  services: readonly ServiceName[];
  grpcAddress: string;
  opsAddress: string;
  /** host:port of the other listeners, as `<service>.<listener>`. */
  addresses: Readonly<Record<string, string>>;
  /** Drains, then stops, in the reverse of the starting order. Safe to call twice. */
  stop(): Promise<void>;
}

/** Starts modules as one process. If one fails to start, those before it are stopped and it throws. */
export async function start(options: StartOptions): Promise<RunningProcess> {
  const running = new ProcessParts(options);
  try {
    await running.start();
  } catch (error) {
    await running.stop();
    throw error;
  }
  return {
    services: running.services,
    grpcAddress: running.grpc?.address ?? '',
    opsAddress: running.ops?.address ?? '',
    addresses: running.addresses(),
    stop: () => running.stop(),
  };
}

/** What a process is made of; stopping takes back what starting has reached. */
class ProcessParts {
  readonly services: readonly ServiceName[];
  readonly #order: readonly Module[];
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #log: Logger;
  readonly #metrics = createMetrics({ process: true });
  readonly #clients: Clients;
  readonly #modules: Array<{ name: ServiceName; module: RunningModule }> = [];
  grpc: RpcServer | undefined;
  ops: OpsServer | undefined;
  readonly #link: KeeperLink;
  #registration: { stop(): Promise<void> } | undefined;
  #note: ProcessNote | undefined;
  #starting = true;
  #stopping: Promise<void> | undefined;

  constructor(private readonly options: StartOptions) {
    const { config } = options;
    this.#order = startOrder(options.modules);
    this.services = this.#order.map(({ name }) => name);
    this.#clock = options.clock ?? systemClock;
    const base = { node: config.node };
    this.#log = options.log ?? createLogger({ ...config.log, base });
    this.#random = options.random ?? Math.random;
    this.#clients = new Clients({
      config,
      here: this.services,
      directory: () => this.#link.client.discovery.directory(),
    });
    this.#link = new KeeperLink({
      config,
      services: this.services,
      keeper: {
        sync: this.#clients.get('keeper', sync.SyncServiceDefinition),
        discovery: this.#clients.get('keeper', discovery.DiscoveryServiceDefinition),
        election: this.#clients.get('keeper', election.ElectionServiceDefinition),
      },
      clock: this.#clock,
      random: this.#random,
      log: this.#log,
      metrics: this.#metrics,
    });
  }

  async start(): Promise<void> {
    this.ops = await this.#serveOps();
    for (const module of this.#order) await this.#startModule(module);
    this.#link.start();
    this.grpc = await this.#serveGrpc();
    this.#registration = this.#register(this.grpc.address, this.ops.address);
    this.#note = {
      node: this.options.config.node,
      services: this.services,
      grpcAddress: this.grpc.address,
      opsAddress: this.ops.address,
      startedAtMs: this.#clock.now(),
    };
    await leaveProcessNote(this.options.config.data, this.#note);
    this.#starting = false;
    const listens = { grpc: this.grpc.address, ops: this.ops.address, ...this.addresses() };
    this.#log.info({ services: this.services.join(' '), ...listens }, 'started');
  }

  addresses(): Record<string, string> {
    const all = this.#modules.flatMap(({ name, module }) =>
      Object.entries(module.addresses ?? {}).map(([key, address]) => [`${name}.${key}`, address]),
    );
    return Object.fromEntries(all);
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #startModule({ name, start }: Module): Promise<void> {
    const log = this.#log.child({ service: name });
    const module = await start({
      config: this.options.config,
      configFile: this.options.configFile,
      clock: this.#clock,
      random: this.#random,
      log,
      metrics: this.#metrics,
      instanceId: `${this.options.config.node}/${name}`,
      authenticate: this.#link.authenticate,
      keeper: this.#link.client,
      onBusConfig: (onConfig, options) => this.#link.busConfig.add(name, onConfig, options),
      client: (service, definition) => this.#clients.get(service, definition),
    });
    this.#modules.push({ name, module });
    this.#clients.started(module.bindings ?? []);
  }

  #serveGrpc(): Promise<RpcServer> {
    const { grpc } = this.options.config;
    const bindings = this.#modules.flatMap(
      ({ module }): readonly Binding[] => module.bindings ?? [],
    );
    return serve({
      ...grpc,
      listen: grpc.listen ?? defaultGrpcListen(this.services),
      bindings,
      log: this.#log,
      clock: this.#clock,
      metrics: createRpcMetrics(this.#metrics),
      descriptors: descriptorSet(),
    });
  }

  #serveOps(): Promise<OpsServer> {
    return serveOps({
      listen: this.options.config.ops.listen ?? defaultOpsListen(this.services),
      metrics: this.#metrics,
      log: this.#log,
      insecure: this.options.config.grpc.insecure,
      notReady: () => this.#notReady(),
      about: () => ({ keeper: this.#link.status }),
    });
  }

  #notReady(): string[] {
    if (this.#stopping !== undefined) return ['stopping'];
    if (this.#starting) return ['starting'];
    return this.#modules.flatMap(({ name, module }) =>
      (module.notReady?.() ?? []).map((reason) => `${name}: ${reason}`),
    );
  }

  #register(grpc: string, ops: string): { stop(): Promise<void> } {
    const services = this.#modules.map(({ name, module: { addresses = {} } }) => ({
      name,
      addresses,
    }));
    const { node } = this.options.config;
    const startedAtMs = this.#clock.now();
    const instances = instancesOf({ node, startedAtMs, shared: { grpc, ops }, services });
    return this.#link.client.discovery.register(instances);
  }

  async #stop(): Promise<void> {
    const modules = [...this.#modules].reverse();
    this.#log.info('draining');
    await this.#link.stopFollowing();
    // Who is known stays known; the keeper of this process goes soon.
    for (const { name, module } of modules)
      await this.#attempt(name, async () => await module.drain?.());
    await this.#registration?.stop();
    await this.grpc?.drain(GRACE_MS);
    for (const { name, module } of modules) await this.#attempt(name, () => module.stop());
    await this.#link.close();
    this.#clients.close();
    if (this.#note !== undefined) await takeProcessNote(this.options.config.data, this.#note);
    await this.ops?.close();
    this.#log.info('stopped');
  }

  /** One module that cannot stop must not keep the others from stopping. */
  async #attempt(name: ServiceName, action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (err) {
      this.#log.error({ err, service: name }, 'did not stop cleanly');
    }
  }
}
