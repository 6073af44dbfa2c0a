import { hostname } from 'node:os';
import { type Clock, systemClock } from '@malabar/core';
import type { TlsOptions, Token } from '@malabar/rpc';
import { ConfigClient } from './config/config-client.js';
import type { SnapshotKey } from './config/snapshot.js';
import { connectKeeper, type KeeperServices } from './connection.js';
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
  tags?: Readonly<Record<string, string>>;
  /** Where what this node runs is kept, so that it starts while no keeper answers. */
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
  /** Resolves when every domain that is subscribed to by now has its first values. */
  ready(): Promise<void>;
  close(): Promise<void>;
}

/** Opens nothing before it is used: a keeper that is away is no error. */
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
  return {
    config,
    ready: () => config.ready(),
    async close() {
      await config.close();
      remote?.close();
    },
  };
}
