/** What the bus knows of the job that is being done. */
export interface Job {
  /** The same at each attempt: the key against doing it twice. */
  readonly id: string;
  readonly event: string;
  readonly task: string;
  readonly queue: string;
  /** Which try this is, from 1. */
  readonly attempt: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Order and fairness key; empty for none. */
  readonly key: string;
  /** When the bus took the job. */
  readonly acceptedAt: Date;
  /** W3C trace context of the producer; empty for none. */
  readonly traceparent: string;
  readonly contentType: string;
  /** The body as it came. */
  readonly body: Uint8Array;
  /**
   * Aborted when the work is in vain or must end: the lease is lost and the job somebody else's
   * (`STALE_LEASE`), the worker's `timeout` is over (`TIMEOUT`), or the worker stops and its `drain`
   * is over (`UNAVAILABLE`). The reason is a MalabarError with that code.
   */
  readonly signal: AbortSignal;
}
