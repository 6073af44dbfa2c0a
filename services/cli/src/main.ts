import { once } from 'node:events';
import { systemClock } from '@malabar/core';
import type { CommandContext } from './context.js';
import { EXIT } from './exit.js';
import { failureOf } from './failure.js';
import { run } from './program.js';
import { createTerminal } from './terminal.js';

/** What a shell reports of a process that SIGINT ended. */
const INTERRUPTED = 130;

const terminal = createTerminal(process);
const context: CommandContext = {
  terminal,
  env: process.env,
  clock: systemClock,
  cwd: process.cwd(),
  exitCode: EXIT.ok,
  untilStopped,
};

/** From the first call on, the first signal is ours and the second one ends the process. */
async function untilStopped(): Promise<NodeJS.Signals> {
  // A closed terminal or a supervisor that sends HUP "to reload" must not end a bus: files are watched.
  process.on('SIGHUP', () => {});
  const [signal] = await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  for (const again of ['SIGINT', 'SIGTERM'] as const) {
    process.on(again, () => process.exit(INTERRUPTED));
  }
  return signal ?? 'SIGTERM';
}

/** Nothing is known about a process after such an error: say it and go. Accepted jobs are on disk. */
function crash(error: unknown): never {
  for (const text of failureOf(error).line) terminal.note(text);
  if (error instanceof Error && error.stack) terminal.note(error.stack);
  process.exit(EXIT.failure);
}

process.on('uncaughtException', crash);
process.on('unhandledRejection', crash);
// `malabar queues | head -1` closes our stdout: there is nobody left to tell.
process.stdout.on('error', () => process.exit(EXIT.ok));

process.exitCode = await run(process.argv.slice(2), context);
