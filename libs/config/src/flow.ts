import * as z from 'zod';
import { count, duration, type Field, fail, oneOf, scalar, section } from './schema.js';
import { parseCount, quoted } from './units.js';

/** The part of a second whose deliveries go at once where nothing else is said. */
const BURST_MS = 100;
const LIMIT_MAX = 1_000_000;
const DAY_MS = 86_400_000;

/** How fast a topic hands its deliveries out at most. */
export interface RateDocument {
  limit: number;
  perMs: number;
  burst: number;
}

/** What keys mean to a topic. */
export interface KeyDocument {
  concurrency: number;
  /** `job`, `header:<name>` or `$.a.b`. */
  from: string;
  order: 'strict' | 'loose';
}

const rateFields = section({
  limit: count(1, LIMIT_MAX).describe(
    'So many deliveries, retries among them, over all dispatchers,',
  ),
  perMs: duration
    .prefault('1s')
    .describe('in this time, up to 1d. `200/s`, `30/m`, `1_000/h` say both.'),
  burst: count(1, LIMIT_MAX)
    .optional()
    .describe('How many go at once after a pause; what the rate allows in 100ms, at least 1.'),
}).transform(({ limit, perMs, burst }, context): RateDocument => {
  if (perMs === 0 || perMs > DAY_MS) fail(context, 'is above 0 and at most 1d', ['per']);
  return { limit, perMs, burst: burst ?? Math.max(1, Math.ceil((limit * BURST_MS) / perMs)) };
});

/** `rate: 200/s`, or as a mapping. */
export const rate = short(rateFields, (text) => {
  const [, limit, unit] = /^([\d_]+)\/(s|m|h|d)$/.exec(text) ?? [];
  if (limit === undefined)
    throw new TypeError(`${quoted(text)} is not a rate, e.g. 200/s, 30/m or 1_000/h`);
  return { limit: parseCount(limit), per: `1${unit}` };
});

const FROM = /^(job|header:[^\s:]{1,128}|\$(\.[^.\s[\]$*@'"]{1,128}){1,8})$/;

const source = scalar('`job`, `header:<name>`, `$.a.b`', (value) => {
  if (typeof value === 'string' && FROM.test(value)) return value;
  throw new TypeError(
    `${quoted(value)} is neither job, header:<name> nor a path of names as in $.user.id`,
  );
});

const keyFields = section({
  concurrency: count(1, 100_000)
    .prefault(1)
    .describe('So many deliveries of one key at once over all dispatchers; 1 keeps their order.'),
  from: source
    .prefault('job')
    .describe(
      'Where the key is: what the producer said (`job`), a header, or a value of a JSON body.',
    ),
  order: oneOf('loose', 'strict')
    .prefault('loose')
    .describe('With `strict`, a job that waits to be tried again holds up the others of its key.'),
}).transform((given, context): KeyDocument => {
  if (given.order === 'strict' && given.concurrency > 1)
    return fail(
      context,
      'needs a concurrency of 1: jobs that run beside each other have no order',
      ['order'],
    );
  return given;
});

/** `key: $.user_id`, or as a mapping. */
export const key = short(keyFields, (text) => ({ from: text }));

/** A mapping that may also be written as a text. */
function short<T>(fields: z.ZodType<T, unknown>, read: (text: string) => unknown): Field<T> {
  return z.preprocess((value, context) => {
    if (typeof value !== 'string') return value;
    try {
      return read(value);
    } catch (error) {
      return fail(context, (error as Error).message);
    }
  }, fields) as Field<T>;
}
