import { AmqpConnection, type AmqpMessage, type AmqpProperties } from '@malabar/amqp';
import { keeper } from '@malabar/contracts';
import type { RabbitmqServer } from '@malabar/testkit';
import { onTestFinished } from 'vitest';

/** A source of `server` with the defaults of the configuration, from a queue of its own. */
export function sourceConfig(
  server: RabbitmqServer,
  changes: Partial<keeper.SourceConfig> & { name: string },
): keeper.SourceConfig {
  const { url, user, password } = server;
  const from = changes.from ?? `malabar.${changes.name}`;
  return {
    server: { url, user, password },
    exchange: undefined,
    bindings: [],
    from,
    poison: `${from}.poison`,
    push: 'q',
    body: keeper.SourceBody.RAW,
    prefetch: 500,
    unique: true,
    ...changes,
  };
}

export const exchangeConfig = (
  name: string,
  type = keeper.RabbitmqExchangeType.TOPIC,
  declare = true,
): keeper.RabbitmqExchange => ({ name, type, declare });

export const routedBy = (...routingKeys: string[]): keeper.RabbitmqBinding[] =>
  routingKeys.map((routingKey) => ({ routingKey, headers: {} }));

/** Somebody else who uses the same RabbitMQ. */
export interface Peer {
  /** Resolves when RabbitMQ has it; rejects if no queue gets it. */
  publish(
    exchange: string,
    routingKey: string,
    body: string | Uint8Array,
    properties?: AmqpProperties,
  ): Promise<void>;
  /** Messages that wait in a queue. */
  count(queue: string): Promise<number>;
  /** Takes every message of a queue as it comes. */
  drain(queue: string): Promise<AmqpMessage[]>;
  connection: AmqpConnection;
}

export async function connectPeer(server: RabbitmqServer): Promise<Peer> {
  const connection = await AmqpConnection.open(server, 'peer');
  onTestFinished(() => connection.close());
  const publisher = await connection.publisher();
  return {
    connection,
    publish: (exchange, routingKey, body, properties = {}) =>
      publisher.publish({ exchange, routingKey, body: Buffer.from(body), properties }),
    count: (queue) => connection.queue(queue),
    async drain(queue) {
      const got: AmqpMessage[] = [];
      const consumer = await connection.consume({
        queue,
        prefetch: 0,
        onMessage(message) {
          got.push(message);
          setImmediate(() => consumer.ack(message.tag, false));
        },
      });
      return got;
    },
  };
}
