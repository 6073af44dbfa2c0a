import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';

/** From util-linux, on every Debian: sets the user and ends a child with its parent. */
const SETPRIV = '/usr/bin/setpriv';

export interface ProgramOptions {
  argv: readonly string[];
  env: Readonly<Record<string, string>>;
  directory?: string;
  /** Name or number; the user of this process if not given. */
  user?: string;
  /** The user's own group if not given. */
  group?: string;
}

/**
 * The command line to spawn. The kernel ends the program when this process dies, however that comes:
 * the job goes to another dispatcher then, and must not run twice for long. Throws an Error with the
 * reason why it cannot start.
 */
export function commandLine({
  argv,
  env,
  directory,
  user,
  group,
}: ProgramOptions): [string, ...string[]] {
  const program = find(argv[0] ?? '', env.PATH ?? '', directory ?? process.cwd());
  const line: [string, ...string[]] = [program, ...argv.slice(1)];
  if (directory !== undefined && !isFolder(directory))
    throw new Error(`there is no folder ${directory}`);
  if (!existsSync(SETPRIV)) {
    if (user === undefined && group === undefined) return line;
    throw new Error(`${SETPRIV} (util-linux) is needed to run as another user and is not there`);
  }
  return [SETPRIV, '--pdeathsig', 'KILL', ...identity(user, group), '--', ...line];
}

function identity(user: string | undefined, group: string | undefined): string[] {
  if (user === undefined && group === undefined) return [];
  if (process.getuid?.() !== 0) throw new Error('only root can run commands as another user');
  const reuid = user === undefined ? [] : ['--reuid', user, '--init-groups'];
  if (group !== undefined)
    return [...reuid, '--regid', group, ...(user === undefined ? ['--clear-groups'] : [])];
  return [...reuid, '--regid', user as string];
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
