import { type Clock, reconnectDelayMs, sleep } from '@malabar/core';
import type { EtcdClient, EtcdListing } from './client.js';
import type { EtcdChange } from './connection.js';
import { Broken, Compacted } from './errors.js';

/** Calls come one after the other and must not throw. */
export interface Follower {
  /** Everything that there is: first, and again whenever changes may have been missed. */
  reset(listing: EtcdListing): void;
  /** The changes of one commit. */
  changed(changes: EtcdChange[], revision: number): void;
  /** etcd does not answer; `reset` comes when it does again. Said once per outage. */
  lost(error: Error): void;
}

/** A watch that lived so long was a good one: what breaks it is the first failure of its kind. */
const STEADY_MS = 5000;

/** Follows a prefix until it is stopped, through broken streams, restarts and compactions of etcd. */
export function follow(
  client: EtcdClient,
  prefix: string,
  follower: Follower,
  { clock, random }: { clock: Clock; random: () => number },
): { stop(): void } {
  const stopped = new AbortController();
  const { signal } = stopped;

  async function run(): Promise<void> {
    let failures = 0;
    let lost = false;
    while (!signal.aborted) {
      const startedAtMs = clock.now();
      try {
        await listAndWatch(() => {
          lost = false;
        });
      } catch (error) {
        if (signal.aborted || error instanceof Compacted) continue;
        if (clock.now() - startedAtMs > STEADY_MS) failures = 0;
        const outage = !(error instanceof Broken);
        if (outage && !lost) follower.lost(error as Error);
        lost ||= outage;
        await sleep(clock, reconnectDelayMs(failures++, random), signal);
      }
    }
  }

  async function listAndWatch(answered: () => void): Promise<void> {
    const listing = await client.list(prefix);
    if (signal.aborted) return;
    answered();
    follower.reset(listing);
    const changed = (changes: EtcdChange[], revision: number) => {
      if (!signal.aborted) follower.changed(changes, revision);
    };
    await client.watch({ prefix, revision: listing.revision + 1 }, changed, signal);
  }

  void run();
  return { stop: () => stopped.abort() };
}
