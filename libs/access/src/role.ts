import { access } from '@malabar/contracts';

const { Role } = access;

/** Roles as people write them, the least first. */
export const ROLES = {
  node: Role.NODE,
  viewer: Role.VIEWER,
  developer: Role.DEVELOPER,
  operator: Role.OPERATOR,
  admin: Role.ADMIN,
} as const;

export type RoleName = keyof typeof ROLES;

/** Every system there is. */
export const EVERYWHERE = '*';

/** The role of a name; undefined if there is none. */
export function roleOf(name: string): access.Role | undefined {
  return Object.hasOwn(ROLES, name) ? ROLES[name as RoleName] : undefined;
}

/** The name of a role. */
export function roleName(role: access.Role): string {
  return Object.entries(ROLES).find(([, each]) => each === role)?.[0] ?? 'nothing';
}

/**
 * Whether who holds a role may do what another one may. Each includes those before it, except that
 * running as a node is no part of looking or operating: only an admin may do it too.
 */
export function includes(held: access.Role, wanted: access.Role): boolean {
  if (held === wanted || held === Role.ADMIN) return true;
  return held !== Role.NODE && wanted !== Role.NODE && held > wanted;
}

/** What is allowed by both lists of rights. */
export function intersection(
  some: readonly access.Grant[],
  others: readonly access.Grant[],
): access.Grant[] {
  const shared = some.flatMap((one) => others.flatMap((other) => overlap(one, other) ?? []));
  return shared.filter(
    (grant, at) => !shared.some((other, index) => index !== at && covers(other, grant, index < at)),
  );
}

function overlap(one: access.Grant, other: access.Grant): access.Grant | undefined {
  const meet = one.system === other.system || [one.system, other.system].includes(EVERYWHERE);
  if (!meet) return undefined;
  const system = one.system === EVERYWHERE ? other.system : one.system;
  if (includes(one.role, other.role)) return { system, role: other.role };
  return includes(other.role, one.role) ? { system, role: one.role } : undefined;
}

/** Of two equal grants only the earlier one covers the other. */
function covers(wide: access.Grant, narrow: access.Grant, earlier: boolean): boolean {
  const everywhere = wide.system === EVERYWHERE || wide.system === narrow.system;
  const equal = wide.system === narrow.system && wide.role === narrow.role;
  return everywhere && includes(wide.role, narrow.role) && (!equal || earlier);
}
