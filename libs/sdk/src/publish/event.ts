import { common } from '@malabar/contracts';
import { milliseconds } from '../duration.js';
import { writeEnvelope } from '../envelope.js';
import { checkedName, checkOptions } from '../names.js';
import type { PublishOptions } from './options.js';

/** A job on its way to its queue. */
export interface Outgoing {
  queue: string;
  job: common.Job;
  /** How long its idempotency key is remembered; 0 for the bus's own time. */
  windowMs: number;
}

const OPTIONS: readonly (keyof PublishOptions)[] = [
  'queue',
  'unique',
  'uniqueFor',
  'debounce',
  'maxWait',
  'delay',
  'ttl',
  'key',
  'priority',
  'headers',
  'traceparent',
  'batch',
];
/** The largest message that the bus takes is 32 MiB; a job has a head, too. */
const BODY_BYTES_MAX = 31 * 1024 * 1024;
/** Keys that only guard a repetition of ours need not outlive our own patience for long. */
const OWN_KEY_WINDOW_MS = 10 * 60_000;

/** The job of an event. Throws a TypeError that names what is wrong with it. */
export function outgoing(
  event: string,
  params: unknown,
  options: PublishOptions,
  { now, ownKey }: { now: number; ownKey: string },
): Outgoing {
  checkOptions(`event ${checkedName('event', event)}`, options, OPTIONS);
  const { queue = event, unique, uniqueFor, debounce, maxWait, delay, ttl } = options;
  const body = bodyOf(event, params);
  if (uniqueFor !== undefined && !unique)
    throw new TypeError('uniqueFor means nothing without unique');
  if (debounce !== undefined && !unique)
    throw new TypeError('debounce means nothing without unique');
  if (maxWait !== undefined && debounce === undefined)
    throw new TypeError('maxWait means nothing without debounce');
  const windowMs = uniqueFor === undefined ? 0 : milliseconds('uniqueFor', uniqueFor);
  const job = common.Job.fromPartial({
    body,
    headers: { ...options.headers },
    traceParent: options.traceparent ?? '',
    key: options.key ?? '',
    batch: options.batch ?? '',
    priority: priorityOf(options.priority),
    deliverAtMs: delay === undefined ? 0 : now + milliseconds('delay', delay),
    expiresAtMs: ttl === undefined ? 0 : now + milliseconds('ttl', ttl),
    idempotencyKey: unique || ownKey,
    debounceMs: debounce === undefined ? 0 : milliseconds('debounce', debounce),
    debounceMaxMs: maxWait === undefined ? 0 : milliseconds('maxWait', maxWait),
    contentType: 'application/json',
  });
  return {
    queue: checkedName('queue', queue),
    job,
    windowMs: unique ? windowMs : OWN_KEY_WINDOW_MS,
  };
}

function bodyOf(event: string, params: unknown): Uint8Array {
  if (typeof params !== 'object' || params === null) {
    throw new TypeError(`event ${event}: its parameters are an object, not ${typeof params}`);
  }
  const body = writeEnvelope(event, params);
  if (body.length <= BODY_BYTES_MAX) return body;
  throw new TypeError(`event ${event}: ${body.length} bytes are above ${BODY_BYTES_MAX}`);
}

function priorityOf(priority = 0): number {
  if (Number.isInteger(priority) && priority >= 0 && priority <= 9) return priority;
  throw new TypeError(`priority ${priority}: 0 (usual) to 9 (first)`);
}
