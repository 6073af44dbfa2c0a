import {
  type AmqpBinding,
  AmqpConnection,
  type AmqpExchange,
  AmqpFailure,
  type AmqpLink,
  type AmqpMessage,
  type AmqpProperties,
  type AmqpPublisher,
  addressOf,
  createAmqpLink,
} from '@malabar/amqp';
import { keeper } from '@malabar/contracts';
import type { BusError, Clock } from '@malabar/core';
import type { Logger } from '@malabar/telemetry';
import type { Intake } from '../intake.js';
import type { SourceMetrics } from './metrics.js';
import { SourceSession } from './session.js';

/** Refusals that are logged one by one. */
const LOG_PAUSE_MS = 1_000;
const TYPES: Partial<Record<keeper.RabbitmqExchangeType, AmqpExchange['type']>> = {
  [keeper.RabbitmqExchangeType.TOPIC]: 'topic',
  [keeper.RabbitmqExchangeType.DIRECT]: 'direct',
  [keeper.RabbitmqExchangeType.FANOUT]: 'fanout',
  [keeper.RabbitmqExchangeType.HEADERS]: 'headers',
};

/** What an operator wants to know of a source. */
export interface SourceFigures {
  name: string;
  push: string;
  address: string;
  connected: boolean;
  waiting: string;
  taken: number;
  acknowledged: number;
  refused: number;
  held: number;
  reconnects: number;
}

/** What every source is given. */
export interface SourceContext {
  intake: Intake;
  clock: Clock;
  random: () => number;
  log: Logger;
  metrics: SourceMetrics;
  /** Of this process, for RabbitMQ's list of connections. */
  node: string;
}

/** Bindings of an earlier configuration that are no longer wanted. */
export interface StaleBindings {
  exchange: string;
  bindings: readonly AmqpBinding[];
}

/** A RabbitMQ queue whose messages become jobs: consumed for ever, over one connection after the other. */
export class RabbitmqSource {
  readonly #context: SourceContext;
  readonly #link: AmqpLink;
  readonly #log: Logger;
  #session: SourceSession | undefined;
  #stale: StaleBindings | undefined;
  #counts = { taken: 0, acknowledged: 0, refused: 0 };
  #loggedAtMs = Number.NEGATIVE_INFINITY;
  #unlogged = 0;
  #lastReason = '';

