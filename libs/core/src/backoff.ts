/** Pause before reconnect number `attempt` (from 0): doubling from `minMs` to `maxMs`, the upper half random. */
export function reconnectDelayMs(
  attempt: number,
  random: () => number,
  minMs = 50,
  maxMs = 1_000,
): number {
  const full = Math.min(maxMs, minMs * 2 ** Math.min(attempt, 30));
  return full / 2 + (full / 2) * random();
}
