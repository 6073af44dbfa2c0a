import type { ErrorCode } from '@malabar/core';

/** Exit codes of the command, documented in docs/errors.md. */
export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  unreachable: 3,
  notFound: 4,
  notAllowed: 5,
  refused: 6,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

const BY_CODE: Record<ErrorCode, ExitCode> = {
  INVALID: EXIT.usage,
  UNAUTHENTICATED: EXIT.notAllowed,
  WRONG_PASSWORD: EXIT.notAllowed,
  FORBIDDEN: EXIT.notAllowed,
  UNKNOWN_QUEUE: EXIT.notFound,
  UNKNOWN_TOPIC: EXIT.notFound,
  UNKNOWN_JOB: EXIT.notFound,
  NOT_FOUND: EXIT.notFound,
  CONFLICT: EXIT.refused,
  TOO_LARGE: EXIT.usage,
  QUEUE_FULL: EXIT.refused,
  BUSY: EXIT.refused,
  DISK_FULL: EXIT.refused,
  UNAVAILABLE: EXIT.unreachable,
  TIMEOUT: EXIT.unreachable,
  STALE_LEASE: EXIT.failure,
  UNSUPPORTED: EXIT.usage,
  CORRUPT: EXIT.failure,
  INTERNAL: EXIT.failure,
};

/** The exit code that an error of the bus ends the command with. */
export function exitCodeOf(code: ErrorCode): ExitCode {
  return BY_CODE[code];
}

/** Ends the command with a message in one line and, behind it, what the user can do. */
export class CommandError extends Error {
  override readonly name = 'CommandError';

  constructor(
    readonly exitCode: ExitCode,
    message: string,
    readonly hint?: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Ends the command with a line for each thing that is wrong with what the user gave it. */
export class FaultsError extends Error {
  override readonly name = 'FaultsError';

  constructor(readonly faults: readonly string[]) {
    super(faults.join('\n'));
  }
}
