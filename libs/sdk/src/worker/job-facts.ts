import type { dispatcher } from '@malabar/contracts';
import type { Job } from './job.js';

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
