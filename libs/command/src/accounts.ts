import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** A user of this machine. */
export interface Account {
  uid: string;
  gid: string;
  home: string;
  /** Has an entry, and so groups beside its own. */
  isKnown: boolean;
}

const NUMBER = /^\d+$/;

/** The account of a name or number; a number needs no entry. Throws an Error if there is none. */
export function userAccount(user: string): Account {
  const entry = find('passwd', user);
  if (entry !== undefined) {
    const [, , uid = '', gid = '', , home = ''] = entry;
    return { uid, gid, home, isKnown: true };
  }
  if (NUMBER.test(user)) return { uid: user, gid: user, home: '', isKnown: false };
  throw new Error(`there is no user '${user}'`);
}

/** The number of a group; a number needs no entry. Throws an Error if there is none. */
export function groupNumber(group: string): string {
  if (NUMBER.test(group)) return group;
  const [, , number] = find('group', group) ?? [];
  if (number !== undefined) return number;
  throw new Error(`there is no group '${group}'`);
}

/** The fields of an entry: of the file, which is fast, else of whatever else the machine asks. */
function find(database: 'passwd' | 'group', key: string): string[] | undefined {
  const entries = read(`/etc/${database}`).map((line) => line.split(':'));
  return entries.find(matches(key)) ?? ask(database, key)?.split(':');
}

const matches =
  (key: string) =>
  ([name, , number]: string[]): boolean =>
    name === key || (NUMBER.test(key) && number === key);

function read(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n');
  } catch {
    return [];
  }
}

function ask(database: string, key: string): string | undefined {
  const { status, stdout } = spawnSync('getent', [database, key], { encoding: 'utf8' });
  return status === 0 ? stdout.trimEnd() : undefined;
}
