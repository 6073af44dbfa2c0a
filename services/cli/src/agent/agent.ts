import type { Environment } from '@malabar/config';
import type { Clock } from '@malabar/core';
import { type KeeperClient, openKeeperClient } from '@malabar/keeper-client';
import type { Logger } from '@malabar/telemetry';
import { Outputs } from './outputs.js';
import type { AgentSettings, FollowedDomain } from './settings.js';
import { valueFiles } from './value-files.js';

/** A node that has no program of its own: it keeps files equal to what the keeper gives it. */
export interface Agent {
  /** Resolves when every file is written for the first time; rejects if one cannot be. */
  written: Promise<void>;
  /** Resolves when what is under way is done; the files stay. */
  stop(): Promise<void>;
}

export interface AgentContext {
  env: Environment;
  clock: Clock;
  log: Logger;
}

/** Follows every domain of the settings. A keeper that is away is no error. */
export function startAgent(settings: AgentSettings, context: AgentContext): Agent {
  const client = openClient(settings, context);
  const followers = settings.domains.map((domain) => follow(client, domain, context));
  return {
    written: Promise.all(followers.map(({ written }) => written)).then(() => {}),
    async stop() {
      await client.close();
      await Promise.all(followers.map(({ idle }) => idle()));
    },
  };
}

function openClient(settings: AgentSettings, { env, clock, log }: AgentContext): KeeperClient {
  const { keepers, node, component, zone, tags, tls, snapshotFile, override } = settings;
  return openKeeperClient({
    addresses: keepers,
    nodeId: node,
    component,
    zone,
    tags,
    tls,
    token: settings.token?.reveal(env),
    snapshotFile,
    snapshotKey: settings.snapshotKey?.reveal(env),
    overrideFile: override,
    clock,
    log,
  });
}

interface Follower {
  written: Promise<void>;
  /** Resolves when no write is under way. */
  idle(): Promise<void>;
}

function follow(
  client: KeeperClient,
  { domain, subscriptions, outputs }: FollowedDomain,
  { clock, log }: AgentContext,
): Follower {
  const files = new Outputs(outputs, { clock, log: log.child({ domain }) });
  let working: Promise<void> = Promise.resolve();
  const written = new Promise<void>((resolve, reject) => {
    client.config.subscribe({
      domain,
      subscriptions,
      onChange(_changes, view) {
        const work = files.apply(valueFiles(view, subscriptions));
        work.then(resolve, reject);
        working = work.catch(() => {});
        return work;
      },
    });
  });
  // Whoever waits for it sees the rejection; whoever does not reads it in the log as a refusal.
  written.catch(() => {});
  return { written, idle: () => working };
}
