import { hostname } from 'node:os';
import { discovery } from '@malabar/contracts';
import { BusError, type Clock } from '@malabar/core';
import type { Directory } from '@malabar/rpc';
import type { KeeperServices } from '../connection.js';
import type { KeeperClientLog } from '../log.js';
import { keepRegistered, type Registration } from './registration.js';
import { createRoutes } from './routes.js';
import { ServiceList } from './service-list.js';
import { type Picked, ServicePicker } from './service-picker.js';
import { ServiceWatch } from './service-watch.js';

const TTL_MS = 15_000;

export interface DiscoveryClientOptions {
  client: KeeperServices['discovery'];
  /** Where this program stands; the policy's zone weights are for it. */
  zone: string;
  /** The instances of this env are seen, and those that register are in it. */
  env: string;
  /** Where the services are kept that this program follows, for a start while no keeper answers. */
  listFile?: string;
  clock: Clock;
  random: () => number;
  log: KeeperClientLog;
}

/** What a program says of an instance that it runs; the rest it has from its client. */
export type InstanceToRegister = Partial<discovery.Instance> &
  Pick<discovery.Instance, 'id' | 'service' | 'addresses'>;

/** The discovery side of a keeper client. */
export class DiscoveryClient {
  readonly #options: DiscoveryClientOptions;
  readonly #list: ServiceList;
  readonly #watch: ServiceWatch;
  readonly #pickers = new Map<string, ServicePicker>();
  readonly #registrations = new Set<Registration>();
  readonly #startedAtMs: number;
  #closed = false;

  constructor(options: DiscoveryClientOptions) {
    const { listFile: path, client, env, clock, random, log } = options;
    this.#options = options;
    this.#startedAtMs = clock.now();
    this.#list = new ServiceList({ path, env, log });
    this.#watch = new ServiceWatch({ client, env, list: this.#list, clock, random, log });
  }

  /** Tells of a service as soon as it is known and whenever it changes; returns how to stop. */
  watch(service: string, onChange: (service: discovery.Service) => void): () => void {
    this.#assertOpen();
    return this.#watch.follow(service, (known) => known.service && onChange(known.service));
  }

  /**
   * An instance for one call, by the service's policy. Waits for the first word of the keeper, or
   * of the list of an earlier life; throws UNAVAILABLE if there is nobody to choose.
   */
  pick(service: string, { scheme = 'http' }: { scheme?: string } = {}): Promise<Picked> {
    this.#assertOpen();
    const key = `${scheme} ${service}`;
    const picker = this.#pickers.get(key) ?? new ServicePicker(this.directory({ scheme }), service);
    this.#pickers.set(key, picker);
    return picker.pick();
  }

  /**
   * For gRPC: `connect(definition, { address: { directory, service } })`, or
   * `registerScheme('malabar', directory)` and then `malabar:///<service>` wherever an address goes.
   */
  directory({ scheme = 'grpc' }: { scheme?: string } = {}): Directory {
    const { zone, random } = this.#options;
    return createRoutes({ watch: this.#watch, scheme, zone, random });
  }

  /** Keeps instances known at the keeper until they are stopped. */
  register(
    instances: readonly InstanceToRegister[],
    { ttlMs = TTL_MS }: { ttlMs?: number } = {},
  ): Registration {
    this.#assertOpen();
    const { client, zone, env, clock, random, log } = this.#options;
    const own = { zone, env, hostname: hostname(), startedAtMs: this.#startedAtMs };
    const whole = instances.map((one) => discovery.Instance.fromPartial({ ...own, ...one }));
    const registration = keepRegistered({ client, instances: whole, ttlMs, clock, random, log });
    this.#registrations.add(registration);
    return {
      stop: () => {
        this.#registrations.delete(registration);
        return registration.stop();
      },
    };
  }

  /** Takes the registered instances away and calls nobody any more. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const picker of this.#pickers.values()) picker.stop();
    this.#watch.stop();
    await Promise.all([...this.#registrations].map((registration) => registration.stop()));
    await this.#list.close();
  }

  #assertOpen(): void {
    if (this.#closed) throw new BusError('INVALID', 'the keeper client is closed');
  }
}
