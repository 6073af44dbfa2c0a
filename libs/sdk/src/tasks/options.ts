import { type Duration, milliseconds } from '../duration.js';
import { checkOptions } from '../names.js';

/** When a task is tried again. What is not said is as docs/config.md says. */
export interface RetryOptions {
  /** Attempts in all, the first included. */
  attempts?: number;
  backoff?: 'exponential' | 'fixed' | 'ladder';
  min?: Duration;
  max?: Duration;
  /** 0 to 1: the part of a pause that is random. */
  jitter?: number;
  /** An older job is not tried again. */
  age?: Duration;
  /** A consumer that died this often on a job gets it no more. */
  crashes?: number;
  /** A dead job that was replayed this often is replayed no more without force. */
  replays?: number;
  /** The pauses of `backoff: 'ladder'`. */
  ladder?: readonly Duration[];
}

/** Where it is told what became of the task's jobs. */
export interface ResultOptions {
  /** Results are jobs of this queue. */
  queue?: string;
  /** Results are posted there. */
  url?: string;
  of?: readonly ('done' | 'retrying' | 'failed' | 'dead' | 'discarded')[];
}

/** What the bus is to know of a task: the settings of its topic. */
export interface TaskOptions {
  /** The queue that carries the event; named as it unless said. */
  queue?: string;
  /** Every job of the task waits so long before its first attempt. */
  delay?: Duration;
  /** How long the bus waits for a sign of life; a worker gives one while its handler works. */
  timeout?: Duration;
  /** Attempts in all, or more of it. */
  retry?: number | RetryOptions;
  /** Jobs of the task at once, over all workers. */
  concurrency?: number;
  /** Where a new task begins in the history of its event. */
  start?: 'now' | 'beginning';
  result?: ResultOptions;
}

/** A topic as malabar.yaml has it. */
export type TopicDocument = Readonly<Record<string, unknown>>;

const OPTIONS: readonly (keyof TaskOptions)[] = [
  'queue',
  'delay',
  'timeout',
  'retry',
  'concurrency',
  'start',
  'result',
];
const RETRY: readonly (keyof RetryOptions)[] = [
  'attempts',
  'backoff',
  'min',
  'max',
  'jitter',
  'age',
  'crashes',
  'replays',
  'ladder',
];

/** The topic of a task. Throws a TypeError that names what is wrong with its options. */
export function topicDocument(path: string, options: TaskOptions): TopicDocument {
  const what = `task ${path}`;
  checkOptions(what, options, OPTIONS);
  const { queue: _, retry, delay, timeout, ...rest } = options;
  for (const [name, value] of Object.entries({ delay, timeout })) {
    if (value !== undefined) milliseconds(`${what}: ${name}`, value);
  }
  const document = { target: 'grpc', delay, timeout, ...rest, retry: retryOf(what, retry) };
  return withoutGaps(document) as TopicDocument;
}

function retryOf(what: string, retry: TaskOptions['retry']): RetryOptions | undefined {
  if (retry === undefined) return undefined;
  if (typeof retry === 'number') return { attempts: retry };
  checkOptions(`${what}: retry`, retry, RETRY);
  const { min, max, age, ladder = [] } = retry;
  for (const [name, value] of Object.entries({ min, max, age })) {
    if (value !== undefined) milliseconds(`${what}: retry.${name}`, value);
  }
  for (const step of ladder) milliseconds(`${what}: retry.ladder`, step);
  return retry;
}

/** As JSON has it: what is undefined is not there. */
function withoutGaps(value: object): unknown {
  return JSON.parse(JSON.stringify(value));
}
