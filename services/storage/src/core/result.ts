import { common, keeper } from '@malabar/contracts';
import type { Lease } from './lease.js';
import type { Topic } from './topic.js';

/** The most of a job's body or of a consumer's output that a result repeats. */
const REPEATED_MAX = 64 * 1024;

/** How a delivery, or an attempt at it, came to its end. */
export interface Ending {
  /** The attempt that ended; of a discarded delivery, how many there were. */
  readonly attempt: number;
  readonly startedAtMs: number;
  readonly durationMs: number;
  readonly consumer: string;
  readonly code: string;
  readonly message: string;
  readonly output: string;
  readonly exitCode: number | undefined;
}

/** What became of a delivery, for the queue that is told of it. */
export interface Result extends Ending {
  /** Name of that queue. */
  readonly to: string;
  readonly topic: Topic;
  readonly seq: number;
  readonly status: keeper.ResultStatus;
  /** The encoded job that says so; undefined until the delivered one was read. */
  job?: Uint8Array;
}

/** The job that a result is about. */
export interface Delivered {
  queue: string;
  jobId: string;
  /** Undefined if its bytes cannot be read. */
  job: common.Job | undefined;
}

const STATUS: Record<keeper.ResultStatus, string> = {
  [keeper.ResultStatus.UNSPECIFIED]: '',
  [keeper.ResultStatus.DONE]: 'done',
  [keeper.ResultStatus.RETRYING]: 'retrying',
  [keeper.ResultStatus.FAILED]: 'failed',
  [keeper.ResultStatus.DEAD]: 'dead',
  [keeper.ResultStatus.DISCARDED]: 'discarded',
};

/** Whether somebody wants to be told of deliveries of a topic that ended so. */
export function isWanted(topic: Topic, status: keeper.ResultStatus): boolean {
  return topic.config.result?.of.includes(status) ?? false;
}

/** The end of an attempt. Fetching consumers do not say when it began. */
export function endingOf({ grant }: Lease, outcome: common.Outcome, now: number): Ending {
  const said = outcome.startedAtMs > 0;
  return {
    attempt: grant.attempt,
    startedAtMs: said ? outcome.startedAtMs : grant.grantedAtMs,
    durationMs: said ? outcome.durationMs : now - grant.grantedAtMs,
    consumer: outcome.consumer || grant.holder.name,
    code: outcome.errorCode,
    message: outcome.error,
    output: outcome.output,
    exitCode: outcome.exitCode,
  };
}

/** The end of a delivery that was not to be, after so many attempts. */
export function discardedAfter(
  why: { errorCode: string; error: string },
  attempts: number,
): Ending {
  return {
    attempt: attempts,
    startedAtMs: 0,
    durationMs: 0,
    consumer: '',
    code: why.errorCode,
    message: why.error,
    output: '',
    exitCode: undefined,
  };
}

/** A result as a job (docs/formats.md, "Results"). */
export function encodeResult(result: Result, { queue, jobId, job }: Delivered): Uint8Array {
  const { topic, attempt, code, message, output, exitCode } = result;
  const status = STATUS[result.status];
  const said = {
    v: 1,
    queue,
    topic: topic.name,
    jobId,
    event: queue,
    task: topic.name,
    attempt,
    status,
    startedAtMs: result.startedAtMs,
    durationMs: result.durationMs,
    consumer: result.consumer,
    code,
    message,
    headers: job?.headers ?? {},
    output: output === '' ? undefined : output.slice(0, REPEATED_MAX),
    exitCode,
  };
  const { key = '', traceParent = '' } = job ?? {};
  return common.Job.encode(
    common.Job.fromPartial({
      body: Buffer.from(withParams(JSON.stringify(said), job)),
      contentType: 'application/json',
      idempotencyKey: `${jobId}/${topic.name}/${attempt}/${status}`,
      key,
      traceParent,
    }),
  ).finish();
}

/** Adds the job's body, letter by letter, if it is JSON and not too long to be repeated. */
function withParams(said: string, job: common.Job | undefined): string {
  if (job === undefined || job.body.length > REPEATED_MAX) return said;
  const params = Buffer.from(job.body).toString();
  return isJson(params) ? `${said.slice(0, -1)},"params":${params}}` : said;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
