import type { Clock } from '@malabar/core';
import type { ExitCode } from './exit.js';
import type { Terminal } from './terminal.js';

/** What every command gets from outside. */
export interface CommandContext {
  terminal: Terminal;
  env: NodeJS.ProcessEnv;
  clock: Clock;
  /** Working directory. */
  cwd: string;
  /** The code that the process ends with if nothing is thrown. */
  exitCode: ExitCode;
  /** Resolves at SIGINT or SIGTERM. A second signal ends the process at once. */
  untilStopped(): Promise<NodeJS.Signals>;
}