  constructor(
    readonly config: keeper.SourceConfig,
    context: SourceContext,
    stale: StaleBindings | undefined,
  ) {
    const { clock, random, metrics, node, log } = context;
    this.#context = context;
    this.#stale = stale;
    this.#log = log.child({ source: config.name });
    this.#link = createAmqpLink({
      endpoint: config.server as keeper.RabbitmqServer,
      name: `malabar ${node}, source ${config.name}`,
      clock,
      random,
      begin: (connection) => this.#begin(connection),
      onUp: () => {
        this.#lastReason = '';
        metrics.connected(config.name);
        this.#log.info({ from: config.from }, 'consuming');
      },
      onDown: (reason) => {
        this.#session?.end();
        const level = reason === this.#lastReason ? 'debug' : 'warn';
        this.#lastReason = reason;
        this.#log[level]({ reason }, 'not consuming');
      },
    });
  }

  figures(): SourceFigures {
    const { name, push, from, server } = this.config;
    const { host, port, vhost } = addressOf(server as keeper.RabbitmqServer);
    const where = port === undefined ? host : `${host}:${port}`;
    return {
      name,
      push,
      address: `${where} vhost ${vhost} queue ${from}`,
      connected: this.#link.connection !== undefined,
      waiting: this.#link.reason || (this.#session?.reason ?? ''),
      ...this.#counts,
      held: this.#session?.size ?? 0,
      reconnects: this.#link.reconnects,
    };
  }

  /** Takes no more, acknowledges what becomes safe meanwhile and leaves the rest to RabbitMQ. */
  async stop(): Promise<void> {
    await this.#session?.stop();
    await this.#link.close();
  }

  async #begin(connection: AmqpConnection): Promise<void> {
    const { exchange, from, poison, bindings, prefetch } = this.config;
    if (exchange !== undefined) {
      const { name, declare, type } = exchange;
      await connection.exchange({ name, declare, type: TYPES[type] ?? 'topic' });
    }
    await connection.queue(from);
    await connection.queue(poison);
    if (exchange !== undefined) await connection.bind(from, exchange.name, bindings);
    await this.#unbind(connection);
    const session = this.#newSession(connection, this.#aside(connection));
    this.#session = session;
    session.consume(
      await connection.consume({
        queue: from,
        prefetch,
        onMessage: (message) => session.take(message),
      }),
    );
  }

  /**
   * Publishes over a connection of its own, made when there is something to put aside: while RabbitMQ is
   * short of memory or disk it reads nothing more from who has published, acknowledgements included.
   */
  #aside(consuming: AmqpConnection): (aside: ReturnType<typeof asideOf>) => Promise<void> {
    const { node } = this.#context;
    const { name, server } = this.config;
    const open = async (): Promise<AmqpPublisher> => {
      const title = `malabar ${node}, poison of source ${name}`;
      const connection = await AmqpConnection.open(server as keeper.RabbitmqServer, title);
      void consuming.ended.then(() => connection.close());
      void connection.ended.then((reason) => consuming.fail(reason));
      return connection.publisher();
    };
    let publisher: Promise<AmqpPublisher> | undefined;
    return async (aside) => {
      publisher ??= open();
      await (await publisher).publish(aside);
    };
  }

  async #unbind(connection: AmqpConnection): Promise<void> {
    if (this.#stale === undefined) return;
    const { exchange, bindings } = this.#stale;
    try {
      await connection.unbind(this.config.from, exchange, bindings);
      this.#stale = undefined;
    } catch (error) {
      this.#log.warn({ err: error, exchange }, 'old bindings stay');
    }
  }

  #newSession(
    connection: AmqpConnection,
    publish: (aside: ReturnType<typeof asideOf>) => Promise<void>,
  ): SourceSession {
    const { config } = this;
    const { metrics } = this.#context;
    return new SourceSession({
      ...this.#context,
      config,
      putAside: async (message, { code, message: words }) => {
        const reason = `${code}: ${words}`;
        try {
          await publish(asideOf(message, config, reason, message.properties.headers));
        } catch (error) {
          if (!(error instanceof AmqpFailure) || error.kind !== 'invalid') throw error;
          // Together with ours its headers are too long for the client library.
          await publish(asideOf(message, config, reason, { 'malabar-headers-left-out': 'all' }));
        }
      },
      onTaken: () => {
        this.#counts.taken++;
        metrics.taken(config.name, 1);
      },
      onAcknowledged: (messages) => {
        this.#counts.acknowledged += messages;
        metrics.acknowledged(config.name, messages);
      },
      onRefused: (message, reason) => this.#refused(message, reason),
      onBroken: (reason) => connection.fail(reason),
    });
  }

  #refused({ routingKey, properties }: AmqpMessage, { code, message: reason }: BusError): void {
    const { clock, metrics } = this.#context;
    this.#counts.refused++;
    metrics.refused(this.config.name, code);
    if (clock.now() - this.#loggedAtMs < LOG_PAUSE_MS) {
      this.#unlogged++;
      return;
    }
    const { messageId } = properties;
    const others = this.#unlogged;
    this.#log.warn({ code, reason, routingKey, messageId, others }, 'a message is put aside');
    this.#loggedAtMs = clock.now();
    this.#unlogged = 0;
  }
}

/** The message as the poison queue keeps it: as it was, with where it came from and what is wrong. */
function asideOf(
  { body, exchange, routingKey, properties }: AmqpMessage,
  { name, poison }: keeper.SourceConfig,
  reason: string,
  headers: AmqpProperties['headers'],
) {
  const said = {
    'malabar-source': name,
    'malabar-refused': reason,
    'malabar-exchange': exchange,
    'malabar-routing-key': routingKey,
  };
  return {
    exchange: '',
    routingKey: poison,
    body,
    properties: { ...properties, headers: { ...headers, ...said } },
  };
}
