import { replyEncoder } from '@malabar/resp';

/** Replies of the pepperbus dialect; facts and texts: pepperbus gateway, redeo. */
export const encoder = replyEncoder(2);

export const NOT_AUTHENTICATED = 'NOAUTH Authentication required.';

/** The reply to every LPUSH: one bulk of JSON, its keys in this order. */
export function pushReply(ids: readonly string[] | null, traceId: string, error: string): string {
  return encoder.bulk(goJson({ jobs: ids, inTraceId: traceId, error }));
}

/** JSON as Go's encoder writes it: these characters are escaped inside strings. */
export function goJson(value: unknown): string {
  return JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

interface PoppedJob {
  id: string;
  traceId: string;
  body: Uint8Array;
  /** From 1. */
  attempt: number;
}

/** The reply to RPOP: the envelope that pepperbus keeps in Redis, its key names included. */
export function popReply(job: PoppedJob): string {
  const envelope = {
    id: job.id,
    inTraceId: job.traceId,
    content: Buffer.from(job.body).toString('utf8'),
    retrying: job.attempt - 1,
    RetryTimes: job.attempt - 1,
    RetryTime: 0,
    IsRetry: false,
    BeginRetry: false,
    RetryResidueTime: 0,
  };
  return encoder.bulk(goJson({ jobs: [envelope] }));
}
