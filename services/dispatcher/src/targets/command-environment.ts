import type { common } from '@malabar/contracts';
import type { Attempt } from '../target.js';

/** Headers of a job become variables up to here: the kernel refuses a program with too many. */
const HEADER_BYTES_MAX = 128 * 1024;

export interface EnvironmentOptions {
  attempt: Pick<Attempt, 'queue' | 'topic'> & { jobId: string; number: number };
  job: common.Job;
  /** PATH and HOME: all that a command sees of the dispatcher's own environment. */
  base: Readonly<Record<string, string>>;
  /** Of the target; they may replace `base`. */
  own: Readonly<Record<string, string>>;
}

/** The whole environment of a command. docs/commands.md describes it. */
export function commandEnvironment({
  attempt,
  job,
  base,
  own,
}: EnvironmentOptions): Record<string, string> {
  return {
    ...base,
    ...own,
    ...headerVariables(job.headers),
    ...partVariables(job.headers),
    ...(isVariable(job.traceParent) && job.traceParent ? { TRACEPARENT: job.traceParent } : {}),
    MALABAR_JOB_ID: attempt.jobId,
    MALABAR_QUEUE: attempt.queue,
    MALABAR_TOPIC: attempt.topic,
    MALABAR_ATTEMPT: String(attempt.number),
  };
}

function headerVariables(headers: Readonly<Record<string, string>>): Record<string, string> {
  const variables: Record<string, string> = {};
  let room = HEADER_BYTES_MAX;
  let leftOut = 0;
  for (const [name, value] of Object.entries(headers)) {
    const size = Buffer.byteLength(name) + Buffer.byteLength(value);
    if (!isVariable(value) || size > room) leftOut++;
    else {
      room -= size;
      variables[`MALABAR_HEADER_${variableName(name)}`] = value;
    }
  }
  if (leftOut > 0) variables.MALABAR_HEADERS_LEFT_OUT = String(leftOut);
  return variables;
}

/** Of a run on many nodes: which part of it this is. */
function partVariables(headers: Readonly<Record<string, string>>): Record<string, string> {
  const { 'malabar-node': node, 'malabar-index': index, 'malabar-total': total } = headers;
  if (node === undefined || index === undefined || total === undefined) return {};
  return { MALABAR_NODE: node, MALABAR_INDEX: index, MALABAR_TOTAL: total };
}

const isVariable = (value: string): boolean => !value.includes('\0');

/** `order-id` as `ORDER_ID`. */
const variableName = (name: string): string => name.toUpperCase().replace(/[^A-Z0-9]/g, '_');
