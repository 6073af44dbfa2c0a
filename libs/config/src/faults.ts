import type * as z from 'zod';

/** One thing that is wrong with the configuration. */
export interface ConfigFault {
  /** Path of the file as it was given; `environment` or `--set` where that is the source. */
  file: string;
  /** From 1; 0 where the source has no lines. */
  line: number;
  column: number;
  /** Key path such as `queues.order_paid.topics.ship.timeout`; empty for the file as a whole. */
  key: string;
  /** The reason. Never holds a secret. */
  message: string;
}

/** Every fault of a configuration at once; the message has one line for each. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly faults: readonly ConfigFault[];

  constructor(faults: readonly ConfigFault[]) {
    const sorted = [...faults].sort((a, b) => a.line - b.line || a.column - b.column);
    super(sorted.map(formatFault).join('\n'));
    this.faults = sorted;
  }
}

/** `file:line:column: key: message`. */
export function formatFault({ file, line, column, key, message }: ConfigFault): string {
  const place = line === 0 ? file : `${file}:${line}:${column}`;
  return [place, key, message].filter((part) => part !== '').join(': ');
}

/** A fault before it is known where its key stands. */
export interface KeyFault {
  path: readonly string[];
  message: string;
}

/** The faults that a schema found, one per key. */
export function faultsOf(issues: readonly z.core.$ZodIssue[]): KeyFault[] {
  return issues.flatMap((issue): KeyFault[] => {
    const path = issue.path.map(String);
    if (issue.code === 'unrecognized_keys') {
      const messages = issue.message.split('\n');
      return issue.keys.map((key, index) => ({
        path: [...path, key],
        message: messages[index] ?? 'unknown key',
      }));
    }
    if (issue.code === 'invalid_key') {
      return issue.issues.map(({ message }) => ({ path, message }));
    }
    return [{ path, message: issue.message }];
  });
}
