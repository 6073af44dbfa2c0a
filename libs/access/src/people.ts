import { createHash } from 'node:crypto';
import type { access, config } from '@malabar/contracts';
import { isPasswordHash } from '@malabar/core';
import { RESERVED_NAMES } from './principal.js';
import { ROLES, roleName, roleOf } from './role.js';

/** The domain in which people, tokens and the session key are configuration. */
export const PEOPLE_DOMAIN = 'malabar.people';
export const USERS_FILE = '/users.conf';
export const TOKENS_FILE = '/tokens.conf';
export const SESSION_FILE = '/session.conf';
const DEFAULT = 'DEFAULT';

/** A person. */
export interface Person {
  name: string;
  grants: access.Grant[];
  disabled: boolean;
  /** `scrypt$...`; empty for one who cannot log in. */
  passwordHash: string;
  /** Another one ends all sessions of before. */
  stamp: string;
  /** Kept in malabar.yaml, and to be changed there. */
  fromFile: boolean;
}

/** A program's way in. */
export interface ProgramToken extends access.AccessToken {
  /** SHA-256 of its secret part, hex. */
  hash: string;
}

/** Everybody. A change makes a new one. */
export interface People {
  readonly users: ReadonlyMap<string, Person>;
  readonly tokens: ReadonlyMap<string, ProgramToken>;
  /** Undefined before the first login. */
  readonly session: { bus: string; key: string } | undefined;
}

export const NOBODY: People = { users: new Map(), tokens: new Map(), session: undefined };

/** A content of the domain, secrets in plain, as people; and what is wrong with it. */
export interface PeopleReading {
  people: People;
  faults: config.ConfigFault[];
}

/** A wrong entry grants nothing and is named in `faults`. */
export function readPeople(files: readonly config.ConfigFile[]): PeopleReading {
  const faults: config.ConfigFault[] = [];
  const users = new Map<string, Person>();
  const tokens = new Map<string, ProgramToken>();
  for (const path of files.map((file) => file.path)) {
    if ([USERS_FILE, TOKENS_FILE, SESSION_FILE].includes(path)) continue;
    faults.push(fault({ file: path }, 'people have users.conf, tokens.conf and session.conf only'));
  }
  for (const section of sectionsOf(files, USERS_FILE, faults)) {
    users.set(section.name, readPerson(section));
  }
  for (const section of sectionsOf(files, TOKENS_FILE, faults)) {
    const token = readToken(section);
    if (!users.has(token.user)) section.wrong('user', `${quoted(token.user)} is no user`);
    tokens.set(section.name, token);
  }
  return { people: { users, tokens, session: readSession(files, faults) }, faults };
}

/** A value as a keeper client hands it out for a verbatim subscription. */
export interface PlacedValue extends config.ConfigEntry {
  file: string;
  section: string;
}

/**
 * What a keeper client has to subscribe to, to know everybody; `take` gets them at first and after
 * every change. Only the services of the bus itself may.
 */
export function peopleSubscription(take: (people: People) => void) {
  return {
    domain: PEOPLE_DOMAIN,
    subscriptions: [{ file: '*', verbatim: true }],
    onChange: (_: unknown, current: { values(): Iterable<PlacedValue> }): void =>
      take(readPeople(filesOf(current.values())).people),
  };
}

function filesOf(values: Iterable<PlacedValue>): config.ConfigFile[] {
  const files = new Map<string, Map<string, config.ConfigEntry[]>>();
  for (const { file, section, ...entry } of values) {
    const sections = files.get(file) ?? new Map<string, config.ConfigEntry[]>();
    sections.set(section, [...(sections.get(section) ?? []), entry]);
    files.set(file, sections);
  }
  return [...files].map(([path, sections]) => ({
    path,
    sections: [...sections].map(([name, entries]) => ({ name, entries })),
    parent: '',
    schema: '',
  }));
}

/** `shop:operator,*:viewer` for `map[string]string`. */
export function formatGrants(grants: readonly access.Grant[]): string {
  return grants.map(({ system, role }) => `${system}:${roleName(role)}`).join(',');
}

