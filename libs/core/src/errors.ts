/** One row of the table that every edge translates errors with. */
interface ErrorRow {
  /** gRPC status code number (https://grpc.io/docs/guides/status-codes). */
  grpc: number;
  /** First word of the Redis error reply. */
  redis: string;
  http: number;
  /** The same request may succeed later without any change. */
  retryable: boolean;
}

/** Every code that a caller may have to tell apart. docs/errors.md lists them; a test keeps it true. */
export const ERRORS = {
  INVALID: { grpc: 3, redis: 'ERR', http: 400, retryable: false },
  UNAUTHENTICATED: { grpc: 16, redis: 'NOAUTH', http: 401, retryable: false },
  WRONG_PASSWORD: { grpc: 16, redis: 'WRONGPASS', http: 401, retryable: false },
  FORBIDDEN: { grpc: 7, redis: 'NOPERM', http: 403, retryable: false },
  UNKNOWN_QUEUE: { grpc: 5, redis: 'NOQUEUE', http: 404, retryable: false },
  UNKNOWN_TOPIC: { grpc: 5, redis: 'NOTOPIC', http: 404, retryable: false },
  UNKNOWN_JOB: { grpc: 5, redis: 'NOJOB', http: 404, retryable: false },
  NOT_FOUND: { grpc: 5, redis: 'ERR', http: 404, retryable: false },
  CONFLICT: { grpc: 10, redis: 'CONFLICT', http: 409, retryable: false },
  TOO_LARGE: { grpc: 3, redis: 'TOOBIG', http: 413, retryable: false },
  QUEUE_FULL: { grpc: 8, redis: 'QUEUEFULL', http: 429, retryable: true },
  BUSY: { grpc: 8, redis: 'BUSY', http: 429, retryable: true },
  DISK_FULL: { grpc: 8, redis: 'DISKFULL', http: 507, retryable: true },
  UNAVAILABLE: { grpc: 14, redis: 'TRYAGAIN', http: 503, retryable: true },
  TIMEOUT: { grpc: 4, redis: 'TIMEOUT', http: 504, retryable: true },
  STALE_LEASE: { grpc: 9, redis: 'STALELEASE', http: 409, retryable: false },
  UNSUPPORTED: { grpc: 12, redis: 'ERR', http: 501, retryable: false },
  CORRUPT: { grpc: 15, redis: 'CORRUPT', http: 500, retryable: false },
  INTERNAL: { grpc: 13, redis: 'ERR', http: 500, retryable: false },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

/** The one error type of the bus. The message is for people and names what and where. */
export class BusError extends Error {
  override readonly name = 'BusError';

  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }
}

/** Any thrown value as a BusError; what is not one already becomes INTERNAL. */
export function toBusError(thrown: unknown): BusError {
  if (thrown instanceof BusError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new BusError('INTERNAL', message, { cause: thrown });
}

/** A code that came over the wire; one that this build does not know becomes INTERNAL. */
export function errorCode(text: string): ErrorCode {
  return Object.hasOwn(ERRORS, text) ? (text as ErrorCode) : 'INTERNAL';
}

/** The error that a Fault message of the contracts stands for. */
export function fromFault(fault: { code: string; message: string }): BusError {
  return new BusError(errorCode(fault.code), fault.message);
}

/** The Fault message of an error. */
export function toFault(thrown: unknown): { code: string; message: string } {
  const error = toBusError(thrown);
  return { code: error.code, message: error.message };
}
