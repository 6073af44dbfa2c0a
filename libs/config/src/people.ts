import type { config } from '@malabar/contracts';
import * as z from 'zod';
import { ConfigError, type ConfigFault, type KeyFault } from './faults.js';
import type { LoadedConfig } from './load.js';
import type { PasswordHashes } from './password-hashes.js';
import { type Field, fail, onOff, password, section } from './schema.js';
import type { Environment, Secret } from './secret.js';
import { suggestion } from './suggestion.js';
import { quoted } from './units.js';

/** What a person may do in a system, the least first; each but `node` includes those before it. */
export const ROLE_NAMES = ['node', 'viewer', 'developer', 'operator', 'admin'] as const;

/** A person as the file says it. */
export interface PersonDocument {
  password?: Secret;
  /** Role by system; `*` is every system. */
  grants?: Record<string, string>;
  disabled: boolean;
}

const grants = z
  .unknown()
  .transform((value, context) => {
    if (!isMapping(value)) {
      return fail(context, `${quoted(value)} is not a mapping of systems to roles`);
    }
    for (const [system, role] of Object.entries(value)) {
      if (ROLE_NAMES.includes(role)) continue;
      const hint = typeof role === 'string' ? suggestion(role, ROLE_NAMES) : '';
      fail(context, `${quoted(role)} is not one of ${ROLE_NAMES.join(', ')}${hint}`, [system]);
    }
    return value;
  })
  .meta({ type: 'mapping of system to role' }) as Field<Record<string, string>>;

/** A person as the file says it. */
export const personSchema = section({
  password: password
    .optional()
    .describe('What the person logs in with: text, `scrypt$...`, or `{ secret: file:/path }`.'),
  grants: grants
    .optional()
    .describe('Roles by system, `*` for all of them: node, viewer, developer, operator, admin.'),
  disabled: onOff.prefault(false).describe('May not come in, though still listed.'),
}) as Field<PersonDocument>;

/** Systems of grants that are not there; `known` are those that are. */
export function grantFaults(
  people: Record<string, unknown>,
  known: readonly string[],
  noSystem: (system: string) => string,
): KeyFault[] {
  return Object.entries(people).flatMap(([name, person]) => {
    const given = (person as { grants?: unknown } | null)?.grants;
    const systems = isMapping(given) ? Object.keys(given) : [];
    const unknown = systems.filter((system) => system !== '*' && !known.includes(system));
    return unknown.map((system) => ({
      path: ['people', name, 'grants', system],
      message: noSystem(system),
    }));
  });
}

/**
 * The people of a configuration file as sections of `/users.conf` in the domain `malabar.people`;
 * undefined if the file does not speak of people. Throws a ConfigError that names every secret that
 * cannot be read.
 */
export async function peopleSections(
  { config: { documents }, values, fault }: LoadedConfig,
  { env, hashes }: { env: Environment; hashes: PasswordHashes },
): Promise<config.ConfigSection[] | undefined> {
  if (!('people' in values)) return undefined;
  const faults: ConfigFault[] = [];
  const plain = Object.entries(documents.people).map(([name, person]) => {
    try {
      return { name, person, password: person.password?.reveal(env) };
    } catch (error) {
      const message = (error as Error).message;
      faults.push(fault({ path: ['people', name, 'password'], message }));
      return { name, person };
    }
  });
  if (faults.length > 0) throw new ConfigError(faults);
  const sections = plain.map(async ({ name, person, password: text }) => {
    const hash = text === undefined ? undefined : await hashes.hash(name, 'password', text);
    return personSection(name, person, hash);
  });
  return Promise.all(sections);
}

function personSection(
  name: string,
  { grants: given = {}, disabled }: PersonDocument,
  hash: string | undefined,
): config.ConfigSection {
  const roles = Object.entries(given).map(([system, role]) => `${system}:${role}`);
  const entries = [
    { key: 'disabled', type: 'bool', raw: String(disabled) },
    { key: 'grants', type: 'map[string]string', raw: roles.sort().join(',') },
    ...(hash === undefined ? [] : [{ key: 'password', type: 'secret', raw: hash }]),
    { key: 'source', type: 'string', raw: 'file' },
  ];
  return { name, entries };
}

function isMapping(value: unknown): value is Record<string, never> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
