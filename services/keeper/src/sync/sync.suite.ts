import { sync } from '@malabar/contracts';
import { Channel, type Clock, systemClock } from '@malabar/core';
import { connectKeeper, type KeeperClientOptions, openKeeperClient } from '@malabar/keeper-client';
import { bind, connect, serve } from '@malabar/rpc';
import { createMetrics, type Metrics } from '@malabar/telemetry';
import { logToMemory } from '@malabar/testkit';
import { onTestFinished } from 'vitest';
import type { Backend } from '../backend.js';
import { type Stage, stage } from '../config/store.suite.js';
import { Hub, type HubOptions } from './hub.js';
import { createSyncMetrics } from './metrics.js';
import { createSyncService } from './service.js';
import { SharedSyncDefinition } from './wire.js';

export interface Keeper extends Stage {
  hub: Hub;
  metrics: Metrics;
  address: string;
  port: number;
  stop(): Promise<void>;
}

/** A keeper's store and push on a backend, served over gRPC. */
export async function keeper(
  backend: Backend,
  options: Partial<HubOptions> & { listen?: string } = {},
): Promise<Keeper> {
  const { listen = '127.0.0.1:0', clock = systemClock, ...rest } = options;
  const store = await stage(backend);
  const metrics = createMetrics();
  const hub: Hub = new Hub({
    keeperId: 'keeper-1',
    source: store.store,
    reconcileMs: 30_000,
    mayReceive: () => true,
    metrics: createSyncMetrics(metrics, () => hub.size),
    clock,
    ...rest,
  });
  const bindings = [bind(SharedSyncDefinition, createSyncService(hub))];
  const server = await serve({ listen, bindings, log: logToMemory().log });
  const stop = async (): Promise<void> => {
    hub.close();
    await server.close();
  };
  onTestFinished(stop);
  const port = Number(server.address.split(':').at(-1));
  return { ...store, metrics, hub, address: server.address, port, stop };
}

type Message<Case> = Extract<sync.SyncResponse['message'], { $case: Case }>;

/** A node that says and hears messages as they are. */
export class RawNode {
  readonly #requests = new Channel<sync.SyncRequest>();
  readonly #responses: AsyncIterator<sync.SyncResponse>;
  readonly #closeClient: () => void;

  constructor(address: string, metadata: Record<string, string> = {}) {
    const client = connect(sync.SyncServiceDefinition, { address, ownConnection: true });
    this.#responses = client.sync(this.#requests, { metadata })[Symbol.asyncIterator]();
    this.#closeClient = () => client.close();
    onTestFinished(() => this.close());
  }

  say(message: sync.SyncRequest['message']): this {
    this.#requests.push({ message });
    return this;
  }

  hello(nodeId: string, more: Partial<sync.Hello> = {}): this {
    const value = sync.Hello.fromPartial({ nodeId, domains: [asking()], ...more } as sync.Hello);
    return this.say({ $case: 'hello', value });
  }

  report(release: number, refusal = ''): this {
    return this.say({ $case: 'report', value: { domain: 'shop', release, refusal } });
  }

  pull(domain = 'shop'): this {
    return this.say({ $case: 'pull', value: { domain } });
  }

  /** The next message, which must be of that kind. Throws the error with which the stream ended. */
  async hear<C extends NonNullable<sync.SyncResponse['message']>['$case']>(
    kind: C,
  ): Promise<Message<C>['value']> {
    const { done, value } = await this.#responses.next();
    if (done) throw new Error('the stream has ended');
    if (value.message?.$case !== kind) throw new Error(`heard ${JSON.stringify(value)}`);
    return value.message.value as Message<C>['value'];
  }

  close(): void {
    this.#requests.end();
    this.#closeClient();
  }
}

/** A raw node that has been welcomed. */
export async function welcomed(
  { address }: Keeper,
  nodeId: string,
  more: Partial<sync.Hello> = {},
): Promise<RawNode> {
  const node = new RawNode(address).hello(nodeId, more);
  await node.hear('welcome');
  return node;
}

/** What a node asks of `shop`: /app.conf, unless told otherwise. */
export function asking(more: Partial<sync.DomainSubscription> = {}): sync.DomainSubscription {
  return sync.DomainSubscription.fromPartial({
    domain: 'shop',
    subscriptions: [{ file: '/app.conf', section: '', verbatim: false }],
    ...more,
  });
}

/** The values of a notice's content as `key=value`. */
export function valuesOf({ config }: sync.Notice): string[] {
  const files = config?.files ?? [];
  return files.flatMap(({ values }) => values.map(({ key, raw }) => `${key}=${raw}`));
}

export interface ClientNode {
  client: ReturnType<typeof openKeeperClient>;
  /** Values of `a` in /app.conf, in the order in which they were taken over. */
  seen: string[];
  logs: ReturnType<typeof logToMemory>['entries'];
  current(): string | undefined;
}

export interface ClientNodeOptions extends KeeperClientOptions {
  onChange?(value: string): void | Promise<void>;
  clock?: Clock;
}

/** A program with our library that follows /app.conf of `shop`. */
export function clientNode(nodeId: string, options: ClientNodeOptions): ClientNode {
  const { addresses = [], onChange, ...rest } = options;
  const { log, entries: logs } = logToMemory();
  const services = options.services ?? connectKeeper({ addresses, ownConnection: true });
  const client = openKeeperClient({ ...rest, nodeId, services, log });
  const seen: string[] = [];
  const subscription = client.config.subscribe({
    domain: 'shop',
    subscriptions: ['/app.conf'],
    async onChange(_, view) {
      const value = view.string('app', 'a');
      await onChange?.(value);
      seen.push(value);
    },
  });
  onTestFinished(async () => {
    await client.close();
    if ('close' in services) (services.close as () => void)();
  });
  return { client, seen, logs, current: () => subscription.current?.string('app', 'a') };
}
