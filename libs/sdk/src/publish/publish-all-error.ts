import type { PublishError } from '../errors.js';
import type { Published } from './options.js';

/** One of several events that was not published. */
export interface Refusal {
  /** Its place among the events, from 0. */
  readonly index: number;
  readonly error: PublishError;
}

/** Some of several events were not published. */
export class PublishAllError extends Error {
  override readonly name = 'PublishAllError';

  constructor(
    /** By the places of the events; undefined for those that were not published. */
    readonly published: readonly (Published | undefined)[],
    readonly refusals: readonly Refusal[],
  ) {
    const [first] = refusals;
    const count = `${refusals.length} of ${published.length} events were not published`;
    super(`${count}; the first, event ${first?.index}: ${first?.error.message}`);
  }
}
