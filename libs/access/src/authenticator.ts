import { BusError, type Clock } from '@malabar/core';
import type { CallContext } from '@malabar/rpc';
import type { People, Person } from './people.js';
import { BUS, LOCAL, type Principal } from './principal.js';
import { intersection } from './role.js';
import {
  busOfToken,
  isUserToken,
  parseProgramToken,
  parseSessionToken,
  secretMatches,
} from './token.js';

/**
 * Says who makes a call. Throws UNAUTHENTICATED with the reason, which never repeats what was shown.
 * Asked again during a call it says whether that is still so.
 */
export type Authenticator = (context: CallContext) => Principal;

interface Known {
  people: People;
  principal: Principal;
}

/** `people` gives the same object until something changes, undefined while nothing is known yet. */
export function authenticator(people: () => People | undefined, clock: Clock): Authenticator {
  const seen = new WeakMap<CallContext, Known>();
  return (context) => {
    const shown = userTokenOf(context);
    if (shown === undefined) return withoutUserToken(context);
    const known = people();
    if (known === undefined) {
      throw new BusError('UNAVAILABLE', 'who is who is not known here yet: the keeper is away');
    }
    const before = seen.get(context);
    const lasts = (before?.principal.expiresAtMs ?? Number.POSITIVE_INFINITY) > clock.now();
    if (before?.people === known && lasts) return before.principal;
    const principal = identify(shown, known, clock.now());
    seen.set(context, { people: known, principal });
    return principal;
  };
}

/** Who stands behind a token that a person or a program shows. */
export function identify(token: string, people: People, nowMs: number): Principal {
  return token.startsWith('mls_')
    ? bySession(token, people, nowMs)
    : byProgramToken(token, people, nowMs);
}

function userTokenOf({ metadata }: CallContext): string | undefined {
  const shown = /^bearer +(.*)$/i.exec(metadata.get('authorization') ?? '')?.[1];
  return shown !== undefined && isUserToken(shown) ? shown : undefined;
}

function withoutUserToken({ trusted, peer, metadata }: CallContext): Principal {
  const shown = metadata.has('authorization');
  if (trusted) return shown && peer !== 'local' ? BUS : LOCAL;
  if (shown)
    throw denied("what `authorization` shows is neither the token of this bus nor a user's");
  throw denied('log in, or show a token as `authorization: Bearer <token>`');
}

function byProgramToken(text: string, people: People, nowMs: number): Principal {
  const parts = parseProgramToken(text);
  if (parts === undefined) throw denied('the token is cut or misspelt');
  const token = people.tokens.get(parts.id);
  if (token === undefined) {
    const ours = busOfToken(parts.id) === people.session?.bus;
    throw denied(ours ? 'the token has been revoked' : 'the token was made by another bus');
  }
  if (!secretMatches(parts.secret, token.hash)) throw denied('the token is not the one of its id');
  const { expiresAtMs } = token;
  if (expiresAtMs > 0 && expiresAtMs <= nowMs) throw denied(`the token expired ${at(expiresAtMs)}`);
  const { name, grants } = enabled(people, token.user);
  return {
    name,
    grants: token.grants.length === 0 ? grants : intersection(token.grants, grants),
    token: token.id,
    expiresAtMs: expiresAtMs > 0 ? expiresAtMs : undefined,
  };
}

function bySession(text: string, people: People, nowMs: number): Principal {
  const session = parseSessionToken(text);
  if (session === undefined) throw denied('the session token is cut or misspelt');
  const { bus, user, stamp, expiresAtMs } = session.claims;
  if (bus !== people.session?.bus) throw denied('the session was made by another bus: log in here');
  if (!session.signedBy(people.session.key)) throw denied('the session is not signed by this bus');
  if (expiresAtMs <= nowMs) throw denied(`the session expired ${at(expiresAtMs)}: log in again`);
  const { name, grants, stamp: current } = enabled(people, user);
  if (stamp !== current) throw denied('the session has been ended: log in again');
  return { name, grants, expiresAtMs };
}

function enabled(people: People, name: string): Person {
  const person = people.users.get(name);
  if (person === undefined) throw denied('the user of the token is gone');
  if (person.disabled) throw denied(`${name} is disabled`);
  return person;
}

function at(ms: number): string {
  return `at ${new Date(ms).toISOString()}`;
}

function denied(message: string): BusError {
  return new BusError('UNAUTHENTICATED', message);
}
