// The body of a string is matched in runs: a value of a megabyte must not exhaust the matcher.
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*|[a-z]+|[{}[\]:,]/g;

/** How each kind of token of a JSON text is written in another language. */
export interface TokenWriter {
  /** The text of a string or of a name. */
  text(value: string): string;
  /** A number with all its digits, as it stands. */
  number(digits: string): string;
  /** A bracket, a comma or a colon. */
  mark(mark: string): string;
}

/**
 * Writes a JSON text in another language, token by token: no number passes through a double, so
 * the digits of an int64 survive. `true`, `false` and `null` are the same everywhere.
 */
export function rewriteJson(json: string, writer: TokenWriter): string {
  const tokens = json.match(TOKEN) ?? [];
  return tokens.map((token) => rewrite(token, writer)).join('');
}

function rewrite(token: string, { text, number, mark }: TokenWriter): string {
  const first = token.charAt(0);
  if (first === '"') return text(JSON.parse(token));
  if (first === '-' || (first >= '0' && first <= '9')) return number(token);
  return first >= 'a' && first <= 'z' ? token : mark(token);
}

/** A number so that no reader takes a float for an integer: `1000` of a float64 as `1000.0`. */
export function floatDigits(digits: string): string {
  return /[.eE]/.test(digits) ? digits : `${digits}.0`;
}

/** Whether the numbers of this type are floats. */
export function isFloatType(type: string): boolean {
  return type.endsWith('float64');
}
