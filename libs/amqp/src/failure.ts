/**
 * Why something did not work at RabbitMQ.
 * - `unroutable`: published, and no queue gets it.
 * - `refused`: RabbitMQ said no to this message (basic.nack).
 * - `unsent`: the connection had ended before; nothing was sent.
 * - `lost`: the connection ended first; a message may or may not have been taken.
 * - `invalid`: it cannot be sent as it is.
 */
export type AmqpFailureKind = 'unroutable' | 'refused' | 'unsent' | 'lost' | 'invalid';

export class AmqpFailure extends Error {
  override readonly name = 'AmqpFailure';

  constructor(
    readonly kind: AmqpFailureKind,
    message: string,
  ) {
    super(message);
  }
}

/** What RabbitMQ or the system said, without the client library's own words around it. */
export function wordsOf(thrown: unknown): string {
  // Several addresses of a name refused: Node says so in an error without a message.
  if (thrown instanceof AggregateError) return thrown.errors.map(wordsOf).join('; ');
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const said = /with message "(.*)"$/s.exec(message)?.[1];
  return said ?? message;
}
