import type * as z from 'zod';
import {
  amqpName,
  completeExchange,
  type ExchangeType,
  exchangeFields,
  parseRoutingKey,
  type RabbitmqServerDocument,
  rabbitmqServerSchema,
} from './rabbitmq.js';
import { count, type Field, fail, oneOf, onOff, scalar, section, text } from './schema.js';
import { quoted } from './units.js';

/** A source as the file says it. */
export interface SourceDocument {
  rabbitmq: RabbitmqServerDocument;
  exchange?: string;
  type: ExchangeType;
  declare: boolean;
  /** Routing keys, or headers with `x-match`. */
  bind: Array<string | Record<string, string>>;
  from?: string;
  poison?: string;
  push: string;
  body: 'raw' | 'json' | 'php';
  prefetch: number;
  unique: boolean;
}

const MATCHES = ['all', 'any', 'all-with-x', 'any-with-x'];

/** One pattern or several. */
const bind = scalar('list of patterns', (value) => {
  const patterns = Array.isArray(value) ? value : [value];
  if (patterns.length === 0) throw new TypeError('is empty; it is a list of patterns');
  return patterns.map((pattern) => {
    if (typeof pattern !== 'object' || pattern === null) return parseRoutingKey(pattern);
    return parseHeaders(pattern as Record<string, unknown>);
  });
});

/** RabbitMQ compares the type of a header too, and whole numbers have several. */
function parseHeaders(pattern: Record<string, unknown>): Record<string, string> {
  const entries = Object.entries(pattern);
  for (const [name, value] of entries) {
    if (typeof value !== 'string')
      throw new TypeError(
        `${name}: ${quoted(value)} is not text; only text headers can be matched`,
      );
    if (name === 'x-match' && !MATCHES.includes(value))
      throw new TypeError(`x-match: ${quoted(value)} is not one of ${MATCHES.join(', ')}`);
  }
  if (entries.length === 0) throw new TypeError('has a mapping without headers');
  return Object.fromEntries(entries) as Record<string, string>;
}

const fields = section({
  rabbitmq: rabbitmqServerSchema,
  ...exchangeFields,
  exchange: exchangeFields.exchange.describe(
    'The exchange to bind to; without it the queue is filled by others.',
  ),
  bind: bind
    .optional()
    .describe(
      'Routing keys or patterns of them; of a headers exchange mappings such as `{ country: DE, x-match: any }`.',
    ),
  from: amqpName
    .optional()
    .describe(
      'The RabbitMQ queue, made durable if it is not there; `malabar.<name>` if not given.',
    ),
  poison: amqpName
    .optional()
    .describe(
      'The RabbitMQ queue that keeps what cannot become a job; `<from>.poison` if not given.',
    ),
  push: text.describe('The queue that gets the jobs; one of `queues`.'),
  body: oneOf('raw', 'json', 'php')
    .prefault('raw')
    .describe('`raw` takes any bytes, `json` only JSON, `php` makes JSON of what PHP serialized.'),
  prefetch: count(1, 65_535)
    .prefault(500)
    .describe('Messages that each ingest holds without having acknowledged them.'),
  unique: onOff
    .prefault(true)
    .describe('Messages with the same message id are one job, for a day.'),
});

/** A source with its defaults, and what contradicts itself in it. */
export const sourceSchema = fields.transform((given, context): SourceDocument => {
  const { bind, ...rest } = completeExchange(given, context);
  return { ...rest, bind: checkBindings({ ...rest, bind }, context) };
}) as Field<SourceDocument>;

interface Bound {
  exchange?: string;
  type: ExchangeType;
  bind?: SourceDocument['bind'];
}

function checkBindings(
  { exchange, type, bind }: Bound,
  context: z.RefinementCtx,
): SourceDocument['bind'] {
  const bad = (message: string): never => fail(context, message, ['bind']);
  if (exchange === undefined)
    return bind === undefined ? [] : bad('means nothing without exchange');
  if (bind === undefined) {
    return type === 'fanout' ? [''] : bad(`is required of a ${type} exchange`);
  }
  const isHeaders = type === 'headers';
  for (const pattern of bind) {
    if ((typeof pattern === 'object') === isHeaders) continue;
    const [wanted, example] = isHeaders
      ? ['mappings of headers', '{ country: DE }']
      : ['routing keys', type === 'topic' ? "['*.paid']" : '[paid]'];
    return bad(`a ${type} exchange is bound by ${wanted}, e.g. ${example}`);
  }
  return bind;
}
