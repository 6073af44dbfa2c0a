import {
  allowed,
  EVERYWHERE,
  NOBODY,
  type People,
  ROLES,
  readPeople,
  USERS_FILE,
} from '@malabar/access';
import type { config } from '@malabar/contracts';

/** What is wrong with a content of the domain of people, beside what is wrong with any. */
export function peopleFaults(
  files: readonly config.ConfigFile[],
  before: People = NOBODY,
): config.ConfigFault[] {
  const { people, faults } = readPeople(files);
  if (faults.length > 0 || !hasAdmin(before) || hasAdmin(people)) return faults;
  const message = 'nobody would be admin of * any more; make somebody else one first';
  return [{ file: USERS_FILE, section: '', key: '', line: 0, message }];
}

function hasAdmin({ users }: People): boolean {
  return [...users.values()].some(
    (person) => !person.disabled && allowed(person, ROLES.admin, EVERYWHERE),
  );
}
