import type { ReplyEncoder } from '@malabar/resp';
import type { FetchedJob } from '../fetch.js';

/** What the bus knows of a fetched job, by name; `lease` is the milliseconds that are left of it. */
export function fetchDetails(encoder: ReplyEncoder, fetched: FetchedJob, nowMs: number): string {
  const { job, jobId, attempt, acceptedAtMs, leaseUntilMs } = fetched;
  const headers = Object.entries(job.headers);
  return encoder.map([
    ['job', encoder.bulk(jobId)],
    ['attempt', encoder.integer(attempt)],
    ['accepted', encoder.integer(acceptedAtMs)],
    ['lease', encoder.integer(Math.max(0, leaseUntilMs - nowMs))],
    ['key', encoder.bulk(job.key)],
    ['trace', encoder.bulk(job.traceParent)],
    ['headers', encoder.map(headers.map(([name, value]) => [name, encoder.bulk(value)]))],
  ]);
}
