import type { election, scheduler } from '@malabar/contracts';
import { type Clock, reconnectDelayMs, sleep } from '@malabar/core';
import type { Client } from '@malabar/rpc';
import type { Peers } from './peers.js';
import { ELECTION } from './scheduler.js';

type Definition = typeof scheduler.SchedulerServiceDefinition;

export interface LeaderLinkOptions {
  election: Client<typeof election.ElectionServiceDefinition>;
  schedulers: Peers<Definition>;
  clock: Clock;
  random: () => number;
}

/** The holder of the office is `<node>/<life>`. */
const nodeOf = (holder: string): string => holder.slice(0, Math.max(0, holder.lastIndexOf('/')));

/** Knows who leads and how to reach it. */
export class LeaderLink {
  readonly #stopping = new AbortController();
  #name = '';

  constructor(private readonly options: LeaderLinkOptions) {}

  /** Its node; empty if nobody is known to lead. */
  get name(): string {
    return this.#name;
  }

  start(): void {
    void this.#follow();
  }

  /** Undefined while it is not known where the leader is. */
  client(): Client<Definition> | undefined {
    return this.options.schedulers.client(this.#name);
  }

  stop(): void {
    this.#stopping.abort();
  }

  async #follow(): Promise<void> {
    const { election, clock, random } = this.options;
    const { signal } = this.#stopping;
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        for await (const { holder } of election.observe({ name: ELECTION }, { signal })) {
          this.#name = nodeOf(holder);
          failures = 0;
        }
      } catch {
        // Whoever led before may still; the keeper tells when it is back.
      }
      await sleep(clock, reconnectDelayMs(failures, random), signal);
    }
  }
}
