import type { CommandContext } from './context.js';
import { CommandError, EXIT } from './exit.js';
import { readTextFile } from './input-file.js';

/**
 * A password from `--password-file` (`-` for stdin), from a person who types it unseen, or from
 * stdin where no person sits. Never from the command line, which every user of a machine can read.
 */
export async function readPassword(
  { terminal }: CommandContext,
  { passwordFile }: { passwordFile?: string },
  { question, again }: { question: string; again?: string },
): Promise<string> {
  if (passwordFile !== undefined && passwordFile !== '-') {
    return checked(readTextFile(passwordFile));
  }
  if (passwordFile === '-' || !terminal.interactive) return checked(String(await terminal.read()));
  const password = await terminal.ask(question, true);
  if (again !== undefined && (await terminal.ask(again, true)) !== password) {
    throw new CommandError(EXIT.usage, 'the two passwords differ');
  }
  return checked(password);
}

/** The first line: a file ends with a newline that nobody means. */
function checked(text: string): string {
  const [password = ''] = text.split(/\r?\n/, 1);
  if (password !== '') return password;
  throw new CommandError(EXIT.usage, 'the password is empty');
}
