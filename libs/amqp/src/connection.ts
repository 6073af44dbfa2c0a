import type { Socket } from 'node:net';
import { type Channel, type ChannelModel, connect, type Message } from 'amqplib';
import { type AmqpEndpoint, addressOf } from './endpoint.js';
import { wordsOf } from './failure.js';
import { type AmqpMessage, propertiesOf } from './message.js';
import { AmqpPublisher } from './publisher.js';

const OPEN_TIMEOUT_MS = 10_000;
/** A peer that says nothing for twice as long is gone. */
const HEARTBEAT_SECONDS = 15;
const CLOSE_TIMEOUT_MS = 2_000;
const NOT_FOUND = 404;
const NOT_OPENED = 'Expected ConnectionOpenOk; got <ConnectionClose';

/** An exchange that is needed. */
export interface AmqpExchange {
  name: string;
  type: 'topic' | 'direct' | 'fanout' | 'headers';
  /** Declare it, durable; else it must be there. */
  declare: boolean;
}

/** What of an exchange a queue gets. */
export interface AmqpBinding {
  routingKey: string;
  /** Of a headers exchange, `x-match` included. */
  headers: Readonly<Record<string, string>>;
}

export interface ConsumeOptions {
  queue: string;
  /** Messages that may be out without having been acknowledged. */
  prefetch: number;
  onMessage(message: AmqpMessage): void;
}

/** A consumer on a channel of its own. */
export interface AmqpConsumer {
  /** Acknowledges a message, or all up to it. Nothing happens once the connection has ended. */
  ack(tag: number, allUpTo: boolean): void;
  /** No further message comes; those that are out can still be acknowledged. */
  cancel(): Promise<void>;
}

/**
 * One connection with its channels. The first thing that goes wrong with any of them ends it as a whole,
 * so that there is one way to begin anew. What rejects does so with the words of RabbitMQ.
 */
export class AmqpConnection {
  /** Resolves to why it ended; to nothing if it was closed by us. */
  readonly ended: Promise<string>;
  readonly #model: ChannelModel;
  readonly #channels = new Set<Channel>();
  #end: (reason: string) => void = () => {};
  #blocked = '';
  #closing: Promise<void> | undefined;

  private constructor(model: ChannelModel) {
    this.#model = model;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    model.on('error', (error) => this.#end(wordsOf(error)));
    model.on('close', (error) => this.#end(error === undefined ? 'closed' : wordsOf(error)));
    model.on('blocked', (reason) => {
      this.#blocked = reason || 'blocked';
    });
    model.on('unblocked', () => {
      this.#blocked = '';
    });
  }

  /** Connects; `name` is what RabbitMQ's list of connections shows. */
  static async open(endpoint: AmqpEndpoint, name: string): Promise<AmqpConnection> {
    const { protocol, host, port, vhost } = addressOf(endpoint);
    const { user: username, password } = endpoint;
    try {
      const model = await connect(
        {
          protocol,
          hostname: host,
          port,
          username,
          password,
          // The library decodes it once more.
          vhost: encodeURIComponent(vhost),
          heartbeat: HEARTBEAT_SECONDS,
        },
        {
          timeout: OPEN_TIMEOUT_MS,
          noDelay: true,
          clientProperties: { connection_name: name },
        },
      );
      return new AmqpConnection(model);
    } catch (error) {
      const words = wordsOf(error);
      // The library keeps RabbitMQ's own words to itself here.
      if (!words.startsWith(NOT_OPENED)) throw new Error(words);
      throw new Error(`there is no vhost '${vhost}', or user '${username}' may not use it`);
    }
  }

  /** Why RabbitMQ takes no messages for now (its memory, its disk); empty if it does. */
  get blocked(): string {
    return this.#blocked;
  }

  /** Makes sure of an exchange. */
  async exchange({ name, type, declare }: AmqpExchange): Promise<void> {
    await this.#once((channel) =>
      declare ? channel.assertExchange(name, type, { durable: true }) : channel.checkExchange(name),
    );
  }

