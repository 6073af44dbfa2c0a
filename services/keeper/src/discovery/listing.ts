import type { discovery } from '@malabar/contracts';
import type { KnownInstance } from './instance-view.js';

/** Fewer than this are no crowd: one that is gone is gone. */
const PROTECTED_LEAST = 3;

/** Asks for the instances of every env. */
export const ANY_ENV = '*';

/** What is shown of a service's instances. */
export interface Listing {
  /** Oldest first. */
  instances: discovery.Instance[];
  /** Too many vanished at once to believe it: the dead are listed too, as suspect. */
  held: boolean;
}

/**
 * Who is listed in an env. The dead are hidden, unless fewer than `protectBelow` of the known are
 * alive: then rather the path to them is broken, and the few that are left must not get all calls.
 */
export function list(known: Iterable<KnownInstance>, env: string, protectBelow: number): Listing {
  const groups = [...byEnv(known, env)].map((group) => listGroup(group, protectBelow));
  const instances = groups.flatMap(({ instances }) => instances);
  instances.sort((a, b) => a.startedAtMs - b.startedAtMs || (a.id < b.id ? -1 : 1));
  return { instances, held: groups.some(({ held }) => held) };
}

function listGroup(known: readonly KnownInstance[], protectBelow: number): Listing {
  const alive = known.filter(({ deadSinceMs }) => deadSinceMs === undefined);
  const taken = new Set(alive.flatMap(addressesOf));
  // Another one answers where it did: it was restarted under a new id.
  const missing = known.filter(
    (one) => one.deadSinceMs !== undefined && !addressesOf(one).some((each) => taken.has(each)),
  );
  const all = alive.length + missing.length;
  const held = all >= PROTECTED_LEAST && alive.length / all < protectBelow;
  return {
    instances: [...shown(alive, false), ...(held ? shown(missing, true) : [])],
    held,
  };
}

function byEnv(known: Iterable<KnownInstance>, wanted: string): Iterable<KnownInstance[]> {
  const groups = new Map<string, KnownInstance[]>();
  for (const one of known) {
    const env = one.record.instance?.env ?? '';
    if (wanted !== ANY_ENV && wanted !== env) continue;
    const group = groups.get(env);
    if (group) group.push(one);
    else groups.set(env, [one]);
  }
  return groups.values();
}

function shown(known: readonly KnownInstance[], suspect: boolean): discovery.Instance[] {
  return known.flatMap(({ record: { instance } }) => (instance ? { ...instance, suspect } : []));
}

function addressesOf({ record: { instance } }: KnownInstance): string[] {
  return Object.entries(instance?.addresses ?? {}).map(([scheme, at]) => `${scheme} ${at}`);
}
