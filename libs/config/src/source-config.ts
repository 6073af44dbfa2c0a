import { keeper } from '@malabar/contracts';
import type { KeyFault } from './faults.js';
import type { ExchangeType, RabbitmqDocument, RabbitmqServerDocument } from './rabbitmq.js';
import type { SourceDocument } from './source.js';
import { suggestion } from './suggestion.js';
import { quoted } from './units.js';

const BODY = {
  raw: keeper.SourceBody.RAW,
  json: keeper.SourceBody.JSON,
  php: keeper.SourceBody.PHP,
};
const TYPE = {
  topic: keeper.RabbitmqExchangeType.TOPIC,
  direct: keeper.RabbitmqExchangeType.DIRECT,
  fanout: keeper.RabbitmqExchangeType.FANOUT,
  headers: keeper.RabbitmqExchangeType.HEADERS,
};

/** A source as ingest reads it. Its password is at hand. */
export function sourceConfig(name: string, source: SourceDocument): keeper.SourceConfig {
  const { push, body, prefetch, unique } = source;
  const from = source.from ?? `malabar.${name}`;
  return {
    name,
    server: serverConfig(source.rabbitmq),
    exchange: exchangeConfig(source),
    bindings: source.bind.map((pattern) =>
      typeof pattern === 'string'
        ? { routingKey: pattern, headers: {} }
        : { routingKey: '', headers: pattern },
    ),
    from,
    poison: source.poison ?? `${from}.poison`,
    push,
    body: BODY[body],
    prefetch,
    unique,
  };
}

/** The target as the dispatchers read it. */
export function rabbitmqConfig(target: RabbitmqDocument): keeper.RabbitmqTarget {
  return {
    server: serverConfig(target),
    exchange: exchangeConfig(target),
    routingKey: target.key,
    unroutableOk: target.unroutable === 'done',
  };
}

function serverConfig({ url, user, password }: RabbitmqServerDocument): keeper.RabbitmqServer {
  return { url, user, password: password.reveal() };
}

interface Exchange {
  exchange?: string;
  type: ExchangeType;
  declare: boolean;
}

function exchangeConfig({
  exchange,
  type,
  declare,
}: Exchange): keeper.RabbitmqExchange | undefined {
  return exchange === undefined ? undefined : { name: exchange, type: TYPE[type], declare };
}

/**
 * Faults between sources and queues; paths begin with the source's name. `queues` is undefined if they are
 * kept elsewhere. Documents may have faults.
 */
export function sourceFaults(
  sources: Readonly<Record<string, unknown>>,
  queues: readonly string[] | undefined,
): KeyFault[] {
  if (queues === undefined) return [];
  return Object.entries(sources).flatMap(([name, document]) => {
    const { push } = (document ?? {}) as { push?: unknown };
    if (typeof push !== 'string' || queues.includes(push)) return [];
    const message = `${quoted(push)} is not one of queues${suggestion(push, queues)}`;
    return [{ path: [name, 'push'], message }];
  });
}
