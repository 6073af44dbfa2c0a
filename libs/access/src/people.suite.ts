import { access } from '@malabar/contracts';
import type { CallContext } from '@malabar/rpc';
import type { People, Person, ProgramToken } from './people.js';
import { roleOf } from './role.js';
import { makeProgramToken, makeSessionToken } from './token.js';

export const SESSION = { bus: 'b0b0b0b0', key: 'the key of this bus' };

/** `grants('shop:viewer', '*:admin')`. */
export function grants(...texts: string[]): access.Grant[] {
  return texts.map((text) => {
    const [system = '', name = ''] = text.split(':');
    return { system, role: roleOf(name) ?? access.Role.UNSPECIFIED };
  });
}

/** A user with these rights. */
export function person(name: string, ...rights: string[]): Person {
  const stamp = `stamp of ${name}`;
  return {
    name,
    grants: grants(...rights),
    disabled: false,
    passwordHash: '',
    stamp,
    fromFile: false,
  };
}

/** Everybody of these, with these tokens. */
export function peopleOf(persons: Person[], tokens: ProgramToken[] = []): People {
  return {
    users: new Map(persons.map((each) => [each.name, each])),
    tokens: new Map(tokens.map((each) => [each.id, each])),
    session: SESSION,
  };
}

/** A new token of a user: as it is kept, and its text. */
export function tokenOf(
  user: string,
  facts: Partial<ProgramToken> = {},
): { text: string; token: ProgramToken } {
  const { id, text, hash } = makeProgramToken(SESSION.bus);
  const token = { id, user, note: '', grants: [], createdAtMs: 0, expiresAtMs: 0, hash, ...facts };
  return { text, token };
}

/** A session of a user. */
export function sessionOf({ name, stamp }: Person, expiresAtMs: number): string {
  return makeSessionToken({ bus: SESSION.bus, user: name, stamp, expiresAtMs }, SESSION.key);
}

/** A call of somebody else that shows `shown` as its bearer token. */
export function callWith(shown?: string, facts: Partial<CallContext> = {}): CallContext {
  return {
    signal: new AbortController().signal,
    metadata: new Map(shown === undefined ? [] : [['authorization', `Bearer ${shown}`]]),
    peer: '10.0.0.7:4711',
    trusted: false,
    ...facts,
  };
}
