import type { config } from '@malabar/contracts';
import { ConfigError, type ConfigFault } from './faults.js';
import type { LoadedConfig } from './load.js';
import type { PasswordHashes } from './password-hashes.js';
import type { Environment, Secret } from './secret.js';
import { isPassword, type PlacedSecret, secretKey, secretsOf, withValues } from './secret-keys.js';

/** The keeper's domain that holds what the bus itself goes by. */
export const BUS_DOMAIN = 'malabar';

/** A section for each queue: key `document`, and a key of type secret for each of its secrets. */
export const QUEUES_FILE = '/queues.conf';

/** The same for each schedule. */
export const SCHEDULES_FILE = '/schedules.conf';

/** The same for each source. */
export const SOURCES_FILE = '/sources.conf';

/** A section for each system: keys `owner` and `description`, empty for none. */
export const SYSTEMS_FILE = '/systems.conf';

export const DOCUMENT_KEY = 'document';

const KINDS = [
  { kind: 'queues', path: QUEUES_FILE },
  { kind: 'schedules', path: SCHEDULES_FILE },
  { kind: 'sources', path: SOURCES_FILE },
] as const;

export interface DocumentsToFilesOptions {
  /** Variables that `{ secret: env:NAME }` may name. */
  env: Environment;
  hashes: PasswordHashes;
}

/**
 * The documents of a configuration file as files of the domain `malabar`: those whose key the file
 * has, each as a whole. Equal documents are equal files, however they are spelled. Throws a
 * ConfigError that names every secret that cannot be read.
 */
export async function documentsToFiles(
  { config: { documents }, values, fault }: LoadedConfig,
  { env, hashes }: DocumentsToFilesOptions,
): Promise<config.ConfigFile[]> {
  const files: config.ConfigFile[] = [];
  if ('systems' in values) files.push(file(SYSTEMS_FILE, systemSections(documents.systems)));
  const faults: ConfigFault[] = [];
  for (const { kind, path } of KINDS) {
    if (!(kind in values)) continue;
    const written = values[kind] as Record<string, unknown> | null;
    const sections = Object.entries(documents[kind]).map(async ([name, document]) => {
      const secrets = secretsOf(document);
      const read = (placed: PlacedSecret): string => {
        const found = readSecret(placed.secret, env);
        if (found.text !== undefined) return found.text;
        faults.push(fault({ path: [kind, name, ...placed.path], message: found.reason }));
        return '';
      };
      const kept = secrets.map((placed) => ({ ...placed, text: read(placed) }));
      const hashedSecrets = await Promise.all(kept.map(hashed(name, hashes)));
      return documentSection(name, written?.[name], hashedSecrets);
    });
    files.push(file(path, await Promise.all(sections)));
  }
  if (faults.length > 0) throw new ConfigError(faults);
  return files;
}

type Read = { text: string } | { text?: undefined; reason: string };

function readSecret(secret: Secret, env: Environment): Read {
  try {
    return { text: secret.reveal(env) };
  } catch (error) {
    return { reason: (error as Error).message };
  }
}

interface Kept {
  path: readonly string[];
  text: string;
}

const hashed =
  (queue: string, hashes: PasswordHashes) =>
  async ({ path, text }: Kept): Promise<Kept> => {
    if (!isPassword(path) || text === '') return { path, text };
    return { path, text: await hashes.hash(queue, secretKey(path), text) };
  };

function documentSection(name: string, written: unknown, secrets: readonly Kept[]) {
  const references = secrets.map(({ path }) => {
    return { path, value: { secret: `keeper:${secretKey(path)}` } };
  });
  const document = JSON.stringify(sorted(withValues(written, references)));
  return section(name, [
    { key: DOCUMENT_KEY, type: 'json', raw: document },
    ...secrets.map(({ path, text }) => ({ key: secretKey(path), type: 'secret', raw: text })),
  ]);
}

function systemSections(systems: LoadedConfig['config']['documents']['systems']) {
  return Object.entries(systems).map(([name, { owner = '', description = '' }]) =>
    section(name, [
      { key: 'description', type: 'string', raw: description },
      { key: 'owner', type: 'string', raw: owner },
    ]),
  );
}

function section(name: string, entries: config.ConfigEntry[]): config.ConfigSection {
  return { name, entries: entries.sort((a, b) => compare(a.key, b.key)) };
}

function file(path: string, sections: config.ConfigSection[]): config.ConfigFile {
  return {
    path,
    sections: sections.sort((a, b) => compare(a.name, b.name)),
    parent: '',
    schema: '',
  };
}

// Keys in one order, so that a file that was only rearranged is no change.
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => compare(a, b));
  return Object.fromEntries(entries.map(([key, one]) => [key, sorted(one)]));
}

const compare = (a: string, b: string): number => (a < b ? -1 : 1);
