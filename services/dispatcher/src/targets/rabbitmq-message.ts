import type { AmqpPublication } from '@malabar/amqp';
import type { common, keeper } from '@malabar/contracts';
import type { Delivery } from '../delivery.js';

const KEY_BYTES_MAX = 255;
const PLACE = /\{([^{}]*)\}/g;
/** What a source of ours has made of the property. */
const CORRELATION_ID = 'rabbitmq-correlation-id';

/** A routing key cannot be made of a job: it lacks what the key is made from. */
export class RoutingKeyError extends Error {}

/** Where a delivery comes from. */
export interface Place {
  queue: string;
  topic: string;
}

/** The message of a delivery. Throws a RoutingKeyError. */
export function publicationOf(
  { exchange, routingKey }: keeper.RabbitmqTarget,
  place: Place,
  delivery: Delivery,
): AmqpPublication {
  const job = delivery.decode();
  const { headers, contentType, traceParent, priority } = job;
  const said = {
    'malabar-queue': place.queue,
    'malabar-topic': place.topic,
    'malabar-attempt': `${delivery.attempt}`,
    ...(traceParent !== '' && { traceparent: traceParent }),
  };
  return {
    exchange: exchange?.name ?? '',
    routingKey: routingKeyOf(routingKey, place, job),
    body: job.body,
    properties: {
      messageId: delivery.jobId,
      timestamp: Math.floor(delivery.acceptedAtMs / 1000),
      headers: { ...headers, ...said },
      ...(contentType !== '' && { contentType }),
      ...(priority > 0 && { priority }),
      ...(headers[CORRELATION_ID] !== undefined && { correlationId: headers[CORRELATION_ID] }),
    },
  };
}

function routingKeyOf(template: string, { queue, topic }: Place, job: common.Job): string {
  const values = (name: string): unknown => {
    if (name === 'queue') return queue;
    if (name === 'topic') return topic;
    if (name === 'key') return job.key;
    const [kind = '', rest = ''] = /^(header|body)\.(.+)$/.exec(name)?.slice(1) ?? [];
    return kind === 'header' ? headerOf(job, rest) : fieldOf(job.body, rest.split('.'));
  };
  const key = template.replace(PLACE, (place, name: string) => {
    const value = values(name);
    const isText = ['string', 'number', 'boolean'].includes(typeof value) && value !== '';
    if (isText) return String(value);
    throw new RoutingKeyError(`routing key '${template}': the job has no text for ${place}`);
  });
  if (Buffer.byteLength(key) <= KEY_BYTES_MAX) return key;
  const bytes = Buffer.byteLength(key);
  throw new RoutingKeyError(`routing key '${template}': ${bytes} bytes, ${KEY_BYTES_MAX} allowed`);
}

function headerOf({ headers }: common.Job, name: string): string | undefined {
  const found = Object.keys(headers).find((each) => each.toLowerCase() === name.toLowerCase());
  return found === undefined ? undefined : headers[found];
}

/** A field of a JSON body; undefined if there is none. */
function fieldOf(body: Uint8Array, path: readonly string[]): unknown {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(body).toString());
  } catch {
    return undefined;
  }
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name))
      return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}
