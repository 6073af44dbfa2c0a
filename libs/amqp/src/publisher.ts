import { type ConfirmChannel, IllegalOperationError, type Message } from 'amqplib';
import { AmqpFailure, wordsOf } from './failure.js';
import type { AmqpProperties } from './message.js';

/** A message on its way out; it is persistent. */
export interface AmqpPublication {
  /** Empty for the default exchange. */
  exchange: string;
  routingKey: string;
  body: Uint8Array;
  properties: AmqpProperties;
}

/** What the library calls a basic.nack; a channel that is closed tells its messages too. */
const NACKED = 'message nacked';

interface Pending {
  messageId: string;
  returned: boolean;
  lose(): void;
}

/** Publishes with confirms over a channel of its own. */
export class AmqpPublisher {
  readonly #channel: ConfirmChannel;
  readonly #pending = new Set<Pending>();
  #drained: Promise<void> | undefined;
  #closed = false;

  constructor(channel: ConfirmChannel) {
    this.#channel = channel;
    channel.on('return', (message) => this.#returned(message));
    channel.on('close', () => this.#lost());
  }

  /**
   * Resolves when RabbitMQ has the message in a queue: on disk where the queue is durable. Rejects with an
   * AmqpFailure. Waits while the socket is full. Of messages with the same id that are under way at
   * once, one that cannot be routed counts for all.
   */
  async publish(publication: AmqpPublication): Promise<void> {
    while (this.#drained !== undefined) await this.#drained;
    if (this.#closed) throw unsent();
    await new Promise<void>((resolve, reject) => this.#send(publication, { resolve, reject }));
  }

  #send(
    { exchange, routingKey, body, properties }: AmqpPublication,
    { resolve, reject }: { resolve(): void; reject(failure: AmqpFailure): void },
  ): void {
    const { messageId = '' } = properties;
    const pending: Pending = { messageId, returned: false, lose: () => reject(lost()) };
    const confirmed = (error: unknown): void => {
      if (!this.#pending.delete(pending)) return;
      if (error !== null) reject(wordsOf(error) === NACKED ? refused() : lost());
      else if (pending.returned) reject(unroutable(exchange, routingKey));
      else resolve();
    };
    this.#pending.add(pending);
    const options = { ...properties, mandatory: true, persistent: true };
    try {
      const content = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
      if (!this.#channel.publish(exchange, routingKey, content, options, confirmed)) this.#wait();
    } catch (error) {
      this.#pending.delete(pending);
      reject(isClosed(error) ? unsent() : new AmqpFailure('invalid', wordsOf(error)));
    }
  }

  /** The event comes before the confirm of its message. */
  #returned({ properties }: Message): void {
    for (const pending of this.#pending)
      if (pending.messageId === (properties.messageId ?? '')) pending.returned = true;
  }

  #wait(): void {
    this.#drained ??= new Promise<void>((resolve) => {
      const go = (): void => {
        this.#drained = undefined;
        resolve();
      };
      this.#channel.once('drain', go);
      this.#channel.once('close', go);
    });
  }

  #lost(): void {
    this.#closed = true;
    const pending = [...this.#pending];
    this.#pending.clear();
    for (const { lose } of pending) lose();
  }
}

/** What the library throws where a channel or its connection is about to end, or has ended. */
const isClosed = (error: unknown): boolean => error instanceof IllegalOperationError;

const unsent = (): AmqpFailure =>
  new AmqpFailure('unsent', 'the connection to RabbitMQ ended before the message was sent');

const refused = (): AmqpFailure =>
  new AmqpFailure('refused', 'RabbitMQ did not take the message (basic.nack); a queue may be full');

const lost = (): AmqpFailure =>
  new AmqpFailure('lost', 'the connection to RabbitMQ ended before it confirmed the message');

function unroutable(exchange: string, routingKey: string): AmqpFailure {
  const where = exchange === '' ? 'there is no queue' : `no queue of exchange '${exchange}' gets`;
  const what = exchange === '' ? `'${routingKey}'` : `the routing key '${routingKey}'`;
  return new AmqpFailure('unroutable', `${where} ${what}`);
}
