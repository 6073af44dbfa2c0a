import { keeper } from '@malabar/contracts';
import type { Clock } from '@malabar/core';
import type { Delivery } from '../delivery.js';
import { judge, judgePing, type SdkAnswer } from '../sdk-answer.js';
import { dataForm, FORM_TYPE, pingForm } from '../sdk-form.js';
import type { Attempt, Target } from '../target.js';
import {
  clip,
  crash,
  dead,
  done,
  notDelivered,
  retry,
  retryAfterMs,
  type Verdict,
} from '../verdict.js';
import { type HttpAnswer, HttpEndpoint, HttpFailure } from './http-exchange.js';
import {
  basicAuthorization,
  headerName,
  headerText,
  isHeaderText,
  lowerCased,
  publicUrl,
} from './http-headers.js';

export interface HttpTargetOptions {
  target: keeper.HttpTarget;
  clock: Clock;
}

type Headers = Record<string, string>;

/** An HTTP endpoint over a pool of keep-alive connections. Redirects are not followed. */
export function createHttpTarget({ target, clock }: HttpTargetOptions): Target {
  const url = new URL(target.url);
  const endpoint = new HttpEndpoint({ ...target, url, clock });
  const own = { ...basicAuthorization(url), ...lowerCased(target.headers) };
  const raw = target.format !== keeper.HttpFormat.PEPPERBUS;
  const ask = (body: Uint8Array, headers: Headers, timeoutMs: number): Promise<HttpAnswer> =>
    endpoint.exchange({ body, headers: { ...headers, ...own }, timeoutMs });
  return {
    kind: 'http',
    address: publicUrl(url),
    // Jobs of any bytes do not fit side by side in one body without a format of our own.
    chunkMax: raw ? 1 : Number.POSITIVE_INFINITY,
    pinged: target.ping && !raw,
    deliver: async (attempt) => {
      try {
        return raw
          ? judgeRaw(await ask(...rawRequest(attempt), attempt.timeoutMs), clock.now())
          : judgeForm(await ask(...formRequest(attempt, clock), attempt.timeoutMs), clock.now());
      } catch (error) {
        return failed(error);
      }
    },
    ping: async (path, timeoutMs) => {
      try {
        return judgePing(sdkAnswer(await ask(pingForm, FORM_HEADERS, timeoutMs)), path);
      } catch (error) {
        return `ping: ${(error as Error).message}`;
      }
    },
    close: () => endpoint.close(),
  };
}

/** Both spellings: the Go SDK reads the one with hyphens, the Java SDK the one with underscores. */
const FORM_HEADERS: Headers = {
  'content-type': FORM_TYPE,
  'IS-PEPPER-BUS-REQUEST': 'true',
  IS_PEPPER_BUS_REQUEST: 'true',
};

function formRequest(attempt: Attempt, clock: Clock): [Uint8Array, Headers] {
  return [dataForm(attempt, clock.now()), FORM_HEADERS];
}

/** The body as it is, all else in headers. docs/http.md describes them for their readers. */
function rawRequest({ queue, topic, deliveries }: Attempt): [Uint8Array, Headers] {
  const delivery = deliveries[0] as Delivery;
  const job = delivery.decode();
  const headers: Headers = {
    'content-type': isHeaderText(job.contentType) ? job.contentType : 'application/octet-stream',
    'malabar-job-id': delivery.jobId,
    'malabar-queue': headerText(queue),
    'malabar-topic': headerText(topic),
    'malabar-attempt': String(delivery.attempt),
  };
  if (isHeaderText(job.traceParent)) headers.traceparent = job.traceParent;
  for (const [name, value] of Object.entries(job.headers))
    headers[`malabar-header-${headerName(name)}`] = headerText(value);
  return [job.body, headers];
}

function judgeRaw(answer: HttpAnswer, nowMs: number): Verdict {
  const { status, body } = answer;
  const words = body || `HTTP status ${status}`;
  const outcome = header(answer, 'malabar-outcome')?.trim().toLowerCase() ?? byStatus(status);
  const pause = retryAfterMs(header(answer, 'retry-after'), nowMs);
  // A framework that fails after the header was set has not done the work.
  if (outcome === 'done' && status < 500) return done;
  if (outcome === 'done' || outcome === 'retry') return retry(String(status), words, pause);
  if (outcome === 'dead') return dead(String(status), words);
  if (outcome === 'release') return notDelivered(`the consumer put it back: ${words}`, pause);
  return retry('BAD_ANSWER', `unknown Malabar-Outcome '${clip(outcome, 64)}'`);
}

function byStatus(status: number): string {
  if (status >= 200 && status < 300) return 'done';
  return status === 410 ? 'dead' : 'retry';
}

function judgeForm(answer: HttpAnswer, nowMs: number): Verdict {
  return judge(sdkAnswer(answer), nowMs);
}

function sdkAnswer(answer: HttpAnswer): SdkAnswer {
  const { status, body } = answer;
  return { status, body, stderr: '', header: (name) => header(answer, name) };
}

function header(answer: HttpAnswer, name: string): string | undefined {
  const value = answer.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function failed(error: unknown): Verdict {
  if (!(error instanceof HttpFailure)) return retry('UNREADABLE', (error as Error).message);
  switch (error.kind) {
    case 'not-delivered':
      return notDelivered(error.message);
    case 'crashed':
      return crash('CRASHED', error.message);
    case 'timeout':
      return retry('TIMEOUT', error.message);
    default:
      return retry('RESPONSE_TOO_LARGE', error.message);
  }
}
