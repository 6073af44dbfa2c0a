import { groupNumber, userAccount } from '@malabar/command';
import { CommandError, EXIT } from '../exit.js';
import type { FileAttributes } from './atomic-file.js';

/** The numbers of `user` or `user:group`, asked of the system once; the user's own group without one. */
export function findOwner(text: string): NonNullable<FileAttributes['owner']> {
  const [user = '', group, ...more] = text.split(':');
  if (user === '' || group === '' || more.length > 0) {
    throw new CommandError(EXIT.usage, `owner '${text}' is not of the form user or user:group`);
  }
  try {
    const { uid, gid } = userAccount(user);
    return { uid: Number(uid), gid: Number(group === undefined ? gid : groupNumber(group)) };
  } catch (error) {
    throw new CommandError(EXIT.usage, `owner '${text}': ${(error as Error).message}`);
  }
}
