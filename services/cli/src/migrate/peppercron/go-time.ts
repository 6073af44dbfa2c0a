import type { Zone } from '@malabar/schedule';

const UNITS_NS: Record<string, number> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 6e10,
  h: 3.6e12,
};

/** Nanoseconds of a duration as Go reads it, e.g. `1h30m`, `1.5s`, `-2ms`; undefined if it does not. */
export function goDuration(text: string): number | undefined {
  const [, sign, rest = ''] = /^([+-]?)(.*)$/s.exec(text) as RegExpExecArray;
  if (rest === '0') return 0;
  if (!/^(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/.test(rest)) return undefined;
  const parts = rest.matchAll(/([\d.]+)([a-zµμ]+)/g);
  const ns = [...parts].reduce(
    (sum, [, number, unit]) => sum + Number(number) * (UNITS_NS[unit as string] as number),
    0,
  );
  return sign === '-' ? -Math.round(ns) : Math.round(ns);
}

/** Of an instant what clocks in a zone show: a date whose UTC fields are those of the clocks. */
export function shownAt(unixMs: number, zone: Zone): Date {
  return new Date(unixMs + zone.stretchAt(unixMs).offsetMs);
}

/**
 * The instant at which clocks show `shown` (their fields as if they were UTC). Where they skip it or show
 * it twice, the same instant that Go's time.Date takes: the zone is asked twice, first as if it were UTC.
 */
export function instantShown(shown: number, zone: Zone): number {
  const { offsetMs, startMs, endMs } = zone.stretchAt(shown);
  if (offsetMs === 0) return shown;
  const unixMs = shown - offsetMs;
  if (unixMs >= startMs && unixMs < endMs) return unixMs;
  return shown - zone.stretchAt(unixMs).offsetMs;
}
