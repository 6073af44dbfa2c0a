import { quoted, ValueError } from './value-error.js';

const WHOLE = /^[+-]?\d+$/;
const FLOAT = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const NOT_FINITE = /^[+-]?(?:nan|inf|infinity)$/i;
const INT64_LEAST = -(2n ** 63n);
const INT64_MOST = 2n ** 63n - 1n;

/** The tokens of Go's ParseBool. */
const BOOLS: ReadonlyMap<string, boolean> = new Map([
  ...['1', 't', 'T', 'true', 'TRUE', 'True'].map((text): [string, boolean] => [text, true]),
  ...['0', 'f', 'F', 'false', 'FALSE', 'False'].map((text): [string, boolean] => [text, false]),
]);

/** Undefined where Go's ParseBool fails. */
export function boolOf(raw: string): boolean | undefined {
  return BOOLS.get(raw);
}

export function parseBool(raw: string): boolean {
  const value = BOOLS.get(raw);
  if (value === undefined) throw new ValueError(`${quoted(raw)} is not a bool; true or false`);
  return value;
}

/** Undefined where the text is no safe integer. */
export function intOf(raw: string): number | undefined {
  const value = WHOLE.test(raw) ? Number(raw) : Number.NaN;
  // -0 is a float's affair.
  return Number.isSafeInteger(value) ? value + 0 : undefined;
}

export function parseInt10(raw: string): number {
  const value = intOf(raw);
  if (value !== undefined) return value;
  if (!WHOLE.test(raw)) throw new ValueError(`${quoted(raw)} is not an int, e.g. 8 or -1`);
  throw new ValueError(`${quoted(raw)} is beyond ±9007199254740991; make it an int64`);
}

export function parseInt64(raw: string): bigint {
  if (!WHOLE.test(raw)) throw new ValueError(`${quoted(raw)} is not an int64, e.g. 8 or -1`);
  const value = BigInt(raw.replace('+', ''));
  if (value < INT64_LEAST || value > INT64_MOST) {
    throw new ValueError(`${quoted(raw)} is beyond the 64 bits of an int64`);
  }
  return value;
}

/** Finite decimals only: JSON, which carries values to nodes, knows no others. */
export function parseFloat64(raw: string): number {
  if (NOT_FINITE.test(raw)) throw new ValueError(`${quoted(raw)} cannot be written as JSON`);
  if (!FLOAT.test(raw)) throw new ValueError(`${quoted(raw)} is not a float64, e.g. 0.5 or 1e3`);
  const value = Number(raw);
  if (!Number.isFinite(value)) throw new ValueError(`${quoted(raw)} is too large for a float64`);
  return value;
}
