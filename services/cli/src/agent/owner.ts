import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { CommandError, EXIT } from '../exit.js';
import type { FileAttributes } from './atomic-file.js';

const run = promisify(execFile);

/** The numbers of `user` or `user:group`, asked of the system once; the user's own group without one. */
export async function findOwner(text: string): Promise<NonNullable<FileAttributes['owner']>> {
  const [user = '', group, ...more] = text.split(':');
  if (user === '' || group === '' || more.length > 0) {
    throw new CommandError(EXIT.usage, `owner '${text}' is not of the form user or user:group`);
  }
  const uid = await numberOf(user, 'user', ['id', '-u', '--', user]);
  const gid =
    group === undefined
      ? await numberOf(user, 'user', ['id', '-g', '--', user])
      : await numberOf(group, 'group', ['getent', 'group', group]);
  return { uid, gid };
}

async function numberOf(name: string, what: string, argv: [string, ...string[]]): Promise<number> {
  if (/^\d+$/.test(name)) return Number(name);
  const [program, ...args] = argv;
  try {
    const { stdout } = await run(program, args);
    // `getent` answers `www-data:x:33:`, `id` the number alone.
    const [first = '', , third] = stdout.trim().split(':');
    return Number(third ?? first);
  } catch {
    throw new CommandError(EXIT.usage, `this system has no ${what} '${name}'`);
  }
}
