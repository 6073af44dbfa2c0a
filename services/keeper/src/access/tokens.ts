import {
  type Author,
  intersection,
  makeProgramToken,
  type People,
  type Person,
  type Principal,
  type ProgramToken,
  roleName,
} from '@malabar/access';
import type { access } from '@malabar/contracts';
import { BusError, type Clock } from '@malabar/core';
import { sessionKey } from './logins.js';
import { withoutTokens, withToken } from './people-files.js';
import type { PeopleView } from './people-view.js';
import type { PeopleWriter } from './people-writer.js';
import { checkGrants, checkToken, invalid } from './requests.js';
import { isAdmin } from './users.js';

/** So long a token that has expired can still be seen; then the next new one takes its place. */
const KEEP_EXPIRED_MS = 30 * 86_400_000;

/** Program tokens: made, seen, ended. */
export class Tokens {
  constructor(
    private readonly view: PeopleView,
    private readonly writer: PeopleWriter,
    private readonly clock: Clock,
  ) {}

  /** The answer holds the token's text, which is nowhere else. */
  async create(
    request: access.CreateTokenRequest,
    by: Principal,
    author: Author,
  ): Promise<access.CreateTokenResponse> {
    const nowMs = this.clock.now();
    const user = request.user || by.name;
    assertMayCreate(user, by);
    checkGrants(request.grants);
    checkToken(request, nowMs);
    userOf((await this.view.refresh()).people, user, by);
    const { bus } = await sessionKey(this.view, this.writer, author);
    const { id, text, hash } = makeProgramToken(bus);
    const { note, grants, expiresAtMs } = request;
    const token = { id, user, note, grants, createdAtMs: nowMs, expiresAtMs };
    await this.writer.write(author, `token ${id} of ${user}`, ({ files, people }) => {
      assertUseful(grants, userOf(people, user, by));
      return withToken(withoutTokens(files, longExpired(people, nowMs)), { ...token, hash });
    });
    return { token, text };
  }

  /** Newest first; whoever is no admin sees his own. */
  async list(by: Principal): Promise<access.AccessToken[]> {
    const { people } = await this.view.refresh();
    return [...people.tokens.values()]
      .filter(({ user }) => isAdmin(by) || user === by.name)
      .map(({ hash: _, ...token }) => token)
      .sort((a, b) => b.createdAtMs - a.createdAtMs);
  }

  /** Throws NOT_FOUND also for one that the caller may not see. */
  async revoke(id: string, by: Principal, author: Author): Promise<void> {
    await this.writer.write(author, `token ${id} revoked`, ({ files, people }) => {
      const token = people.tokens.get(id);
      if (token !== undefined && (isAdmin(by) || token.user === by.name)) {
        return withoutTokens(files, [id]);
      }
      throw new BusError('NOT_FOUND', 'there is no such token');
    });
  }
}

/** A program cannot make itself a token that may more than its own. */
function assertMayCreate(user: string, by: Principal): void {
  if (isAdmin(by) || (user === by.name && by.token === undefined)) return;
  const whose = user === by.name ? 'with a token' : 'for somebody else';
  throw new BusError(
    'FORBIDDEN',
    `${by.name} needs the role admin in all systems (*) to make a token ${whose}`,
  );
}

function userOf({ users }: People, name: string, by: Principal): Person {
  const person = users.get(name);
  if (person !== undefined) return person;
  if (name === by.name) throw invalid(`${name} is no user who could have a token: name one`);
  throw new BusError('NOT_FOUND', 'there is no such user');
}

/** A right that its user does not have would do nothing, silently. */
function assertUseful(grants: readonly access.Grant[], person: Person): void {
  const idle = grants.find((grant) => intersection([grant], person.grants).length === 0);
  if (idle === undefined) return;
  const right = `${idle.system}:${roleName(idle.role)}`;
  throw invalid(`${person.name} has nothing of the right ${right}, so no token of his can`);
}

function longExpired({ tokens }: People, nowMs: number): string[] {
  const over = ({ expiresAtMs }: ProgramToken): boolean =>
    expiresAtMs !== 0 && expiresAtMs < nowMs - KEEP_EXPIRED_MS;
  return [...tokens.values()].filter(over).map(({ id }) => id);
}
