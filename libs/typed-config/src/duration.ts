import { quoted, ValueError } from './value-error.js';

const UNIT_NS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  // Micro sign and Greek mu, as Go reads them.
  µs: 1_000n,
  μs: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};
const PARTS = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/gy;
const INT64_MOST = 2n ** 63n - 1n;

/** Nanoseconds of a Go duration: `300ms`, `1h30m`, `-1.5h`, `0`. */
export function parseDuration(raw: string): bigint {
  const text = raw.replace(/^[+-]/, '');
  if (text === '0') return 0n;
  if (/^[\d.]+$/.test(text)) {
    throw new ValueError(`${quoted(raw)} has no unit; write ${raw}s or ${raw}ms`);
  }
  const total = sumOf(text);
  if (total === undefined) {
    throw new ValueError(`${quoted(raw)} is not a duration, e.g. 300ms, 10s or 1h30m`);
  }
  const value = raw.startsWith('-') ? -total : total;
  if (value > INT64_MOST || value < -INT64_MOST - 1n) {
    throw new ValueError(`${quoted(raw)} is beyond the 292 years of a duration`);
  }
  return value;
}

/** Undefined unless the whole text is one or more numbers with units. */
function sumOf(text: string): bigint | undefined {
  let total = 0n;
  let end = 0;
  for (const [part, number = '', unit = ''] of text.matchAll(PARTS)) {
    total += nanoseconds(number, UNIT_NS[unit] ?? 0n);
    end += part.length;
  }
  return end === text.length && end > 0 ? total : undefined;
}

/** Cut to whole nanoseconds, as Go does. */
function nanoseconds(number: string, unit: bigint): bigint {
  const [whole = '', fraction = ''] = number.split('.');
  return (
    BigInt(whole || '0') * unit + (BigInt(fraction || '0') * unit) / 10n ** BigInt(fraction.length)
  );
}
