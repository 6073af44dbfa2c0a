import type { Engine, WriteBatch } from '../../engine.js';

const KEPT = 25;

/** The n-th commit of a history that everybody knows: big and small records, and pages used again. */
export function step(n: number): WriteBatch {
  const state = new Map<string, Buffer | undefined>([
    ['last', Buffer.from(String(n))],
    [`S${n % 40}`, n % 7 === 0 ? undefined : Buffer.alloc((n * 131) % 900, n)],
  ]);
  const drops = n >= KEPT ? [{ shard: 1, firstSeq: n - KEPT }] : [];
  const appends = hasJobs(n) ? [{ shard: 1, firstSeq: n, bytes: record(n) }] : [];
  return { appends, state, drops };
}

/** Every third commit carries outcomes alone, which an engine may write in another way. */
const hasJobs = (n: number): boolean => n % 3 !== 2;

const record = (n: number): Buffer => Buffer.alloc(((n * 7919) % 50) ** 2 * 20 + 4, n);

/**
 * Says what is wrong with a store in which steps 0 to `acknowledged` (-1 for none) have been, or
 * undefined. One step more may be there as well, wholly or not at all.
 */
export async function faultAfter(
  engine: Engine,
  acknowledged: number,
): Promise<string | undefined> {
  const found = await engine.get('last');
  const last = found === undefined ? -1 : Number(Buffer.from(found).toString());
  if (last < acknowledged) return `lost: ${acknowledged} was acknowledged, ${last} is the last`;
  if (last > acknowledged + 1) return `${last} was never committed`;
  const expected: number[] = [];
  for (let n = Math.max(0, last - KEPT + 1); n <= last; n++) if (hasJobs(n)) expected.push(n);
  for (const n of expected) {
    const bytes = (await engine.readLog(1, n))?.bytes;
    if (bytes === undefined || Buffer.compare(bytes, record(n)) !== 0)
      return `record ${n} is wrong`;
  }
  const next = await engine.nextLog(1, 0);
  if (next?.firstSeq !== expected[0]) return `record ${next?.firstSeq} is back`;
  for (let n = Math.max(0, last - 39); n <= last; n++) {
    const value = step(n).state.get(`S${n % 40}`);
    const kept = await engine.get(`S${n % 40}`);
    if (Buffer.compare(kept ?? Buffer.of(0), value ?? Buffer.of(0)) !== 0)
      return `state ${n % 40} is wrong`;
  }
  return undefined;
}
