import { BusError, toBusError } from '@malabar/core';

/** What the bus refuses or cannot do now. The codes are those of docs/errors.md. */
export class MalabarError extends Error {
  override readonly name: string = 'MalabarError';

  constructor(
    /** E.g. `UNKNOWN_QUEUE`, `QUEUE_FULL`, `UNAVAILABLE`. */
    readonly code: string,
    message: string,
    options?: ErrorOptions & { retryable?: boolean },
  ) {
    super(message, options);
    this.retryable = options?.retryable ?? false;
  }

  /** Whether the very same request may succeed later. */
  readonly retryable: boolean;
}

/** What can be told of an event that was not published. */
export interface PublishFailure {
  /** The bus may have it all the same: it was sent, and no answer came. */
  mayHaveHappened?: boolean;
  retryable?: boolean;
  cause?: unknown;
}

/** An event that the bus refused, or that it did not confirm in time. */
export class PublishError extends MalabarError {
  override readonly name = 'PublishError';
  /**
   * The bus may have the event all the same: it was sent, and no answer came. Publish it again with
   * the same `unique` and it stays one event.
   */
  readonly mayHaveHappened: boolean;

  constructor(code: string, message: string, failure: PublishFailure = {}) {
    super(code, message, failure);
    this.mayHaveHappened = failure.mayHaveHappened ?? false;
  }
}

/** Topics that could not be made from code; the message says why, and how to have them otherwise. */
export class RegistrationError extends MalabarError {
  override readonly name = 'RegistrationError';
}

/** Whatever was thrown, as one of ours. */
export function toMalabarError(thrown: unknown): MalabarError {
  if (thrown instanceof MalabarError) return thrown;
  const { code, message, retryable } = toBusError(thrown);
  return new MalabarError(code, message, { cause: thrown, retryable });
}

/** An answer of the bus as the error of one event. */
export function toPublishError(thrown: unknown, failure: PublishFailure = {}): PublishError {
  const { code, message, retryable } = toBusError(thrown);
  const cause = thrown instanceof BusError ? undefined : thrown;
  return new PublishError(code, message, { retryable, cause, ...failure });
}
