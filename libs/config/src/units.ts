/** How people write durations, sizes and counts. Every parser throws a TypeError with the reason. */

const SECOND = 1000;
const DURATION_MS: Record<string, number> = {
  ms: 1,
  s: SECOND,
  m: 60 * SECOND,
  h: 3600 * SECOND,
  d: 86_400 * SECOND,
};
const SIZE_BYTES: Record<string, number> = {
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
};
const DIGITS = /^\d+(_\d+)*$/;

/** A value as it may stand in a message: short, in quotes. */
export function quoted(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  const text = String(value);
  return `'${text.length > 60 ? `${text.slice(0, 60)}...` : text}'`;
}

/** Whole numbers, `5_000_000` included. */
export function parseCount(value: unknown, least = 0, most = Number.MAX_SAFE_INTEGER): number {
  const number = typeof value === 'string' && DIGITS.test(value) ? digits(value) : value;
  if (typeof number !== 'number' || !Number.isSafeInteger(number)) {
    throw new TypeError(`${quoted(value)} is not a whole number, e.g. 8 or 5_000_000`);
  }
  if (number < least) throw new TypeError(`${quoted(value)} is below the least, ${least}`);
  if (number > most) throw new TypeError(`${quoted(value)} is above the most, ${most}`);
  return number;
}

/** Milliseconds of `250ms`, `30s`, `5m`, `2h`, `7d`. */
export function parseDuration(value: unknown): number {
  if (typeof value === 'number' || (typeof value === 'string' && DIGITS.test(value))) {
    throw new TypeError(`${quoted(value)} has no unit; write '${value}s' or '${value}ms'`);
  }
  const parts = typeof value === 'string' ? /^(\d+(?:_\d+)*)(ms|s|m|h|d)$/.exec(value) : null;
  if (parts === null) {
    throw new TypeError(`${quoted(value)} is not a duration, e.g. 250ms, 30s, 5m, 2h or 7d`);
  }
  return checkedProduct(value, parts[1] as string, DURATION_MS[parts[2] as string] as number);
}

/** Bytes of `512`, `64KiB`, `1MiB`, `2GiB`. */
export function parseSize(value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  const parts =
    typeof value === 'string' ? /^(\d+(?:_\d+)*)(B|KiB|MiB|GiB|TiB)?$/.exec(value) : null;
  if (parts === null) {
    const decimal = typeof value === 'string' && /^\d+ ?(k|m|g|t)i?b?$/i.test(value);
    const hint = decimal ? '; units are KiB, MiB, GiB, TiB, without a space' : '';
    throw new TypeError(`${quoted(value)} is not a size, e.g. 512, 64KiB or 1MiB${hint}`);
  }
  return checkedProduct(value, parts[1] as string, SIZE_BYTES[parts[2] ?? 'B'] as number);
}

/** `true` and `false`, as YAML or as the text of an environment variable. */
export function parseSwitch(value: unknown): boolean {
  if (value === true || value === 'true') return true;
  if (value === false || value === 'false') return false;
  throw new TypeError(`${quoted(value)} is not true or false`);
}

/** `host:port` or `[ipv6]:port`; port 0 lets the system choose. */
export function parseAddress(value: unknown, portLeast = 0): string {
  const parts =
    typeof value === 'string'
      ? /^(?:\[([0-9A-Fa-f:.]+(?:%\w+)?)\]|([A-Za-z0-9_.-]+)):(\d{1,5})$/.exec(value)
      : null;
  const port = Number(parts?.[3]);
  if (parts === null || (parts[1] !== undefined && !parts[1].includes(':'))) {
    throw new TypeError(`${quoted(value)} is not host:port, e.g. 127.0.0.1:6380 or [::1]:6380`);
  }
  if (port > 65_535 || port < portLeast) {
    throw new TypeError(`${quoted(value)} has no valid port: ${portLeast} to 65535`);
  }
  return value as string;
}

/** A duration in its largest whole unit. */
export function formatDuration(ms: number): string {
  const unit = largestUnit(DURATION_MS, ms);
  return unit === undefined ? `${ms}ms` : `${ms / (DURATION_MS[unit] as number)}${unit}`;
}

/** A size in its largest whole unit. */
export function formatSize(bytes: number): string {
  const unit = largestUnit(SIZE_BYTES, bytes);
  return unit === undefined || unit === 'B'
    ? String(bytes)
    : `${bytes / (SIZE_BYTES[unit] as number)}${unit}`;
}

function largestUnit(units: Record<string, number>, value: number): string | undefined {
  return Object.keys(units).findLast((unit) => value > 0 && value % (units[unit] as number) === 0);
}

function digits(text: string): number {
  return Number(text.replaceAll('_', ''));
}

function checkedProduct(value: unknown, text: string, factor: number): number {
  const product = digits(text) * factor;
  if (!Number.isSafeInteger(product)) throw new TypeError(`${quoted(value)} is too large`);
  return product;
}
