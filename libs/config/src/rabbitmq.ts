import { type Field, fail, oneOf, onOff, scalar, secret, section, text } from './schema.js';
import type { Secret } from './secret.js';
import { quoted } from './units.js';

/** A RabbitMQ and who we are there, as the file says it. */
export interface RabbitmqServerDocument {
  url: string;
  user: string;
  password: Secret;
}

export type ExchangeType = 'topic' | 'direct' | 'fanout' | 'headers';

/** Where a topic's deliveries are published, as the file says it. */
export interface RabbitmqDocument extends RabbitmqServerDocument {
  exchange?: string;
  type: ExchangeType;
  declare: boolean;
  key: string;
  unroutable: 'fail' | 'done';
}

/** RabbitMQ's limit of names and routing keys. */
const NAME_BYTES_MAX = 255;

const url = scalar('URL', (value) => {
  const parsed = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined;
  if (parsed?.username || parsed?.password) {
    throw new TypeError('a URL shows its password in every log; use user and password');
  }
  if (parsed === undefined || !/^amqps?:$/.test(parsed.protocol) || parsed.hostname === '') {
    throw new TypeError(`${quoted(value)} is not an amqp:// or amqps:// URL with a host`);
  }
  if (parsed.search !== '' || parsed.hash !== '') {
    throw new TypeError(`${quoted(value)} has a ? or # part, which means nothing here`);
  }
  if (/^\/.*\//.test(parsed.pathname)) {
    throw new TypeError(`${quoted(value)} names more than a vhost; write a / inside of it as %2F`);
  }
  return value as string;
});

/** A name that RabbitMQ takes: of an exchange or a queue. */
export const amqpName = scalar('text', (value) => {
  if (typeof value !== 'string' || value === '') {
    throw new TypeError(`${quoted(value)} is not a name; put it in quotes`);
  }
  if (Buffer.byteLength(value) <= NAME_BYTES_MAX) return value;
  throw new TypeError(`${quoted(value)} has more than ${NAME_BYTES_MAX} bytes`);
});

/** A routing key, or a pattern of one. */
export function parseRoutingKey(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError(`${quoted(value)} is not a routing key`);
  if (Buffer.byteLength(value) <= NAME_BYTES_MAX) return value;
  throw new TypeError(`${quoted(value)} has more than ${NAME_BYTES_MAX} bytes`);
}

const PLACE = /\{([^{}]*)\}/g;

const keyTemplate = scalar('text', (value) => {
  const key = parseRoutingKey(value);
  const unknown = [...key.matchAll(PLACE)].map(([, place = '']) => place);
  const bad = unknown.find((place) => !/^(queue|topic|key|(header|body)\..+)$/.test(place));
  if (bad !== undefined) {
    const known = '{queue}, {topic}, {key}, {header.name} and {body.field}';
    throw new TypeError(`${quoted(`{${bad}}`)} stands for nothing; there are ${known}`);
  }
  return key;
});

const serverFields = {
  url: url.describe('`amqp://host:port/vhost`, or `amqps://`; the vhost `/` if it names none.'),
  user: text.describe('Who we are there.'),
  password: (secret as Field<Secret>).describe(
    'May be `{ secret: file:/path }`; never a part of the URL.',
  ),
};

/** Fields of an exchange: what a source and a target share. */
export const exchangeFields = {
  exchange: amqpName.optional(),
  type: oneOf('topic', 'direct', 'fanout', 'headers')
    .optional()
    .describe('How the exchange routes; `topic` if not given.'),
  declare: onOff
    .optional()
    .describe('Whether the exchange is declared, durable (the default), or only looked for.'),
};

interface GivenExchange {
  exchange?: string;
  type?: ExchangeType;
  declare?: boolean;
}

/** An exchange with its defaults, and what contradicts itself in it. */
export function completeExchange<T extends GivenExchange>(
  given: T,
  context: Parameters<typeof fail>[0],
): T & { type: ExchangeType; declare: boolean } {
  for (const key of ['type', 'declare'] as const) {
    if (given.exchange === undefined && given[key] !== undefined)
      fail(context, 'means nothing without exchange', [key]);
  }
  if (given.exchange?.startsWith('amq.') && given.declare !== false)
    fail(context, 'is one of RabbitMQ itself, which nobody declares; write declare: false', [
      'exchange',
    ]);
  return { ...given, type: given.type ?? 'topic', declare: given.declare ?? true };
}

/** `rabbitmq` of a source. */
export const rabbitmqServerSchema = section(serverFields) as Field<RabbitmqServerDocument>;

const targetFields = section({
  ...serverFields,
  ...exchangeFields,
  exchange: exchangeFields.exchange.describe(
    "Where it is published; without it the key is a queue's name.",
  ),
  key: keyTemplate
    .prefault('{queue}')
    .describe(
      'The routing key; `{queue}`, `{topic}`, `{key}`, `{header.name}` and `{body.field}` are filled in.',
    ),
  unroutable: oneOf('fail', 'done')
    .prefault('fail')
    .describe('What a message is that no queue gets.'),
});

/** The object form `target: { rabbitmq: ... }`. */
export const rabbitmqSchema = targetFields.transform((given, context) =>
  completeExchange(given, context),
) as Field<RabbitmqDocument>;
