import { join } from 'node:path';
import {
  type Authenticator,
  authenticator,
  type People,
  peopleSubscription,
} from '@malabar/access';
import { BUS_DOMAIN, type MalabarConfig } from '@malabar/config';
import { type Clock, SERVICE_NAMES, type ServiceName } from '@malabar/core';
import {
  type ConfigSubscription,
  type KeeperClient,
  type KeeperServices,
  openKeeperClient,
} from '@malabar/keeper-client';
import type { Logger, Metrics } from '@malabar/telemetry';
import { BusConfigFeed } from './bus-config.js';

export interface KeeperLinkOptions {
  config: MalabarConfig;
  /** Of this process. */
  services: readonly ServiceName[];
  /** Clients of the keeper, also if it is in this process. */
  keeper: KeeperServices;
  clock: Clock;
  random: () => number;
  log: Logger;
  metrics: Metrics;
}

/** How a process stands with its keeper, for people. */
export interface KeeperStatus {
  /** Since when no keeper talks to it, Unix milliseconds; absent while one does. */
  awaySinceMs?: number;
  /** The release of the bus's configuration that it runs; 0 for none. */
  release: number;
  /** Where it has that from: `snapshot` if it has not met a keeper since its start. */
  source?: 'keeper' | 'snapshot' | 'override';
}

/**
 * A process's way to the keeper: one client, one stream and one snapshot for all its modules. While the
 * keeper is away they go on with what they have, and start with what they had.
 */
export class KeeperLink {
  readonly client: KeeperClient;
  readonly busConfig = new BusConfigFeed();
  /** Who makes a call, as far as people are known here. */
  readonly authenticate: Authenticator;
  #people: People | undefined;
  #subscription: ConfigSubscription | undefined;

  constructor({ config, services, keeper, clock, random, log, metrics }: KeeperLinkOptions) {
    const name = nameOf(services);
    this.client = openKeeperClient({
      services: keeper,
      nodeId: `${config.node}/${name}`,
      component: name,
      zone: config.zone,
      tags: { services: services.join(' ') },
      // Who has the keeper inside never starts without it.
      snapshotFile: services.includes('keeper')
        ? undefined
        : join(config.data, 'snapshot', `${name}.snapshot`),
      snapshotKey: config.grpc.token,
      clock,
      random,
      log,
    });
    this.authenticate = authenticator(() => this.#people, clock);
    exportStatus(metrics, () => this.status, clock);
  }

  /** Follows what the modules have asked for by now. */
  start(): void {
    const { config } = this.client;
    this.#subscription = config.subscribe(this.busConfig.subscription());
    const take = (people: People): void => {
      this.#people = people;
    };
    config.subscribe(peopleSubscription(take));
  }

  get status(): KeeperStatus {
    const { awaySinceMs } = this.client.config;
    const { source } = this.#subscription?.current ?? {};
    return { awaySinceMs, release: this.busConfig.release, source };
  }

  /** Follows nothing any more; the rest of the client goes on. */
  async stopFollowing(): Promise<void> {
    await this.client.config.close();
  }

  close(): Promise<void> {
    return this.client.close();
  }
}

function nameOf(services: readonly ServiceName[]): string {
  return services.length === SERVICE_NAMES.length ? 'all' : services.join('+');
}

function exportStatus(metrics: Metrics, status: () => KeeperStatus, clock: Clock): void {
  metrics.gauge(
    'malabar_config_release',
    `Release of domain ${BUS_DOMAIN} that this process runs.`,
    {
      collect: (gauge) => gauge.set(status().release),
    },
  );
  metrics.gauge(
    'malabar_keeper_away_seconds',
    'For how long no keeper has talked to this process; 0 while one does.',
    {
      collect: (gauge) => {
        const { awaySinceMs } = status();
        gauge.set(awaySinceMs === undefined ? 0 : (clock.now() - awaySinceMs) / 1000);
      },
    },
  );
}
