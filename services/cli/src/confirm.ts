import { CommandError, EXIT } from './exit.js';
import type { Terminal } from './terminal.js';

/** What a command asks before it does something that many will notice. */
export interface Confirmation {
  /** What it does, e.g. `--all replays every dead delivery`, where nobody can be asked. */
  consequence: string;
  /** E.g. `Replay every dead delivery of a/b?` */
  question: string;
  /** E.g. `nothing was replayed` */
  refused: string;
}

/** Goes on if the person says yes; ends the command otherwise, also where no person sits. */
export async function confirm(terminal: Terminal, asked: Confirmation): Promise<void> {
  if (!terminal.interactive) {
    throw new CommandError(EXIT.usage, asked.consequence, 'say --yes as well');
  }
  const answer = await terminal.ask(`${asked.question} [y/N] `);
  if (!/^y(es)?$/i.test(answer.trim())) throw new CommandError(EXIT.failure, asked.refused);
}
