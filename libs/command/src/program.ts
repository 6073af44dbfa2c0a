import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { type Account, groupNumber, userAccount } from './accounts.js';

/** From util-linux, on every Debian: sets the user and ends a child with its parent. */
const SETPRIV = '/usr/bin/setpriv';

export interface ProgramOptions {
  argv: readonly string[];
  env: Readonly<Record<string, string>>;
  directory?: string;
  /** Name or number; the user of this process if not given. HOME is theirs unless `env` has one. */
  user?: string;
  /** The user's own group if not given. */
  group?: string;
}

/** What to spawn. */
export interface Program {
  line: [string, ...string[]];
  env: Record<string, string>;
}

/**
 * What to spawn for a command. The kernel ends the program when this process dies, however that comes:
 * the job goes to another dispatcher then, and must not run twice for long. Throws an Error with the
 * reason why it cannot start.
 */
export function programOf({ argv, env, directory, user, group }: ProgramOptions): Program {
  const path = find(argv[0] ?? '', env.PATH ?? '', directory ?? process.cwd());
  const line: [string, ...string[]] = [path, ...argv.slice(1)];
  if (directory !== undefined && !isFolder(directory))
    throw new Error(`there is no folder ${directory}`);
  const account = user === undefined ? undefined : userAccount(user);
  const home: Record<string, string> = account?.home ? { HOME: account.home } : {};
  const switched = identity(account, group);
  if (existsSync(SETPRIV))
    return {
      line: [SETPRIV, '--pdeathsig', 'KILL', ...switched, '--', ...line],
      env: { ...home, ...env },
    };
  if (switched.length === 0) return { line, env: { ...env } };
  throw new Error(`${SETPRIV} (util-linux) is needed to run as another user and is not there`);
}

function identity(account: Account | undefined, group: string | undefined): string[] {
  if (account === undefined && group === undefined) return [];
  if (process.getuid?.() !== 0) throw new Error('only root can run commands as another user');
  const number = group === undefined ? account?.gid : groupNumber(group);
  if (account === undefined) return ['--regid', number as string, '--clear-groups'];
  const groups = account.isKnown ? '--init-groups' : '--clear-groups';
  return ['--reuid', account.uid, '--regid', number as string, groups];
}

/** The program's path, as execvp(3) would find it. */
function find(name: string, path: string, directory: string): string {
  if (name === '') throw new Error('the command is empty');
  const candidates = name.includes('/')
    ? [resolve(directory, name)]
    : path.split(delimiter).map((folder) => join(folder || '.', name));
  const present = candidates.filter((candidate) => existsSync(candidate) && !isFolder(candidate));
  const usable = present.find(isExecutable);
  if (usable !== undefined) return usable;
  if (present.length > 0) throw new Error(`${present[0]} is not executable`);
  throw new Error(`there is no program '${name}'${name.includes('/') ? '' : ' in PATH'}`);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
