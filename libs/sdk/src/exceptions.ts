import { type Duration, milliseconds } from './duration.js';

/** What a handler throws to be called again, after `after` or by the topic's retry policy. */
export class RetryException extends Error {
  override readonly name: string = 'RetryException';
  /** 0 lets the topic's policy decide. */
  readonly afterMs: number;

  constructor(message: string, after?: Duration, options?: ErrorOptions) {
    super(message, options);
    this.afterMs = after === undefined ? 0 : milliseconds('after', after);
  }
}

/** What a handler throws when no retry can help: the job is dead at once, kept with these words. */
export class TaskException extends Error {
  override readonly name = 'TaskException';
}

/** Somebody else is at this piece of work: the job comes again when his lease ends. */
export class AlreadyRunningException extends RetryException {
  override readonly name = 'AlreadyRunningException';
}

/** A job that came to a program without a handler for it. */
export class UnknownTaskException extends Error {
  override readonly name = 'UnknownTaskException';
}
