import { type Clock, every } from '@malabar/core';
import type { TlsOptions, Token } from '@malabar/rpc';
import type { Logger, Metrics } from '@malabar/telemetry';
import type { Backend } from '../backend.js';
import { Catalog } from './catalog.js';
import { InstanceView, type KnownInstance } from './instance-view.js';
import { exportDiscoveryMetrics } from './metrics.js';
import { type Peer, Peers } from './peers.js';
import { Policies, type PolicySource } from './policies.js';
import { Registrar } from './registrar.js';

const PURGE_PERIOD_MS = 60_000;
const DEAD_MS_MAX = 60 * 60_000;

export interface DiscoveryOptions {
  backend: Backend;
  /** The release store, started. */
  policies: PolicySource;
  /** This keeper: its id, and what the keepers show each other. */
  self: { id: string; token?: Token; tls?: TlsOptions };
  clock: Clock;
  log: Logger;
  metrics: Metrics;
}

/** Who runs where and how to choose among them. Stateless: everything is in the backend. */
export class Discovery {
  readonly view: InstanceView;
  readonly registrar: Registrar;
  readonly catalog: Catalog;
  readonly #peers: Peers;
  readonly #policies: Policies;
  readonly #clock: Clock;
  readonly #log: Logger;
  #stopPurging = (): void => {};

  constructor({ backend, policies, self, clock, log, metrics }: DiscoveryOptions) {
    this.#clock = clock;
    this.#log = log;
    this.view = new InstanceView({ backend, clock, log });
    this.#policies = new Policies(policies, log);
    this.registrar = new Registrar(backend, this.view);
    this.catalog = new Catalog(this.view, this.#policies);
    this.#peers = new Peers({ view: this.view, self: self.id, token: self.token, tls: self.tls });
    exportDiscoveryMetrics(metrics, this);
  }

  /** Resolves once everything that is known is known here. */
  async start(): Promise<void> {
    await this.view.start();
    await this.#policies.start();
    this.#stopPurging = every(this.#clock, PURGE_PERIOD_MS, () => this.#purge());
  }

  async stop(): Promise<void> {
    this.#stopPurging();
    this.catalog.close();
    this.#peers.close();
    this.view.stop();
    await this.#policies.stop();
  }

  /** The other keepers that are alive, with a client of each. */
  peers(): Peer[] {
    return this.#peers.list();
  }

  /** Forgets what has been dead for an hour. */
  async #purge(): Promise<void> {
    const limitMs = this.#clock.now() - DEAD_MS_MAX;
    for (const known of [...this.view.all()]) {
      if (known.deadSinceMs !== undefined && known.deadSinceMs <= limitMs)
        await this.#forget(known);
    }
  }

  async #forget(known: KnownInstance): Promise<void> {
    const { service = '', id = '' } = known.record.instance ?? {};
    try {
      await this.registrar.purge({ service, id }, known);
      this.#log.info(
        { instance: id, of: service },
        'an instance that died an hour ago is forgotten',
      );
    } catch (err) {
      this.#log.warn({ err, instance: id, of: service }, 'a dead instance cannot be forgotten yet');
    }
  }
}
