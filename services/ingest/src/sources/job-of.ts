import { isUtf8 } from 'node:buffer';
import type { AmqpMessage } from '@malabar/amqp';
import { common, keeper } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { PhpSerializeError, type PhpValue, parsePhpSerialized } from '@malabar/php-serialize';
import { HEADERS_BYTES_MAX, isHeaderName } from '../job-headers.js';

const JSON_TYPE = 'application/json';
const TRACE_PARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;
const PRIORITY_MAX = 9;
const LEFT_OUT = 'rabbitmq-headers-left-out';
/** The old library wraps what it sends: when it was sent, and what. */
const ENVELOPE = ['body', 'etime'];

type Body = Pick<common.Job, 'body' | 'contentType'> & { sent?: string };

/** The job that a message stands for. Throws INVALID with the reason if it stands for none. */
export function jobOf(message: AmqpMessage, source: keeper.SourceConfig): common.Job {
  const { properties } = message;
  const { messageId = '', priority = 0 } = properties;
  const { body, contentType, sent } = bodyOf(message, source.body);
  const given = textOf(properties.headers?.traceparent);
  return common.Job.fromPartial({
    body,
    contentType,
    headers: headersOf(message, sent),
    traceParent: TRACE_PARENT.test(given) ? given : '',
    priority: Math.min(priority, PRIORITY_MAX),
    // Of all messages, not only of those that come again: the first time must be known by it too.
    idempotencyKey: source.unique && messageId !== '' ? `rabbitmq/${source.name}/${messageId}` : '',
  });
}

function bodyOf(
  { body, properties: { contentType = '' } }: AmqpMessage,
  form: keeper.SourceBody,
): Body {
  if (form === keeper.SourceBody.PHP) return phpBody(body);
  if (form === keeper.SourceBody.JSON) {
    checkJson(body);
    return { body, contentType: contentType || JSON_TYPE };
  }
  return { body, contentType };
}

function checkJson(body: Buffer): void {
  if (!isUtf8(body)) throw new BusError('INVALID', 'the body is no JSON: it is not UTF-8');
  try {
    JSON.parse(body.toString());
  } catch (error) {
    // The rest of the message may show what is in the body.
    const [place = ''] = /at position \d+/.exec((error as Error).message) ?? [];
    throw new BusError('INVALID', `the body is no JSON ${place}`.trim());
  }
}

function phpBody(body: Buffer): Body {
  try {
    const value = parsePhpSerialized(body);
    const { content, sent } = unwrapped(value);
    return { body: Buffer.from(JSON.stringify(content)), contentType: JSON_TYPE, sent };
  } catch (error) {
    if (error instanceof PhpSerializeError) throw new BusError('INVALID', error.message);
    throw error;
  }
}

function unwrapped(value: PhpValue): { content: PhpValue; sent?: string } {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { content: value };
  if (Object.keys(value).sort().join() !== ENVELOPE.join()) return { content: value };
  return { content: value.body as PhpValue, sent: textOf(value.etime) };
}

/** What the message says of itself, and its own headers as far as a job can carry them. */
function headersOf(message: AmqpMessage, sent = ''): Record<string, string> {
  const { properties } = message;
  const { messageId, correlationId, type, appId, replyTo, contentEncoding, timestamp } = properties;
  const said = {
    'rabbitmq-exchange': message.exchange,
    'rabbitmq-routing-key': message.routingKey,
    'rabbitmq-message-id': messageId,
    'rabbitmq-correlation-id': correlationId,
    'rabbitmq-type': type,
    'rabbitmq-app-id': appId,
    'rabbitmq-reply-to': replyTo,
    'rabbitmq-content-encoding': contentEncoding,
    'rabbitmq-timestamp': timestamp,
    'rabbitmq-redelivered': message.redelivered || undefined,
    'rabbitmq-etime': sent,
  };
  const headers: Record<string, string> = {};
  let [bytes, leftOut] = [0, 0];
  const names = new Set<string>([LEFT_OUT, 'traceparent']);
  const add = (name: string, value: string): void => {
    const more = Buffer.byteLength(name) + Buffer.byteLength(value);
    if (names.has(name.toLowerCase())) return;
    if (!isHeaderName(name) || bytes + more > HEADERS_BYTES_MAX) leftOut++;
    else {
      names.add(name.toLowerCase());
      headers[name] = value;
      bytes += more;
    }
  };
  for (const [name, value] of Object.entries(said)) if (textOf(value)) add(name, textOf(value));
  for (const [name, value] of Object.entries(properties.headers ?? {})) add(name, textOf(value));
  if (leftOut > 0) headers[LEFT_OUT] = `${leftOut}`;
  return headers;
}

/** Numbers and such as one would write them, lists and tables as JSON. */
function textOf(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (Buffer.isBuffer(value)) return value.toString();
  if (typeof value !== 'object') return String(value);
  // A timestamp, a decimal: the library says the type in a key.
  if ('!' in value && 'value' in value) return textOf(value.value);
  return JSON.stringify(value);
}
