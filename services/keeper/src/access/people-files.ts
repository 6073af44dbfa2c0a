import {
  formatGrants,
  type Person,
  type ProgramToken,
  SESSION_FILE,
  TOKENS_FILE,
  USERS_FILE,
} from '@malabar/access';
import type { access, config } from '@malabar/contracts';

type Files = readonly config.ConfigFile[];

const STRING = 'string';
const SECRET = 'secret';
const GRANTS = 'map[string]string';

/** A user as it is to be. */
export interface UserFacts extends access.User {
  passwordHash: string;
  /** Another number ends all sessions. */
  sessions: number;
}

/** The files with a user in them, as it is to be. */
export function withUser(files: Files, user: UserFacts): config.ConfigFile[] {
  return withSection(files, USERS_FILE, user.name, [
    { key: 'disabled', type: 'bool', raw: String(user.disabled) },
    { key: 'grants', type: GRANTS, raw: formatGrants(user.grants) },
    ...(user.passwordHash ? [{ key: 'password', type: SECRET, raw: user.passwordHash }] : []),
    { key: 'sessions', type: 'int', raw: String(user.sessions) },
  ]);
}

/** The files without a user and the tokens of that user. */
export function withoutUser(
  files: Files,
  { name }: Person,
  tokens: Iterable<ProgramToken>,
): config.ConfigFile[] {
  const own = [...tokens].filter(({ user }) => user === name).map(({ id }) => id);
  return withoutSections(withoutSections(files, USERS_FILE, [name]), TOKENS_FILE, own);
}

/** The files with a token in them. */
export function withToken(files: Files, token: ProgramToken): config.ConfigFile[] {
  return withSection(files, TOKENS_FILE, token.id, [
    { key: 'created_at', type: 'int64', raw: String(token.createdAtMs) },
    { key: 'expires_at', type: 'int64', raw: String(token.expiresAtMs) },
    { key: 'grants', type: GRANTS, raw: formatGrants(token.grants) },
    { key: 'hash', type: SECRET, raw: token.hash },
    { key: 'note', type: STRING, raw: token.note },
    { key: 'user', type: STRING, raw: token.user },
  ]);
}

/** The files without these tokens. */
export function withoutTokens(files: Files, ids: readonly string[]): config.ConfigFile[] {
  return withoutSections(files, TOKENS_FILE, ids);
}

/** The files with the key that signs sessions. */
export function withSessionKey(
  files: Files,
  { bus, key }: { bus: string; key: string },
): config.ConfigFile[] {
  return withSection(files, SESSION_FILE, 'DEFAULT', [
    { key: 'bus', type: STRING, raw: bus },
    { key: 'key', type: SECRET, raw: key },
  ]);
}

/** What the user's `sessions` says now. */
export function sessionsOf(files: Files, user: string): number {
  const file = files.find(({ path }) => path === USERS_FILE);
  const entries = file?.sections.find(({ name }) => name === user)?.entries ?? [];
  return Number(entries.find(({ key }) => key === 'sessions')?.raw ?? 0);
}

function withSection(
  files: Files,
  path: string,
  name: string,
  entries: config.ConfigEntry[],
): config.ConfigFile[] {
  const before = files.find((file) => file.path === path);
  const others = before?.sections.filter((section) => section.name !== name) ?? [];
  const { schema = '', parent = '' } = before ?? {};
  const after = { path, sections: [...others, { name, entries }], schema, parent };
  return [...files.filter((file) => file !== before), after];
}

function withoutSections(
  files: Files,
  path: string,
  names: readonly string[],
): config.ConfigFile[] {
  return files.map((file) => {
    const gone = file.path === path && file.sections.some(({ name }) => names.includes(name));
    if (!gone) return file;
    return { ...file, sections: file.sections.filter(({ name }) => !names.includes(name)) };
  });
}
