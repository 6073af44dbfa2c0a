import type { dispatcher } from '@malabar/contracts';

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

/** What is known of a job before its body is read. */
export type JobFacts = Omit<Job, 'event'>;

export function jobFacts(path: string, item: dispatcher.WorkItem, signal: AbortSignal): JobFacts {
  const { jobId: id, attempt, acceptedAtMs, job } = item;
  const slash = path.indexOf('/');
  return {
    id,
    queue: path.slice(0, slash),
    task: path.slice(slash + 1),
    attempt,
    headers: job?.headers ?? {},
    key: job?.key ?? '',
    acceptedAt: new Date(acceptedAtMs),
    traceparent: job?.traceParent ?? '',
    contentType: job?.contentType ?? '',
    body: job?.body ?? new Uint8Array(),
    signal,
  };
}
