const LF = 10;
const CR = 13;
const STATUS_OK = 200;

/** What a script answered. */
export interface FastcgiResponse {
  /** Of the `Status` header; 200 when there is none (RFC 3875, section 6.3.3). */
  status: number;
  /** Names in lower case; a header sent more than once has its values joined by `, `. */
  headers: ReadonlyMap<string, string>;
  body: Buffer;
  /** Warnings, error_log() and fatal errors, as PHP wrote them; cut at 64 KiB. */
  stderr: string;
  /** Of END_REQUEST; php-fpm always says 0. */
  appStatus: number;
}

export type CgiResponse = Pick<FastcgiResponse, 'status' | 'headers' | 'body'>;

/**
 * Parses a CGI response (RFC 3875, section 6) with lines that end in CRLF or LF. Lines without a
 * colon are skipped. `undefined` when the empty line that ends the headers is missing. The body
 * shares memory with `output`.
 */
export function parseCgiResponse(output: Buffer): CgiResponse | undefined {
  const headers = new Map<string, string>();
  let at = 0;
  for (;;) {
    const lineEnd = output.indexOf(LF, at);
    if (lineEnd < 0) return undefined;
    const textEnd = lineEnd > at && output[lineEnd - 1] === CR ? lineEnd - 1 : lineEnd;
    if (textEnd === at) {
      return { status: statusOf(headers), headers, body: output.subarray(lineEnd + 1) };
    }
    addHeader(headers, output.toString('latin1', at, textEnd));
    at = lineEnd + 1;
  }
}

function addHeader(headers: Map<string, string>, line: string): void {
  const colon = line.indexOf(':');
  if (colon < 1) return;
  const name = line.slice(0, colon).trim().toLowerCase();
  const value = line.slice(colon + 1).trim();
  const earlier = headers.get(name);
  headers.set(name, earlier === undefined ? value : `${earlier}, ${value}`);
}

function statusOf(headers: ReadonlyMap<string, string>): number {
  const text = headers.get('status');
  if (text === undefined) return STATUS_OK;
  const status = Number.parseInt(text, 10);
  return status >= 100 && status <= 999 ? status : STATUS_OK;
}
