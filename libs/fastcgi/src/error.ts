/**
 * How a request ended without a response:
 * - `not-delivered`: the script cannot have run; sending again elsewhere or later is safe.
 * - `crashed`: the connection ended before the response did; the script may have run, or half.
 * - `timeout`: no whole response in time; the script may still be running.
 * - `aborted`: the caller's signal fired after the request was sent.
 * - `protocol`: the answer is not FastCGI, or not a CGI response.
 * - `too-large`: more output than the caller takes.
 */
export type FastcgiErrorKind =
  | 'not-delivered'
  | 'crashed'
  | 'timeout'
  | 'aborted'
  | 'protocol'
  | 'too-large';

/** The one error of this library. */
export class FastcgiError extends Error {
  override readonly name = 'FastcgiError';

  constructor(
    readonly kind: FastcgiErrorKind,
    message: string,
    /** What the script and PHP wrote to FCGI_STDERR before it ended. */
    readonly stderr = '',
  ) {
    super(message);
  }
}
