import {
  type AmqpConnection,
  type AmqpExchange,
  AmqpFailure,
  type AmqpPublisher,
  addressOf,
  createAmqpLink,
} from '@malabar/amqp';
import { keeper } from '@malabar/contracts';
import { type Clock, sleep } from '@malabar/core';
import type { Logger } from '@malabar/telemetry';
import type { Delivery } from '../delivery.js';
import type { Attempt, Target } from '../target.js';
import { dead, done, notDelivered, retry, type Verdict } from '../verdict.js';
import { publicationOf, RoutingKeyError } from './rabbitmq-message.js';

const TYPES: Partial<Record<keeper.RabbitmqExchangeType, AmqpExchange['type']>> = {
  [keeper.RabbitmqExchangeType.TOPIC]: 'topic',
  [keeper.RabbitmqExchangeType.DIRECT]: 'direct',
  [keeper.RabbitmqExchangeType.FANOUT]: 'fanout',
  [keeper.RabbitmqExchangeType.HEADERS]: 'headers',
};

export interface RabbitmqTargetOptions {
  target: keeper.RabbitmqTarget;
  clock: Clock;
  random: () => number;
  log: Logger;
  /** Of this process, for RabbitMQ's list of connections. */
  node: string;
}

/** What publishes while a connection lasts. */
interface Open {
  connection: AmqpConnection;
  publisher: AmqpPublisher;
}

/** An exchange of RabbitMQ: one persistent message for each delivery, done once it is confirmed. */
export function createRabbitmqTarget(options: RabbitmqTargetOptions): Target {
  const { target, clock, random, log, node } = options;
  const server = target.server as keeper.RabbitmqServer;
  let open: Open | undefined;
  let lastReason = '';
  const link = createAmqpLink({
    endpoint: server,
    name: `malabar ${node}, target ${target.exchange?.name ?? ''}`,
    clock,
    random,
    async begin(connection) {
      const { exchange } = target;
      if (exchange !== undefined) {
        const { name, declare, type } = exchange;
        await connection.exchange({ name, declare, type: TYPES[type] ?? 'topic' });
      }
      open = { connection, publisher: await connection.publisher() };
    },
    onUp() {
      lastReason = '';
    },
    onDown(reason) {
      open = undefined;
      const level = reason === lastReason ? 'debug' : 'warn';
      lastReason = reason;
      log[level]({ reason, address: addressText(target) }, 'no connection to RabbitMQ');
    },
  });
  return {
    kind: 'rabbitmq',
    address: addressText(target),
    chunkMax: 1,
    pinged: false,
    deliver: async (attempt) => {
      if (open === undefined) return notDelivered(`not connected to RabbitMQ: ${link.reason}`);
      const { blocked } = open.connection;
      if (blocked !== '') return notDelivered(`RabbitMQ takes no messages now: ${blocked}`);
      try {
        return await publish(open.publisher, attempt, options);
      } catch (error) {
        return failed(error, target);
      }
    },
    ping: async () => '',
    close: () => link.close(),
  };
}

async function publish(
  publisher: AmqpPublisher,
  { queue, topic, deliveries, timeoutMs }: Attempt,
  { target, clock }: RabbitmqTargetOptions,
): Promise<Verdict> {
  const publication = publicationOf(target, { queue, topic }, deliveries[0] as Delivery);
  const patience = new AbortController();
  const late = sleep(clock, timeoutMs, patience.signal).then(() => true);
  const confirmed = publisher.publish(publication).then(() => false);
  // Of one that is late nobody wants to know any more.
  confirmed.catch(() => {});
  try {
    if (!(await Promise.race([confirmed, late]))) return done;
    return { ...retry('TIMEOUT', `RabbitMQ did not confirm within ${timeoutMs} ms`), blocks: true };
  } finally {
    patience.abort();
  }
}

function failed(error: unknown, { unroutableOk }: keeper.RabbitmqTarget): Verdict {
  if (error instanceof RoutingKeyError) return dead('NO_ROUTING_KEY', error.message);
  if (!(error instanceof AmqpFailure)) return retry('UNREADABLE', (error as Error).message);
  switch (error.kind) {
    case 'unroutable':
      return unroutableOk ? done : retry('UNROUTABLE', error.message);
    case 'unsent':
      return notDelivered(`not connected to RabbitMQ: ${error.message}`);
    case 'refused':
      return retry('REFUSED', error.message);
    case 'invalid':
      return dead('INVALID', error.message);
    default:
      // The others need not follow it into a connection that is gone.
      return { ...retry('NOT_CONFIRMED', error.message), blocks: true };
  }
}

function addressText({ server, exchange }: keeper.RabbitmqTarget): string {
  const { host, port, vhost } = addressOf(server as keeper.RabbitmqServer);
  const where = port === undefined ? host : `${host}:${port}`;
  return `${where} vhost ${vhost} ${exchange === undefined ? 'queues' : `exchange ${exchange.name}`}`;
}