  /**
   * Makes sure of a queue; resolves to how many messages wait in it. One that is there is taken as it is,
   * whatever its arguments.
   */
  async queue(name: string): Promise<number> {
    try {
      return (await this.#once((channel) => channel.checkQueue(name))).messageCount;
    } catch (error) {
      if ((error as { code?: number }).code !== NOT_FOUND) throw error;
      await this.#once((channel) => channel.assertQueue(name, { durable: true }));
      return 0;
    }
  }

  /** Removes a queue with what is in it. */
  async deleteQueue(name: string): Promise<void> {
    await this.#once((channel) => channel.deleteQueue(name));
  }

  async deleteExchange(name: string): Promise<void> {
    await this.#once((channel) => channel.deleteExchange(name));
  }

  async bind(queue: string, exchange: string, bindings: readonly AmqpBinding[]): Promise<void> {
    await this.#once(async (channel) => {
      for (const { routingKey, headers } of bindings)
        await channel.bindQueue(queue, exchange, routingKey, headers);
    });
  }

  /** A binding that is not there is no error. */
  async unbind(queue: string, exchange: string, bindings: readonly AmqpBinding[]): Promise<void> {
    await this.#once(async (channel) => {
      for (const { routingKey, headers } of bindings)
        await channel.unbindQueue(queue, exchange, routingKey, headers);
    });
  }

  /** Begins to consume; messages come from the moment on in which this resolves, or a little before. */
  async consume({ queue, prefetch, onMessage }: ConsumeOptions): Promise<AmqpConsumer> {
    const channel = this.#watched(await this.#model.createChannel());
    await channel.prefetch(prefetch);
    const { consumerTag } = await channel.consume(queue, (message) => {
      if (message === null) this.#end(`the queue '${queue}' was deleted`);
      else onMessage(messageOf(message));
    });
    return {
      ack(tag, allUpTo) {
        try {
          channel.ack({ fields: { deliveryTag: tag } } as Message, allUpTo);
        } catch {
          // The channel has ended, and RabbitMQ gives the message to somebody else.
        }
      },
      cancel: async () => {
        await channel.cancel(consumerTag);
      },
    };
  }

  async publisher(): Promise<AmqpPublisher> {
    return new AmqpPublisher(this.#watched(await this.#model.createConfirmChannel()));
  }

  /** Ends it because of something that its user has found. */
  fail(reason: string): void {
    this.#end(reason);
  }

  /** Says what is still to be said and closes; cuts the connection after 2 s. Never rejects. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#end('closed');
    const { stream } = this.#model.connection as { stream?: Socket };
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_TIMEOUT_MS);
    });
    await Promise.race([late, this.#closePolitely().catch(() => {})]);
    clearTimeout(timer);
    stream?.destroy();
  }

  /** A channel that ends with its connection may not have read the last acknowledgements. */
  async #closePolitely(): Promise<void> {
    await Promise.allSettled([...this.#channels].map((channel) => channel.close()));
    await this.#model.close();
  }

  /** A channel for questions that RabbitMQ answers by closing it when it does not like them. */
  async #once<T>(ask: (channel: Channel) => Promise<T>): Promise<T> {
    const channel = await this.#model.createChannel();
    channel.on('error', () => {});
    try {
      const answer = await ask(channel);
      await channel.close();
      return answer;
    } catch (thrown) {
      throw Object.assign(new Error(wordsOf(thrown)), { code: (thrown as { code?: number }).code });
    }
  }

  #watched<C extends Channel>(channel: C): C {
    this.#channels.add(channel);
    channel.on('error', (error) => this.#end(wordsOf(error)));
    channel.on('close', () => this.#end('the channel was closed'));
    return channel;
  }
}

function messageOf({ content, fields, properties }: Message): AmqpMessage {
  const { deliveryTag: tag, redelivered, exchange, routingKey } = fields;
  return {
    tag,
    body: content,
    redelivered,
    exchange,
    routingKey,
    properties: propertiesOf(properties),
  };
}
