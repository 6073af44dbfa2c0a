import type { PublishError } from '../errors.js';
import type { Outgoing } from './event.js';
import type { Published } from './options.js';

/** An event that somebody waits for; settled exactly once. */
export class Entry implements Outgoing {
  /** It may have reached the bus. */
  isSent = false;
  /** Sent more than once: then the bus may have it from the first time. */
  isRepeated = false;
  isSettled = false;
  readonly bytes: number;
  readonly #over: (error: PublishError | undefined, published?: Published) => void;

  constructor(
    private readonly out: Outgoing,
    /** The key is ours: that the bus has it already is no news to the caller. */
    private readonly hasOwnKey: boolean,
    /** Unix milliseconds. */
    readonly deadlineMs: number,
    over: (error: PublishError | undefined, published?: Published) => void,
  ) {
    this.bytes = out.job.body.length + HEAD_BYTES;
    this.#over = over;
  }

  get queue(): string {
    return this.out.queue;
  }

  get job(): Outgoing['job'] {
    return this.out.job;
  }

  get windowMs(): number {
    return this.out.windowMs;
  }

  resolve({ id, duplicate }: Published): void {
    if (this.isSettled) return;
    this.isSettled = true;
    // A repetition finds its own first try.
    const isOwn = this.hasOwnKey || this.isRepeated;
    this.#over(undefined, { id, duplicate: duplicate && !isOwn });
  }

  reject(error: PublishError): void {
    if (this.isSettled) return;
    this.isSettled = true;
    this.#over(error);
  }
}

/** What a job takes beside its body, about. */
const HEAD_BYTES = 128;
