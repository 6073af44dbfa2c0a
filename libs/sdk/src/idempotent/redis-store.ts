import type { Store } from './store.js';

const RELEASE =
  "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0";

/**
 * In a Redis: a real one, for Malabar's own port is no database. `call` sends a command, given as a
 * list of words: `(words) => ioredis.call(...words)` or `(words) => nodeRedis.sendCommand(words)`.
 */
export function redisStore(
  call: (words: [string, ...string[]]) => Promise<unknown>,
  prefix = 'malabar:once:',
): Store {
  return {
    async claim(key, claim, leaseMs) {
      for (;;) {
        const taken = await call(['SET', prefix + key, claim, 'NX', 'PX', text(leaseMs)]);
        if (String(taken) === 'OK') return undefined;
        const found = await call(['GET', prefix + key]);
        // It may have ended between the two.
        if (found !== null && found !== undefined) return String(found);
      }
    },
    async finish(key, value, ttlMs) {
      await call(['SET', prefix + key, value, 'PX', text(ttlMs)]);
    },
    async release(key, claim) {
      await call(['EVAL', RELEASE, '1', prefix + key, claim]);
    },
  };
}

function text(ms: number): string {
  return String(Math.max(1, Math.round(ms)));
}
