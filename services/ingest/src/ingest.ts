import type { Server as HttpServer } from 'node:http';
import type { Socket } from 'node:net';
import type { TlsOptions } from 'node:tls';
import type { ListenerSettings, MalabarConfig } from '@malabar/config';
import type { keeper } from '@malabar/contracts';
import { type Clock, isLoopback, parseListenAddress, sleep } from '@malabar/core';
import type { RequestLimits } from '@malabar/resp';
import type { Logger } from '@malabar/telemetry';
import type { AccessRules } from './access.js';
import { Connection, type Dialect, type GatheringBudget } from './connection.js';
import { Credentials } from './credentials.js';
import { Flusher } from './flusher.js';
import { createHttpServer } from './http/server.js';
import { Intake } from './intake.js';
import { adjustRequestLimits, createRequestLimits } from './limits.js';
import {
  admit,
  type ConnectionLimit,
  type Listener,
  listen,
  listenForSockets,
} from './listener.js';
import type { IngestMetrics } from './metrics.js';
import { PepperbusSession } from './pepperbus/session.js';
import type { RedisContext } from './redis/context.js';
import { RedisSession } from './redis/session.js';
import { Settler } from './settler.js';
import type { SourceMetrics } from './sources/metrics.js';
import { Sources } from './sources/sources.js';
import type { StorageClient } from './storage-client.js';

/** Producers whose jobs are on their way get this long to be answered when we stop. */
const DRAIN_TIMEOUT_MS = 10_000;

const FULL = '-ERR max number of clients reached\r\n';

export interface IngestOptions {
  settings: MalabarConfig['ingest'];
  tls: TlsOptions | undefined;
  storage: StorageClient;
  clock: Clock;
  random: () => number;
  log: Logger;
  metrics: IngestMetrics;
  sourceMetrics: SourceMetrics;
  instanceId: string;
  /** Name of the process, for others to see. */
  node: string;
  /** Random bytes that remembered passwords are hashed with. */
  key: Buffer;
  verifyPassword(password: string, hash: string): Promise<boolean>;
}

/** Where each protocol listens; undefined if it is switched off. */
export interface IngestAddresses {
  redis?: string;
  pepperbus?: string;
  http?: string;
}

/** The way in: intake, its protocols with their listeners, and sources. */
export class Ingest {
  readonly intake: Intake;
  readonly rules: AccessRules;
  readonly sources: Sources;
  readonly addresses: IngestAddresses = {};
  readonly #options: IngestOptions;
  readonly #credentials: Credentials;
  readonly #limits: RequestLimits = createRequestLimits();
  readonly #limit: ConnectionLimit;
  readonly #gathering: GatheringBudget;
  readonly #flusher = new Flusher();
  readonly #connections = new Set<Connection>();
  readonly #listeners: Listener[] = [];
  readonly #settler: Settler;
  readonly #startedAtMs: number;
  #http: HttpServer | undefined;
  #lastId = 0;

