import type { config } from '@malabar/contracts';

/** What stands for a secret wherever people look; written back, it keeps the secret as it is. */
export const MASK = '******';

export function isSecret(entry: config.ConfigEntry): boolean {
  return entry.type === 'secret';
}

export function maskEntry(entry: config.ConfigEntry): config.ConfigEntry {
  return isSecret(entry) ? { ...entry, raw: MASK } : entry;
}

/** The files as people may see them. */
export function maskFiles(files: readonly config.ConfigFile[]): config.ConfigFile[] {
  return files.map((file) => ({
    ...file,
    sections: file.sections.map((section) => ({
      ...section,
      entries: section.entries.map(maskEntry),
    })),
  }));
}
