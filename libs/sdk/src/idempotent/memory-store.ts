import type { Store } from './store.js';

interface Kept {
  value: string;
  untilMs: number;
}

/** In this process alone: for tests. */
export function memoryStore(): Store {
  const all = new Map<string, Kept>();
  const find = (key: string): string | undefined => {
    const kept = all.get(key);
    if (kept !== undefined && kept.untilMs > Date.now()) return kept.value;
    all.delete(key);
    return undefined;
  };
  const put = (key: string, value: string, ms: number): void => {
    all.set(key, { value, untilMs: Date.now() + ms });
  };
  return {
    async claim(key, claim, leaseMs) {
      const found = find(key);
      if (found === undefined) put(key, claim, leaseMs);
      return found;
    },
    async finish(key, value, ttlMs) {
      put(key, value, ttlMs);
    },
    async release(key, claim) {
      if (find(key) === claim) all.delete(key);
    },
  };
}
