import { setTimeout as pause } from 'node:timers/promises';

export interface EventuallyOptions {
  timeoutMs?: number;
  everyMs?: number;
}

/**
 * Calls `attempt` until it neither throws nor returns `false`, and resolves to what it returned.
 * After `timeoutMs` (10 s) rejects with the last error, so a failing `expect` stays readable.
 */
export async function eventually<T>(
  attempt: () => T | Promise<T>,
  { timeoutMs = 10_000, everyMs = 10 }: EventuallyOptions = {},
): Promise<Exclude<T, false>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const outcome = await settled(attempt);
    if ('value' in outcome) return outcome.value;
    if (performance.now() >= deadline) throw outcome.error;
    await pause(everyMs);
  }
}

async function settled<T>(
  attempt: () => T | Promise<T>,
): Promise<{ value: Exclude<T, false> } | { error: unknown }> {
  try {
    const value = await attempt();
    if (value === false) return { error: new Error(`still false: ${attempt}`) };
    return { value: value as Exclude<T, false> };
  } catch (error) {
    return { error };
  }
}
