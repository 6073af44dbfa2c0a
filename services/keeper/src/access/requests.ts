import { EVERYWHERE, RESERVED_NAMES, roleName } from '@malabar/access';
import type { access } from '@malabar/contracts';
import { BusError } from '@malabar/core';

const USER_NAME = /^[A-Za-z0-9_.@-]{1,64}$/;
const SYSTEM_NAME = /^[A-Za-z0-9_.-]{1,128}$/;
const GRANTS_MAX = 100;
const NOTE_CHARS_MAX = 200;

/** Throws INVALID unless somebody can be called so. */
export function checkUserName(name: string): void {
  if (RESERVED_NAMES.includes(name)) throw invalid(`nobody can be called ${JSON.stringify(name)}`);
  if (USER_NAME.test(name)) return;
  throw invalid('a user name has 1 to 64 of A-Z a-z 0-9 _ . @ -');
}

/** Throws INVALID unless these are rights, each system once. */
export function checkGrants(grants: readonly access.Grant[]): void {
  if (grants.length > GRANTS_MAX) throw invalid(`at most ${GRANTS_MAX} rights`);
  const seen = new Set<string>();
  for (const { system, role } of grants) {
    if (system !== EVERYWHERE && !SYSTEM_NAME.test(system)) {
      throw invalid(`${JSON.stringify(system)} is no name of a system, nor *`);
    }
    if (roleName(role) === 'nothing') throw invalid(`the right in ${system} names no role`);
    if (seen.has(system)) throw invalid(`two rights in ${system}: the greater one is enough`);
    seen.add(system);
  }
}

/** Throws INVALID unless a token can be made so now. */
export function checkToken({ note, expiresAtMs }: access.CreateTokenRequest, nowMs: number): void {
  if (note.length > NOTE_CHARS_MAX) {
    throw invalid(`a note of ${note.length} characters: the limit is ${NOTE_CHARS_MAX}`);
  }
  if (expiresAtMs !== 0 && expiresAtMs <= nowMs)
    throw invalid('the token would have expired already');
}

export function invalid(message: string): BusError {
  return new BusError('INVALID', message);
}
