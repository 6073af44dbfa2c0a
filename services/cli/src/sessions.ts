import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { CommandContext } from './context.js';
import { CommandError, EXIT } from './exit.js';

/** A login that is kept for the commands that follow. */
export interface Session {
  user: string;
  token: string;
  expiresAtMs: number;
}

type Sessions = Record<string, Session>;

/** What is kept for a bus, by its address; undefined for nothing. */
export function sessionOf(context: CommandContext, address: string): Session | undefined {
  const sessions = read(context);
  return Object.hasOwn(sessions, address) ? sessions[address] : undefined;
}

/** Keeps a session in a file that only its owner can read; undefined forgets it. */
export function keepSession(
  context: CommandContext,
  address: string,
  session: Session | undefined,
): void {
  const file = fileOf(context);
  if (file === undefined) {
    throw new CommandError(
      EXIT.failure,
      'there is no place to keep the session: neither XDG_CONFIG_HOME nor HOME is set',
    );
  }
  const { [address]: _, ...others } = read(context);
  const all: Sessions = session === undefined ? others : { ...others, [address]: session };
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const fresh = `${file}.${process.pid}`;
  try {
    writeFileSync(fresh, `${JSON.stringify(all, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
    renameSync(fresh, file);
  } finally {
    rmSync(fresh, { force: true });
  }
}

function read(context: CommandContext): Sessions {
  const file = fileOf(context);
  if (file === undefined) return {};
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Sessions;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    // The text of a syntax error would show a piece of the file.
    const reason = (error as NodeJS.ErrnoException).code ?? 'it is no JSON';
    throw new CommandError(
      EXIT.failure,
      `cannot read the sessions in ${file}: ${reason}`,
      'remove it and log in again',
    );
  }
}

function fileOf({ env }: CommandContext): string | undefined {
  const folder = env.XDG_CONFIG_HOME || (env.HOME && join(env.HOME, '.config'));
  return folder ? join(folder, 'malabar', 'sessions.json') : undefined;
}
