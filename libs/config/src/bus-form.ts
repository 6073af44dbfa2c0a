import type { config } from '@malabar/contracts';
import { DOCUMENT_KEY, QUEUES_FILE } from './bus-files.js';
import type { PasswordHashes } from './password-hashes.js';
import { isPassword } from './secret-keys.js';

/**
 * The files of the domain `malabar` with every password as its hash, so that whoever writes a queue by
 * hand may set the password itself. Files without one stay the same objects.
 */
export function withHashes(
  files: readonly config.ConfigFile[],
  hashes: PasswordHashes,
): Promise<config.ConfigFile[]> {
  return Promise.all(
    files.map(async (file) => {
      if (file.path !== QUEUES_FILE) return file;
      const sections = await Promise.all(file.sections.map((one) => hashSection(one, hashes)));
      const same = sections.every((section, at) => section === file.sections[at]);
      return same ? file : { ...file, sections };
    }),
  );
}

async function hashSection(
  section: config.ConfigSection,
  hashes: PasswordHashes,
): Promise<config.ConfigSection> {
  const keys = new Set(passwordKeys(section));
  if (keys.size === 0) return section;
  const entries = await Promise.all(
    section.entries.map(async (entry) => {
      if (entry.type !== 'secret' || !keys.has(entry.key) || entry.raw === '') return entry;
      const raw = await hashes.hash(section.name, entry.key, entry.raw);
      return raw === entry.raw ? entry : { ...entry, raw };
    }),
  );
  const same = entries.every((entry, at) => entry === section.entries[at]);
  return same ? section : { ...section, entries };
}

/** The keys that the section's document refers to as passwords. */
function passwordKeys({ entries }: config.ConfigSection): string[] {
  const raw = entries.find(({ key }) => key === DOCUMENT_KEY)?.raw;
  if (raw === undefined || !raw.includes('"keeper:')) return [];
  try {
    return references(JSON.parse(raw), []);
  } catch {
    // Not JSON: the schema says so.
    return [];
  }
}

function references(value: unknown, path: readonly string[]): string[] {
  if (typeof value !== 'object' || value === null) return [];
  const { secret } = value as { secret?: unknown };
  const key = typeof secret === 'string' ? /^keeper:(.+)$/s.exec(secret)?.[1] : undefined;
  if (key !== undefined) return isPassword(path) ? [key] : [];
  return Object.entries(value).flatMap(([name, one]) => references(one, [...path, name]));
}
