import { ConfigError } from '@malabar/config';
import { BusError, type ErrorCode } from '@malabar/core';
import { CommanderError } from 'commander';
import { CommandError, EXIT, type ExitCode, exitCodeOf, FaultsError } from './exit.js';

/** What the command ends with: lines for stderr and the exit code. */
export interface Failure {
  exitCode: ExitCode;
  line: string[];
}

const HINTS: Partial<Record<ErrorCode, string>> = {
  UNAUTHENTICATED:
    '`malabar login`, or give a token as MALABAR_TOKEN, the password of the queue with --password',
  WRONG_PASSWORD: 'give the right one with --password or MALABAR_PASSWORD',
  UNKNOWN_QUEUE: '`malabar queues` lists those there are',
  UNKNOWN_TOPIC: '`malabar queues` lists those there are',
  UNAVAILABLE: '`malabar doctor` says what is away',
  TIMEOUT: 'give it more time with --timeout, or see `malabar doctor`',
  BUSY: 'try again',
  DISK_FULL: 'make room on the disk of the store',
};

/** Any thrown value as what the user sees: one line, saying what to do where we know it. */
export function failureOf(error: unknown): Failure {
  if (error instanceof CommandError) return failure(error.exitCode, error.message, error.hint);
  if (error instanceof CommanderError) {
    return failure(
      EXIT.usage,
      error.message.replace(/^error: |\.$/g, ''),
      '`--help` shows how it is used',
    );
  }
  if (error instanceof ConfigError) {
    return failures(error.message.split('\n'));
  }
  if (error instanceof FaultsError) return failures(error.faults);
  if (error instanceof BusError) {
    return failure(exitCodeOf(error.code), error.message, HINTS[error.code]);
  }
  return failure(EXIT.failure, error instanceof Error ? error.message : String(error));
}

function failures(faults: readonly string[]): Failure {
  return { exitCode: EXIT.usage, line: faults.map((fault) => `malabar: ${fault}`) };
}

function failure(exitCode: ExitCode, message: string, hint?: string): Failure {
  const what = message.replaceAll(/\s*\n\s*/g, ' ');
  return { exitCode, line: [`malabar: ${what}${hint ? `; ${hint}` : ''}`] };
}
