import { basename } from 'node:path';
import type { config } from '@malabar/contracts';

/** The content of a domain, or a part of it, with its secrets as they are. */
export type Files = readonly config.ConfigFile[];

/** What changes, as malabar.yaml names it: `queues.paid`. Empty lists are left out. */
export interface SectionChanges {
  added?: string[];
  removed?: string[];
  changed?: string[];
}

/** Whether a content has all these files, with the same sections. */
export function covers(content: Files, files: Files): boolean {
  return files.every((file) => {
    const there = content.find(({ path }) => path === file.path);
    return there !== undefined && sameSections(there, file);
  });
}

export function sameSections(a: config.ConfigFile, b: config.ConfigFile): boolean {
  const [before, after] = [sectionsOf(a), sectionsOf(b)];
  return (
    before.size === after.size && [...before].every(([name, text]) => after.get(name) === text)
  );
}

/** What putting `files` in the place of their predecessors changes. */
export function changesBetween(content: Files, files: Files): SectionChanges {
  const changes: Required<SectionChanges> = { added: [], removed: [], changed: [] };
  for (const file of files) {
    const before = sectionsOf(content.find(({ path }) => path === file.path));
    const after = sectionsOf(file);
    const named = (name: string): string => `${basename(file.path, '.conf')}.${name}`;
    for (const [name, text] of after) {
      if (!before.has(name)) changes.added.push(named(name));
      else if (before.get(name) !== text) changes.changed.push(named(name));
    }
    const gone = [...before.keys()].filter((name) => !after.has(name));
    changes.removed.push(...gone.map(named));
  }
  return Object.fromEntries(Object.entries(changes).filter(([, names]) => names.length > 0));
}

/** The secret of a section of any of the files. */
export function hashIn(files: Files, section: string, key: string): string | undefined {
  for (const { sections } of files) {
    const entries = sections.find(({ name }) => name === section)?.entries;
    const entry = entries?.find((one) => one.key === key);
    if (entry !== undefined) return entry.raw;
  }
  return undefined;
}

/** Each section that says anything as a text to compare. */
function sectionsOf(file: config.ConfigFile | undefined): Map<string, string> {
  const spoken = file?.sections.filter(({ entries }) => entries.length > 0) ?? [];
  return new Map(
    spoken.map(({ name, entries }) => {
      const values = entries.map(({ key, type, raw }) => [key, type, raw]);
      return [name, JSON.stringify(values.sort(([a = ''], [b = '']) => (a < b ? -1 : 1)))];
    }),
  );
}
