import { isUtf8 } from 'node:buffer';
import type { common } from '@malabar/contracts';
import type { Delivery } from './delivery.js';
import type { Attempt } from './target.js';

export const FORM_TYPE = 'application/x-www-form-urlencoded';

/** What the SDKs get to say which topics they serve. */
export const pingForm: Uint8Array = Buffer.from('IS_PEPPER_BUS_REQUEST=true&type=ping');

/**
 * The form that the pepperbus SDKs read (and every PHP script can): sorted keys, the jobs as one JSON
 * array. docs/php.md describes it for its readers.
 */
export function dataForm(attempt: Attempt, nowMs: number): Uint8Array {
  const { queue, topic, deliveries } = attempt;
  const jobs = deliveries.map((delivery) => envelope(delivery, attempt, nowMs));
  const first = deliveries[0] as Delivery;
  const fields = [
    'IS_PEPPER_BUS_REQUEST=true',
    `jobs=${encodeURIComponent(JSON.stringify(jobs))}`,
    `outTraceId=${first.jobId}-${first.leaseId}`,
    `queue=${encodeURIComponent(queue)}`,
    `topic=${encodeURIComponent(topic)}`,
    'type=data',
  ];
  return Buffer.from(fields.join('&'), 'latin1');
}

/** A job as pepperbus wrote it; the capital letters are pepperbus's own. */
interface Envelope {
  id: string;
  inTraceId: string;
  content: string;
  /** How often it failed before. */
  retrying: number;
  /** Which try this is, from 1. */
  RetryTimes: number;
  /** Unix seconds. */
  RetryTime: number;
  IsRetry: boolean;
  BeginRetry: boolean;
  /** Seconds in which it may still be retried; 0 if that is not limited by time. */
  RetryResidueTime: number;
  /** From here on ours. When the bus took the job; Unix milliseconds. */
  acceptedAtMs: number;
  /** How long this request may take. */
  timeoutMs: number;
  /** As the producer wrote them, if it wrote any. */
  headers?: Readonly<Record<string, string>>;
  /** Set when the content is not text. */
  encoding?: 'base64';
}

function envelope(
  delivery: Delivery,
  { retry, timeoutMs }: Pick<Attempt, 'retry' | 'timeoutMs'>,
  nowMs: number,
): Envelope {
  const job = delivery.decode();
  const id = delivery.jobId;
  const text = isUtf8(job.body);
  const body = Buffer.from(job.body.buffer, job.body.byteOffset, job.body.byteLength);
  const ageMaxMs = retry?.ageMaxMs ?? 0;
  const residueMs = ageMaxMs === 0 ? 0 : delivery.acceptedAtMs + ageMaxMs - nowMs;
  return {
    id,
    inTraceId: traceId(job) || id,
    content: body.toString(text ? 'utf8' : 'base64'),
    retrying: delivery.attempt - 1,
    RetryTimes: delivery.attempt,
    RetryTime: Math.floor(nowMs / 1000),
    IsRetry: (retry?.attempts ?? 1) > 1,
    BeginRetry: delivery.attempt > 1,
    RetryResidueTime: Math.max(0, Math.ceil(residueMs / 1000)),
    acceptedAtMs: delivery.acceptedAtMs,
    timeoutMs,
    ...(Object.keys(job.headers).length > 0 ? { headers: job.headers } : {}),
    ...(text ? {} : { encoding: 'base64' }),
  };
}

/** The producer's trace: what ingest told a pepperbus producer as inTraceId. */
function traceId(job: common.Job): string {
  return job.traceParent.split('-')[1] ?? '';
}
