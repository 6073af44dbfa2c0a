import type { IncomingHttpHeaders } from 'node:http';
import { common } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { JobOptions } from '../batch.js';
import { inBatch } from '../batch-calls.js';
import { debounceFault } from '../job-debounce.js';
import { timesFault } from '../job-times.js';

/** A job as the headers of its request describe it. */
export interface HttpJob {
  /** Without the body. */
  job: common.Job;
  options: JobOptions;
  /** Nothing but a body: the short way in. */
  plain: boolean;
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1000,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Reads Malabar-* and the standard headers. Throws INVALID. */
export function readJobHeaders(headers: IncomingHttpHeaders, nowMs: number): HttpJob {
  const delayMs = duration(headers, 'malabar-delay');
  const ttlMs = duration(headers, 'malabar-ttl');
  const options = {
    deliverAtMs: delayMs > 0 ? nowMs + delayMs : 0,
    expiresAtMs: ttlMs > 0 ? nowMs + ttlMs : 0,
    priority: priority(headers),
    idempotencyKey: text(headers, 'idempotency-key'),
    batch: text(headers, 'malabar-batch'),
    debounceMs: duration(headers, 'malabar-debounce'),
    debounceMaxMs: duration(headers, 'malabar-max-wait'),
  };
  const fault = timesFault(options) ?? debounceFault(options);
  if (fault) throw fault;
  const job = common.Job.fromPartial({
    ...options,
    key: text(headers, 'malabar-key'),
    traceParent: text(headers, 'traceparent'),
    contentType: contentType(headers),
  });
  const plain = common.Job.encode(job).finish().length === 0;
  return { job, options, plain };
}

/** The encoded Job with this body. */
export function encodeJob({ job }: HttpJob, body: Uint8Array): Uint8Array {
  return common.Job.encode(inBatch({ ...job, body })).finish();
}

function text(headers: IncomingHttpHeaders, name: string): string {
  const value = headers[name];
  return typeof value === 'string' ? value : '';
}

/** What curl sends by itself with --data says nothing about the body. */
function contentType(headers: IncomingHttpHeaders): string {
  const type = text(headers, 'content-type');
  return /^application\/(x-www-form-urlencoded|x-ndjson)/i.test(type) ? '' : type;
}

/** Seconds, or a number with ms, s, m, h or d; in milliseconds. */
function duration(headers: IncomingHttpHeaders, name: string): number {
  const value = text(headers, name);
  if (value === '') return 0;
  const parts = /^(\d{1,10}(?:\.\d{1,3})?)(ms|s|m|h|d|)$/.exec(value);
  if (!parts) throw new BusError('INVALID', `${name}: '${value}' is no duration (10, 10s, 5m, 1h)`);
  return Math.round(Number(parts[1]) * (UNITS[parts[2] as string] as number));
}

function priority(headers: IncomingHttpHeaders): number {
  const value = text(headers, 'malabar-priority');
  if (/^\d?$/.test(value)) return Number(value);
  throw new BusError('INVALID', `malabar-priority: '${value}', expected 0 (usual) to 9 (first)`);
}
