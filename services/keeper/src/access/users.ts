import {
  type Author,
  allowed,
  EVERYWHERE,
  type Person,
  type Principal,
  ROLES,
} from '@malabar/access';
import type { access } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { PasswordGate } from './password-gate.js';
import { sessionsOf, withoutUser, withUser } from './people-files.js';
import type { PeopleView } from './people-view.js';
import type { PeopleWriter } from './people-writer.js';
import { checkGrants, checkUserName, invalid } from './requests.js';

/** Whether a caller decides about people. */
export function isAdmin(principal: Principal): boolean {
  return allowed(principal, ROLES.admin, EVERYWHERE);
}

/** People: seen and changed. */
export class Users {
  constructor(
    private readonly view: PeopleView,
    private readonly writer: PeopleWriter,
    private readonly gate: PasswordGate,
  ) {}

  /** By name; whoever is no admin sees himself. */
  async list(by: Principal): Promise<access.User[]> {
    const { people } = await this.view.refresh();
    const seen = [...people.users.values()].filter(({ name }) => isAdmin(by) || name === by.name);
    return seen.map(toUser).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Makes or changes a user. Everybody may change his own password, and nothing else. */
  async put(
    { user, password }: access.PutUserRequest,
    by: Principal,
    author: Author,
  ): Promise<access.User> {
    if (user === undefined) throw invalid('the request carries no user');
    checkUserName(user.name);
    checkGrants(user.grants);
    assertMayPut(user, this.view.people?.users.get(user.name), by);
    const passwordHash = password === '' ? undefined : await this.gate.hash(password);
    const people = await this.writer.write(author, `user ${user.name}`, ({ files, people }) => {
      const before = people.users.get(user.name);
      // Once more: what he may depends on who the user is now.
      assertMayPut(user, before, by);
      assertOurs(before);
      const ends = user.disabled && before?.disabled === false;
      return withUser(files, {
        ...user,
        passwordHash: passwordHash ?? before?.passwordHash ?? '',
        sessions: sessionsOf(files, user.name) + (ends ? 1 : 0),
      });
    });
    return toUser(people.users.get(user.name) as Person);
  }

  /** Takes a user away, with all tokens. */
  async delete(name: string, author: Author): Promise<void> {
    await this.writer.write(author, `user ${name} deleted`, ({ files, people }) => {
      const person = people.users.get(name);
      if (person === undefined) throw new BusError('NOT_FOUND', 'there is no such user');
      assertOurs(person);
      return withoutUser(files, person, people.tokens.values());
    });
  }
}

/** A program cannot take its user's account over by another password. */
function assertMayPut(user: access.User, before: Person | undefined, by: Principal): void {
  if (isAdmin(by)) return;
  const own = before !== undefined && by.name === user.name && by.token === undefined;
  if (own && JSON.stringify(toUser(before)) === JSON.stringify(user)) return;
  throw new BusError(
    'FORBIDDEN',
    `${by.name} needs the role admin in all systems (*) to change more than his own password`,
  );
}

function assertOurs(person: Person | undefined): void {
  if (!person?.fromFile) return;
  throw new BusError('CONFLICT', `${person.name} is kept in malabar.yaml: change it there`);
}

function toUser({ name, grants, disabled }: Person): access.User {
  return { name, grants, disabled };
}