/** The reverse; a part that is no right is told to `wrong` and left out. */
export function parseGrants(text: string, wrong: (message: string) => void): access.Grant[] {
  const parts = text.split(',').filter((part) => part !== '');
  return parts.flatMap((part) => {
    const [, system = '', name = ''] = /^\s*([^:]+?)\s*:\s*(.*?)\s*$/.exec(part) ?? [];
    const role = roleOf(name);
    if (system !== '' && role !== undefined) return [{ system, role }];
    wrong(`${quoted(part)} is not of the form system:role, with ${Object.keys(ROLES).join(', ')}`);
    return [];
  });
}

/** Keys that must be kept as secrets. */
const SECRETS = ['password', 'hash', 'key'];

/** A section with its values by key, and a place for its faults. */
interface Section {
  name: string;
  value(key: string): string;
  wrong(key: string, message: string): void;
}

const KEYS: Record<string, readonly string[]> = {
  [USERS_FILE]: ['password', 'grants', 'disabled', 'sessions', 'source'],
  [TOKENS_FILE]: ['user', 'note', 'grants', 'hash', 'created_at', 'expires_at'],
};

function sectionsOf(
  files: readonly config.ConfigFile[],
  path: string,
  faults: config.ConfigFault[],
): Section[] {
  const file = files.find((each) => each.path === path);
  return (file?.sections ?? []).flatMap(({ name, entries }) => {
    const wrong = (key: string, message: string): void =>
      void faults.push(fault({ file: path, section: name, key }, message));
    if (name === DEFAULT && entries.length === 0) return [];
    if (RESERVED_NAMES.includes(name)) wrong('', `nobody can be called ${quoted(name)}`);
    const values = new Map(entries.map(({ key, raw }) => [key, raw]));
    for (const { key, type } of entries) {
      if (SECRETS.includes(key) && type !== 'secret') wrong(key, 'must be of type secret');
      if (!KEYS[path]?.includes(key))
        wrong(key, `unknown key; there are ${KEYS[path]?.join(', ')}`);
    }
    return [{ name, value: (key: string) => values.get(key) ?? '', wrong }];
  });
}

function readPerson({ name, value, wrong }: Section): Person {
  const passwordHash = value('password');
  if (passwordHash !== '' && !isPasswordHash(passwordHash)) {
    wrong('password', 'is no hash of a password: set it with `malabar users set`');
  }
  return {
    name,
    grants: parseGrants(value('grants'), (message) => wrong('grants', message)),
    disabled: value('disabled') === 'true',
    passwordHash,
    stamp: stampOf(passwordHash, value('sessions')),
    fromFile: value('source') === 'file',
  };
}

function stampOf(passwordHash: string, sessions: string): string {
  return createHash('sha256').update(`${sessions}\n${passwordHash}`).digest('hex').slice(0, 16);
}

function readToken({ name, value, wrong }: Section): ProgramToken {
  const time = (key: string): number => {
    const atMs = Number(value(key) || 0);
    if (Number.isSafeInteger(atMs) && atMs >= 0) return atMs;
    wrong(key, 'is no time in milliseconds');
    // A time that nobody can read has passed.
    return 1;
  };
  return {
    id: name,
    user: value('user'),
    note: value('note'),
    grants: parseGrants(value('grants'), (message) => wrong('grants', message)),
    hash: value('hash'),
    createdAtMs: time('created_at'),
    expiresAtMs: time('expires_at'),
  };
}

function readSession(
  files: readonly config.ConfigFile[],
  faults: config.ConfigFault[],
): People['session'] {
  const file = files.find(({ path }) => path === SESSION_FILE);
  const entries = file?.sections.find(({ name }) => name === DEFAULT)?.entries ?? [];
  const open = entries.find(({ key, type }) => key === 'key' && type !== 'secret');
  if (open) faults.push(fault({ file: SESSION_FILE, key: 'key' }, 'must be of type secret'));
  const values = new Map(entries.map(({ key, raw }) => [key, raw]));
  const [bus, key] = [values.get('bus'), values.get('key')];
  return bus && key ? { bus, key } : undefined;
}

function fault(place: Partial<config.ConfigFault>, message: string): config.ConfigFault {
  return { file: '', section: '', key: '', line: 0, ...place, message };
}

const quoted = (text: string): string => JSON.stringify(text);