  constructor(options: IngestOptions) {
    const { settings, storage, clock, random, log, metrics, key, verifyPassword } = options;
    this.#options = options;
    const { totalBytesMax } = settings;
    this.intake = new Intake({ storage, clock, random, log, metrics, totalBytesMax });
    this.#credentials = new Credentials({ clock, key, verify: verifyPassword });
    this.rules = { intake: this.intake, credentials: this.#credentials };
    this.#limit = { open: 0, max: settings.connectionsMax };
    this.#gathering = { bytes: 0, bytesMax: totalBytesMax };
    const { node, sourceMetrics } = options;
    const { intake } = this;
    this.sources = new Sources({ intake, clock, random, log, node, metrics: sourceMetrics });
    this.#settler = new Settler(storage);
    this.#startedAtMs = clock.now();
  }

  /** Open connections over all listeners. */
  get connections(): number {
    return this.#limit.open;
  }

  /** Takes a release of the configuration into use. */
  configure(config: keeper.BusConfig): void {
    this.intake.configure(config);
    adjustRequestLimits(this.#limits, this.intake.largestBody);
    const hashes = config.queues.flatMap((queue) => [
      queue.passwordHash,
      ...queue.topics.map((topic) => topic.passwordHash),
    ]);
    this.#credentials.keep(new Set(hashes));
    this.sources.configure(config.sources);
  }

  /** Opens the listeners that are switched on. Rejects if an address cannot be had. */
  async start(): Promise<void> {
    const { redis, pepperbus, http } = this.#options.settings;
    try {
      if (redis.enabled) this.addresses.redis = await this.#startRedis(redis);
      if (pepperbus.enabled) this.addresses.pepperbus = await this.#startPepperbus(pepperbus);
      if (http.enabled) this.addresses.http = await this.#startHttp(http);
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.#options.log.info(this.addresses, 'listening');
  }

  /** Takes no new connection, answers what is in flight, then closes. */
  async drain(): Promise<void> {
    const closed = this.#listeners.map((listener) => listener.close());
    for (const connection of this.#connections) connection.end();
    this.#http?.closeIdleConnections();
    const stopped = this.sources.stop();
    const patience = new AbortController();
    const late = sleep(this.#options.clock, DRAIN_TIMEOUT_MS, patience.signal);
    await Promise.race([Promise.all([...closed, stopped]), late]);
    patience.abort();
  }

  /** Closes everything. */
  async stop(): Promise<void> {
    const closed = this.#listeners.map((listener) => listener.close());
    for (const connection of this.#connections) connection.socket.destroy();
    this.#http?.closeAllConnections();
    await Promise.all([...closed, this.sources.stop()]);
    await this.intake.close();
  }

  #startRedis({ listen: address }: ListenerSettings): Promise<string> {
    const { storage, clock, instanceId, metrics } = this.#options;
    const context: RedisContext = {
      intake: this.intake,
      rules: this.rules,
      storage,
      settler: this.#settler,
      clock,
      open: this.#opens('redis', address),
      figures: {
        instanceId,
        startedAtMs: this.#startedAtMs,
        connections: () => this.#limit.open,
        accepted: () => metrics.totals.accepted,
        refused: () => metrics.totals.refused,
      },
    };
    return this.#listen('redis', address, (socket) => {
      return new RedisSession(context, ++this.#lastId, peerOf(socket));
    });
  }

  #startPepperbus({ listen: address }: ListenerSettings): Promise<string> {
    const { storage, random } = this.#options;
    const open = this.#opens('pepperbus', address);
    const context = { intake: this.intake, rules: this.rules, storage, random, open };
    return this.#listen('pepperbus', address, (socket) => {
      return new PepperbusSession(context, peerOf(socket));
    });
  }

  async #startHttp({ listen: address }: ListenerSettings): Promise<string> {
    const { clock, log, settings, tls, metrics } = this.#options;
    const server = createHttpServer({
      intake: this.intake,
      rules: this.rules,
      clock,
      log,
      tls,
      gathering: this.#gathering,
      bytesMax: settings.connectionBytesMax,
      open: this.#opens('http', address),
    });
    server.on(tls ? 'secureConnection' : 'connection', (socket: Socket) => {
      admit(socket, { limit: this.#limit, metrics, protocol: 'http', fullText: '' });
    });
    this.#http = server;
    return this.#opened(await listen(server, address));
  }

  async #listen(
    protocol: 'redis' | 'pepperbus',
    address: string,
    dialect: (socket: Socket) => Dialect,
  ): Promise<string> {
    const { tls, metrics } = this.#options;
    const listener = await listenForSockets({
      listen: address,
      protocol,
      tls,
      limit: this.#limit,
      metrics,
      fullText: FULL,
      onSocket: (socket) => this.#connect(socket, dialect(socket)),
    });
    return this.#opened(listener);
  }

  #opened(listener: Listener): string {
    this.#listeners.push(listener);
    return listener.address;
  }

  #connect(socket: Socket, dialect: Dialect): void {
    const { clock, metrics, settings } = this.#options;
    const connection: Connection = new Connection(socket, {
      dialect,
      limits: this.#limits,
      flusher: this.#flusher,
      clock,
      metrics,
      bytesMax: settings.connectionBytesMax,
      gathering: this.#gathering,
      onClosed: () => this.#connections.delete(connection),
    });
    this.#connections.add(connection);
  }

  #opens(protocol: string, address: string): boolean {
    const { settings, log } = this.#options;
    const loopback = isLoopback(parseListenAddress(address).host);
    if (!loopback && settings.insecure) {
      log.warn(
        { protocol, address },
        'insecure: queues without a password are open to the network',
      );
    }
    return loopback || settings.insecure;
  }
}

function peerOf(socket: Socket): string {
  return `${socket.remoteAddress}:${socket.remotePort}`;
}
