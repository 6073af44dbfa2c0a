/** A length of time as everywhere in Malabar: a whole number and its unit. */
export type Duration = `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

/** Milliseconds of each unit. */
export const UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Milliseconds of a duration. Throws a TypeError that says whose it is: numbers have no unit. */
export function milliseconds(what: string, duration: Duration): number {
  const parts = typeof duration === 'string' ? /^(\d+)(ms|s|m|h|d)$/.exec(duration) : null;
  const product = Number(parts?.[1]) * (UNITS_MS[parts?.[2] ?? ''] ?? Number.NaN);
  if (Number.isSafeInteger(product)) return product;
  const text = JSON.stringify(duration);
  throw new TypeError(
    `${what}: ${text} is not a duration, e.g. '250ms', '30s', '5m', '2h' or '7d'`,
  );
}
