import { readFileSync } from 'node:fs';
import { CommandError, EXIT } from './exit.js';

/** The text of a file that the user named; an error of the command that names it. */
export function readTextFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new CommandError(EXIT.usage, `cannot read ${path}: ${code ?? message}`);
  }
}
