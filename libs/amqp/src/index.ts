export {
  type AmqpBinding,
  AmqpConnection,
  type AmqpConsumer,
  type AmqpExchange,
  type ConsumeOptions,
} from './connection.js';
export { type AmqpAddress, type AmqpEndpoint, addressOf } from './endpoint.js';
export { AmqpFailure, type AmqpFailureKind } from './failure.js';
export { type AmqpLink, type AmqpLinkOptions, createAmqpLink } from './link.js';
export type { AmqpMessage, AmqpProperties } from './message.js';
export type { AmqpPublication, AmqpPublisher } from './publisher.js';
