import { tmpdir } from 'node:os';
import { systemClock } from '@malabar/core';
import type { CommandContext } from './context.js';
import { EXIT } from './exit.js';
import {
  type MemoryTerminal,
  type MemoryTerminalOptions,
  memoryTerminal,
} from './terminal.suite.js';

/** The context of a test: nothing of the machine's environment or working directory. */
export function memoryContext(
  options: MemoryTerminalOptions & Partial<Pick<CommandContext, 'env' | 'cwd'>> = {},
): CommandContext & { terminal: MemoryTerminal } {
  return {
    terminal: memoryTerminal(options),
    env: options.env ?? {},
    clock: systemClock,
    cwd: options.cwd ?? tmpdir(),
    exitCode: EXIT.ok,
    untilStopped: () => new Promise(() => {}),
  };
}
