import type * as z from 'zod';
import { type KeyDocument, key, type RateDocument, rate } from './flow.js';
import { type ResultDocument, result } from './result.js';
import {
  count,
  duration,
  type Field,
  fail,
  fraction,
  later,
  oneOf,
  onOff,
  password,
  scalar,
  section,
} from './schema.js';
import type { Secret } from './secret.js';
import { type TargetDocument, target } from './target.js';
import { parseDuration, quoted } from './units.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** The pauses of `backoff: ladder` that says no more. */
const LADDER_MS = [5_000, 5 * MINUTE_MS, 10 * MINUTE_MS, HOUR_MS, 130 * MINUTE_MS];
/** What runs at once if the topic does not say; of fetching consumers, what is out at once. */
const CONCURRENCY: Record<TargetDocument['kind'], number> = {
  fastcgi: 4,
  http: 8,
  command: 1,
  rabbitmq: 100,
  grpc: 256,
  pull: 10_000,
};

/** When to try again. */
export interface RetryDocument {
  attempts: number;
  backoff: 'exponential' | 'fixed' | 'ladder';
  minMs: number;
  maxMs: number;
  jitter: number;
  /** 0 for no limit. */
  ageMs: number;
  crashes: number;
  replays: number;
  ladderMs: number[];
}

/** One subscription of a queue. */
export interface TopicDocument {
  target: TargetDocument;
  concurrency: number;
  timeoutMs: number;
  delayMs: number;
  start: 'now' | 'beginning';
  paused: boolean;
  chunk: number;
  password?: Secret;
  retry: RetryDocument;
  result?: ResultDocument;
  rate?: RateDocument;
  key?: KeyDocument;
}

const ladder = scalar('list of durations', (value) => {
  if (!Array.isArray(value) || value.length === 0) {
    throw new TypeError(`${quoted(value)} is not a list of durations, e.g. [10s, 1m, 10m]`);
  }
  return value.map(parseDuration);
});

const retryFields = section({
  attempts: count(1)
    .prefault(10)
    .describe('Attempts in all, the first included; after the last the delivery is dead.'),
  backoff: oneOf('exponential', 'fixed', 'ladder')
    .optional()
    .describe(
      '`exponential` doubles from `min` to `max`, `fixed` is always `min`, `ladder` takes its steps.',
    ),
  minMs: duration.prefault('1s').describe('The first pause.'),
  maxMs: duration.optional().describe('The longest pause; 1h, or `min` where that is longer.'),
  jitter: fraction.prefault(0.2).describe('The part of a pause that is random.'),
  ageMs: duration
    .optional()
    .describe('An older job is not tried again; without it age is no reason.'),
  replays: count(1)
    .prefault(10)
    .describe('How often a dead job may be replayed before that takes --force.'),
  crashes: count(1)
    .prefault(3)
    .describe('A consumer that died this often on a job gets it no more (quarantine).'),
  ladderMs: ladder
    .optional()
    .describe(
      'The pauses of `ladder` in order; the last one repeats. `[5s, 5m, 10m, 1h, 130m]` if not given.',
    ),
});

/** `retry`, as the file says it. */
export const retry = retryFields.transform((given, context): RetryDocument => {
  const backoff = given.backoff ?? (given.ladderMs ? 'ladder' : 'exponential');
  const ladderMs = given.ladderMs ?? (backoff === 'ladder' ? LADDER_MS : []);
  const maxMs = given.maxMs ?? Math.max(HOUR_MS, given.minMs);
  if (backoff !== 'ladder' && given.ladderMs !== undefined) {
    return fail(context, `means nothing to backoff: ${backoff}`, ['ladder']);
  }
  if (maxMs < given.minMs) return fail(context, 'is shorter than min', ['max']);
  return { ...given, backoff, maxMs, ageMs: given.ageMs ?? 0, ladderMs };
}) as Field<RetryDocument>;

/** A topic as the file says it. */
const topicFields = section({
  target: target.describe(
    'Where deliveries go: `fastcgi://...`, `http(s)://...`, `grpc`, `pull`, or a mapping (below).',
  ),
  concurrency: count(1, 100_000)
    .optional()
    .describe(
      'Requests that run at once over all dispatchers; 4 for fastcgi, 8 for http, 1 for command, 100 for rabbitmq, 256 for grpc, 10_000 for pull.',
    ),
  timeoutMs: duration
    .prefault('30s')
    .describe('How long one attempt may take; of pull, how long a fetched job is held.'),
  delayMs: duration.prefault('0s').describe('Every job waits this long before its first attempt.'),
  start: oneOf('now', 'beginning')
    .prefault('now')
    .describe('Where a new topic begins in the history of its queue.'),
  paused: onOff.prefault(false).describe('Takes jobs and delivers none.'),
  chunk: count(1, 10_000)
    .prefault(1)
    .describe(
      'Jobs in one request, for fastcgi and http with `format: pepperbus`; what failed before goes alone.',
    ),
  password: password
    .optional()
    .describe('Of consumers that fetch or connect; the password of the queue if not given.'),
  retry: retry.prefault({}),
  result: result
    .optional()
    .describe('Who is told what became of deliveries, in the same commit as the outcome.'),
  rate: rate
    .optional()
    .describe('The most deliveries in a time, e.g. `200/s`; the rest waits. [flow.md](flow.md)'),
  key: key
    .optional()
    .describe(
      'Jobs with the same key are limited together, and keys take turns, e.g. `$.user_id`.',
    ),
  priority: later(),
  overlap: later(),
  breaker: later(),
  tag: later(),
});

/** A topic with what its target implies, and what of it contradicts itself. */
export const topic = topicFields.transform((given, context): TopicDocument => {
  const { kind } = given.target;
  const concurrency = given.concurrency ?? connectionsOf(given.target) ?? CONCURRENCY[kind];
  const chunks =
    kind === 'fastcgi' || (kind === 'http' && given.target.http.format === 'pepperbus');
  if (given.chunk > 1 && !chunks) {
    fail(context, `only fastcgi and http with format: pepperbus take several jobs at once`, [
      'chunk',
    ]);
  }
  if (given.timeoutMs === 0) fail(context, 'is no time at all', ['timeout']);
  checkConnections(given.target, concurrency, context);
  return {
    target: withConnections(given.target, concurrency),
    concurrency,
    timeoutMs: given.timeoutMs,
    delayMs: given.delayMs,
    start: given.start,
    paused: given.paused,
    chunk: given.chunk,
    password: given.password,
    retry: given.retry,
    result: given.result,
    rate: given.rate,
    key: given.key,
  };
}) as Field<TopicDocument>;

function connectionsOf(given: TargetDocument): number | undefined {
  if (given.kind === 'fastcgi') return given.fastcgi.connections;
  return given.kind === 'http' ? given.http.connections : undefined;
}

// Requests beyond the connections would wait inside the bus while their time runs.
function checkConnections(
  given: TargetDocument,
  concurrency: number,
  context: z.RefinementCtx,
): void {
  const connections = connectionsOf(given);
  if (connections === undefined || concurrency <= connections) return;
  const place = `target.${given.kind}.connections`;
  fail(
    context,
    `${concurrency} requests at once need as many connections; ${place} is ${connections}`,
    ['concurrency'],
  );
}

function withConnections(given: TargetDocument, concurrency: number): TargetDocument {
  if (given.kind === 'fastcgi') {
    return { ...given, fastcgi: { connections: concurrency, ...given.fastcgi } };
  }
  if (given.kind === 'http') return { ...given, http: { connections: concurrency, ...given.http } };
  return given;
}
