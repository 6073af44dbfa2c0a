import type { MalabarConfig } from '@malabar/config';
import { type election, scheduler } from '@malabar/contracts';
import { type Clock, reconnectDelayMs, sleep } from '@malabar/core';
import type { KeeperClient } from '@malabar/keeper-client';
import { type Client, connect } from '@malabar/rpc';
import { ELECTION } from './scheduler.js';

type SchedulerClient = Client<typeof scheduler.SchedulerServiceDefinition>;

export interface LeaderLinkOptions {
  election: Client<typeof election.ElectionServiceDefinition>;
  discovery: KeeperClient['discovery'];
  grpc: Pick<MalabarConfig['grpc'], 'tls' | 'token'>;
  clock: Clock;
  random: () => number;
}

/** The holder of the office is `<node>/<life>`. */
const nodeOf = (holder: string): string => holder.slice(0, Math.max(0, holder.lastIndexOf('/')));

/** Knows who leads and how to reach it. */
export class LeaderLink {
  readonly #stopping = new AbortController();
  #name = '';
  #addresses: ReadonlyMap<string, string> = new Map();
  #client: { address: string; client: SchedulerClient & { close(): void } } | undefined;
  #leave: () => void = () => {};

  constructor(private readonly options: LeaderLinkOptions) {}

  /** Its node; empty if nobody is known to lead. */
  get name(): string {
    return this.#name;
  }

  start(): void {
    this.#leave = this.options.discovery.watch('scheduler', ({ instances }) => {
      this.#addresses = new Map(instances.map(({ id, addresses }) => [id, addresses.grpc ?? '']));
    });
    void this.#follow();
  }

  /** Undefined while it is not known where the leader is. */
  client(): SchedulerClient | undefined {
    const address = this.#addresses.get(this.#name) ?? '';
    if (this.#client?.address === address) return this.#client.client;
    this.#client?.client.close();
    this.#client = undefined;
    if (address === '') return undefined;
    const client = connect(scheduler.SchedulerServiceDefinition, { address, ...this.options.grpc });
    this.#client = { address, client };
    return client;
  }

  stop(): void {
    this.#stopping.abort();
    this.#leave();
    this.#client?.client.close();
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
