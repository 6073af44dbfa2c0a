import { createHash } from 'node:crypto';

/**
 * How much later than its nominal time something starts: 0 to `jitterMs`, always the same for the
 * same name and time, so that a leader that takes over waits as long as the one before it.
 */
export function jitterOf(name: string, nominalMs: number, jitterMs: number): number {
  if (jitterMs <= 0) return 0;
  const hash = createHash('sha256').update(`${name}\n${nominalMs}`).digest().readUInt32BE();
  return Math.floor((hash / 2 ** 32) * jitterMs);
}
