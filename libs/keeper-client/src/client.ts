import { hostname } from 'node:os';
import { type Clock, KeepAlive, systemClock } from '@malabar/core';
import type { TlsOptions, Token } from '@malabar/rpc';
import { ConfigClient } from './config/config-client.js';
import type { SnapshotKey } from './config/snapshot.js';
import { connectKeeper, type KeeperServices } from './connection.js';
import { DiscoveryClient } from './discovery/discovery-client.js';
import { ElectionClient } from './election/election-client.js';
import { type KeeperClientLog, SILENT } from './log.js';

export interface KeeperClientOptions {
  /** `host:port` of one or more keepers. */
  addresses?: readonly string[];
  /** Instead of addresses: clients that there are already, e.g. of a keeper in this process. */
  services?: KeeperServices;
  /** A user's token (`mlb_...`) or the token of the bus. */
  token?: Token;
  tls?: TlsOptions;
  /** Unique among the nodes of its domains; default the host's name. */
  nodeId?: string;
  /** Role of the program, e.g. `checkout`. */
  component?: string;
  zone?: string;
  /** Instances of this env are seen, and those that register are in it; default the only one. */
  env?: string;
  tags?: Readonly<Record<string, string>>;
  /**
   * Where what this node runs is kept, so that it starts while no keeper answers; the services that
   * it follows beside it, in `<snapshotFile>.services`.
   */
  snapshotFile?: string;
  /** Encrypts the snapshot. Without it secrets lie there as they are, readable by their owner only. */
  snapshotKey?: SnapshotKey;
  /** An operator's file whose values win over the keeper's; read at the start and when it changes. */
  overrideFile?: string;
  log?: KeeperClientLog;
  clock?: Clock;
  random?: () => number;
}

/** A program's way to the keeper. */
export interface KeeperClient {
  readonly config: ConfigClient;
  readonly discovery: DiscoveryClient;
  readonly election: ElectionClient;
  /** Resolves when every domain that is subscribed to by now has its first values. */
  ready(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens nothing before it is used: a keeper that is away is no error. Keeps the process alive until
 * it is closed, so that a program can wait for a keeper that is not there yet.
 */
export function openKeeperClient(options: KeeperClientOptions): KeeperClient {
  const { clock = systemClock, random = Math.random, log = SILENT } = options;
  const { addresses = [], token, tls } = options;
  const remote = options.services ? undefined : connectKeeper({ addresses, token, tls, random });
  const services = options.services ?? (remote as KeeperServices);
  const config = new ConfigClient({
    client: services.sync,
    node: {
      nodeId: options.nodeId ?? hostname(),
      component: options.component ?? '',
      zone: options.zone ?? '',
      tags: options.tags ?? {},
    },
    snapshotFile: options.snapshotFile,
    snapshotKey: options.snapshotKey,
    overrideFile: options.overrideFile,
    clock,
    random,
    log,
  });
  const { snapshotFile, zone = '', env = '' } = options;
  const discovery = new DiscoveryClient({
    client: services.discovery,
    zone,
    env,
    listFile: snapshotFile === undefined ? undefined : `${snapshotFile}.services`,
    clock,
    random,
    log,
  });
  const election = new ElectionClient({ client: services.election, clock, random, log });
  const keepAlive = new KeepAlive();
  keepAlive.hold();
  return {
    config,
    discovery,
    election,
    ready: () => config.ready(),
    async close() {
      await Promise.all([election.close(), discovery.close(), config.close()]);
      remote?.close();
      keepAlive.release();
    },
  };
}
