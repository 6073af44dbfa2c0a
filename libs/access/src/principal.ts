import { access } from '@malabar/contracts';
import type { CallContext } from '@malabar/rpc';
import { EVERYWHERE, includes } from './role.js';

/** Who calls. */
export interface Principal {
  /** The user's name; `local` where no login is needed, `bus` for another process of the bus. */
  readonly name: string;
  readonly grants: readonly access.Grant[];
  /** Id of the program token that was shown. */
  readonly token?: string;
  /** When this stops to be true, Unix milliseconds; undefined for never. */
  readonly expiresAtMs?: number;
}

/** Who wrote something, for the audit. */
export interface Author {
  name: string;
  /** Address of the caller. */
  from: string;
}

const ALL = [{ system: EVERYWHERE, role: access.Role.ADMIN }];

/** A caller of this process, or of a bus that asks for no token: may do everything. */
export const LOCAL: Principal = { name: 'local', grants: ALL };

/** A caller that has shown the token of the bus: may do everything. */
export const BUS: Principal = { name: 'bus', grants: ALL };

/** Names that no user can have. */
export const RESERVED_NAMES: readonly string[] = [LOCAL.name, BUS.name, 'file', 'DEFAULT'];

/** Whether the caller is the bus itself rather than a person or a program. */
export function isOurs(principal: Principal): boolean {
  return principal === LOCAL || principal === BUS;
}

/** Whether a role is held in a system; `*` asks for all of them, and so does no system. */
export function allowed(
  { grants }: Pick<Principal, 'grants'>,
  role: access.Role,
  system: string,
): boolean {
  const holds = (grant: access.Grant): boolean =>
    grant.system === EVERYWHERE || grant.system === system;
  return grants.some((grant) => holds(grant) && includes(grant.role, role));
}

/** Whether a role is held in any system. */
export function allowedSomewhere(
  { grants }: Pick<Principal, 'grants'>,
  role: access.Role,
): boolean {
  return grants.some((grant) => includes(grant.role, role));
}

const principals = new WeakMap<CallContext, () => Principal>();

/** Notes how to find out who makes a call, for `principalOf`. */
export function setPrincipal(context: CallContext, principal: () => Principal): void {
  principals.set(context, principal);
}

/**
 * Who makes the call of a guarded method, with the rights of now. Throws UNAUTHENTICATED if he is
 * nobody any more, and for a method that nobody guards.
 */
export function principalOf(context: CallContext): Principal {
  const principal = principals.get(context);
  if (principal === undefined) throw new Error('nobody has asked who makes this call: guard it');
  return principal();
}

/** Who makes the call of a guarded method, for the audit. */
export function authorOf(context: CallContext): Author {
  const { name, token } = principalOf(context);
  return { name, from: token ? `${context.peer} with token ${token}` : context.peer };
}
