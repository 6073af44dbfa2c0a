import { connect, type Socket } from 'node:net';
import type { keeper } from '@malabar/contracts';
import { type Clock, systemClock } from '@malabar/core';
import { createMetrics, type Logger } from '@malabar/telemetry';
import { eventually, logToMemory, seededRandom } from '@malabar/testkit';
import { onTestFinished } from 'vitest';
import { Ingest } from './ingest.js';
import { createIngestMetrics } from './metrics.js';
import { createSourceMetrics } from './sources/metrics.js';
import { queueConfig, StorageDouble } from './storage-double.suite.js';

export interface RigOptions {
  queues?: keeper.QueueConfig[];
  sources?: keeper.SourceConfig[];
  clock?: Clock;
  redis?: string;
  insecure?: boolean;
  connectionsMax?: number;
  connectionBytesMax?: number;
  totalBytesMax?: number;
  /** Default: whether the hash is `hash of <password>`. */
  verifyPassword?: (password: string, hash: string) => Promise<boolean>;
  storage?: StorageDouble;
  /** Default true. */
  configured?: boolean;
}

export interface Rig {
  ingest: Ingest;
  storage: StorageDouble;
  metrics: ReturnType<typeof createMetrics>;
  redis: number;
  pepperbus: number;
  http: number;
}

const listener = (listen: string) => ({ listen, enabled: true });
const port = (address: string | undefined): number => Number(address?.split(':').at(-1));

/** Ingest with real sockets before a storage double; stopped when the test ends. */
export async function startRig(options: RigOptions = {}): Promise<Rig> {
  const storage = options.storage ?? new StorageDouble();
  const metrics = createMetrics();
  const ingest = new Ingest({
    settings: {
      redis: listener(options.redis ?? '127.0.0.1:0'),
      pepperbus: listener('127.0.0.1:0'),
      http: listener('127.0.0.1:0'),
      insecure: options.insecure ?? false,
      connectionsMax: options.connectionsMax ?? 1000,
      connectionBytesMax: options.connectionBytesMax ?? 4 * 1024 * 1024,
      totalBytesMax: options.totalBytesMax ?? 256 * 1024 * 1024,
    },
    tls: undefined,
    storage: storage.client,
    clock: options.clock ?? systemClock,
    random: seededRandom(7),
    log: logToMemory<Logger>().log,
    metrics: createIngestMetrics(metrics),
    sourceMetrics: createSourceMetrics(metrics),
    node: 'test',
    instanceId: 'test',
    key: Buffer.alloc(32, 1),
    verifyPassword:
      options.verifyPassword ?? (async (password, hash) => hash === `hash of ${password}`),
  });
  onTestFinished(() => {
    storage.holding = false;
    storage.release();
    return ingest.stop();
  });
  const configured = options.configured ?? true;
  if (configured)
    ingest.configure({
      release: 1,
      queues: options.queues ?? [queueConfig('q')],
      schedules: [],
      sources: options.sources ?? [],
    });
  await ingest.start();
  if (!storage.down && configured) {
    await eventually(() => ingest.intake.notReady().length === 0);
  }
  const { redis, pepperbus, http } = ingest.addresses;
  return {
    ingest,
    storage,
    metrics,
    redis: port(redis),
    pepperbus: port(pepperbus),
    http: port(http),
  };
}

/** A raw client: what it sends and what it has received, byte by byte. */
export class RawClient {
  readonly socket: Socket;
  closed = false;
  #received = '';

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1' });
    this.socket.on('data', (chunk) => {
      this.#received += chunk.toString('latin1');
    });
    this.socket.on('error', () => {});
    this.socket.on('end', () => {
      this.closed = true;
    });
    this.socket.on('close', () => {
      this.closed = true;
    });
    onTestFinished(() => {
      this.socket.destroy();
    });
  }

  get received(): string {
    return this.#received;
  }

  send(text: string): void {
    if (text !== '') this.socket.write(text, 'latin1');
  }

  /** Sends, waits for exactly `reply` and forgets it. */
  async expect(text: string, reply: string): Promise<void> {
    this.send(text);
    await eventually(() => {
      if (this.#received.length >= reply.length || this.closed) return true;
      throw new Error(`received ${JSON.stringify(this.#received)}, waiting for ${reply}`);
    });
    if (!this.#received.startsWith(reply)) {
      throw new Error(`expected ${JSON.stringify(reply)}, got ${JSON.stringify(this.#received)}`);
    }
    this.#received = this.#received.slice(reply.length);
  }

  /** Sends and waits for what matches; forgets everything received. */
  async match(text: string, reply: RegExp): Promise<RegExpExecArray> {
    this.send(text);
    const found = await eventually(() => {
      const match = reply.exec(this.#received);
      if (match) return match;
      throw new Error(`received ${JSON.stringify(this.#received)}, waiting for ${reply}`);
    });
    this.#received = '';
    return found;
  }
}

/** A command in multi-bulk form. */
export function command(...args: string[]): string {
  return `*${args.length}\r\n${args.map((arg) => `$${arg.length}\r\n${arg}\r\n`).join('')}`;
}
