import { randomUUID } from 'node:crypto';
import { type Duration, milliseconds } from '../duration.js';
import { AlreadyRunningException } from '../exceptions.js';
import type { Store } from './store.js';

/** The PHP library writes the same, so that programs of both may share a store. */
const DONE = 'done:';

/** How long a piece of work is remembered, and how long it may take. */
export interface OnceOptions {
  /** How long to remember that it is done; default a day. */
  ttl?: Duration;
  /** The longest that the work may take: then another may do it. Default a minute. */
  lease?: Duration;
}

/**
 * Does a piece of work unless it has been done under this key; returns its result, kept as JSON,
 * then and later. What the work throws goes through, and it may be tried again. Throws an
 * AlreadyRunningException, which is a RetryException, while somebody else is at it.
 */
export type Once = <T>(
  key: string,
  work: () => T | Promise<T>,
  options?: OnceOptions,
) => Promise<T>;

/**
 * Work that is done once, however often the job that asks for it is delivered:
 *
 *     const once = idempotent(redisStore((words) => redis.call(...words)));
 *     const receipt = await once(`charge-${order}`, () => charge(order));
 *
 * A claim is a lease: if the process dies at work, another may do it after `lease`. So work that can
 * die between its effect and its end should give the key to whom it calls, too.
 */
export function idempotent(store: Store): Once {
  return async <T>(key: string, work: () => T | Promise<T>, options: OnceOptions = {}) => {
    const ttlMs = milliseconds('ttl', options.ttl ?? '1d');
    const lease = options.lease ?? '60s';
    const claim = randomUUID();
    const found = await store.claim(key, claim, milliseconds('lease', lease));
    if (found !== undefined) return resultOf(key, found, lease) as T;
    let result: string;
    try {
      result = textOf(await work());
    } catch (thrown) {
      await store.release(key, claim);
      throw thrown;
    }
    await store.finish(key, DONE + result, ttlMs);
    return JSON.parse(result) as T;
  };
}

/** What JSON cannot hold is not worth doing the work again. */
function textOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? 'null';
  } catch {
    return 'null';
  }
}

function resultOf(key: string, found: string, lease: Duration): unknown {
  if (found.startsWith(DONE)) return JSON.parse(found.slice(DONE.length));
  throw new AlreadyRunningException(`${key} is being worked on`, lease);
}
