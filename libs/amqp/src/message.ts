import type { MessageProperties } from 'amqplib';

/** What a message says of itself beside its body. */
export interface AmqpProperties {
  messageId?: string;
  correlationId?: string;
  contentType?: string;
  contentEncoding?: string;
  type?: string;
  appId?: string;
  replyTo?: string;
  /** Unix seconds. */
  timestamp?: number;
  priority?: number;
  headers?: Readonly<Record<string, unknown>>;
}

/** A message as a consumer gets it. */
export interface AmqpMessage {
  /** Grows along a connection; what `ack` takes. */
  tag: number;
  body: Buffer;
  /** It was given to somebody before, who did not acknowledge it. */
  redelivered: boolean;
  exchange: string;
  routingKey: string;
  properties: AmqpProperties;
}

/** Those of `properties` that are set. */
export function propertiesOf(properties: MessageProperties): AmqpProperties {
  const { messageId, correlationId, contentType, contentEncoding } = properties;
  const { type, appId, replyTo, timestamp, priority, headers } = properties;
  const all = { messageId, correlationId, contentType, contentEncoding, type, appId, replyTo };
  const given = Object.entries({ ...all, timestamp, priority, headers });
  return Object.fromEntries(given.filter(([, value]) => value !== undefined));
}
