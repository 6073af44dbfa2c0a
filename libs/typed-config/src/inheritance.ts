import type { config } from '@malabar/contracts';
import { DEFAULT_SECTION, folderChain } from './names.js';

/** Files by path. */
export type FileIndex = ReadonlyMap<string, config.ConfigFile>;

export function indexFiles(files: readonly config.ConfigFile[]): FileIndex {
  return new Map(files.map((file) => [file.path, file]));
}

/** Whose DEFAULT a file inherits: its parent, or else the nearest file of its name further up. */
export function parentOf(index: FileIndex, path: string): string | undefined {
  const parent = index.get(path)?.parent;
  if (parent) return parent;
  return folderChain(path).findLast((each) => each !== path && index.has(each));
}

/**
 * The files whose DEFAULT sections a subscription of `path` gets, the least specific first and
 * itself, if it exists, last. A circle, which validation refuses, ends where it closes.
 */
export function inheritanceChain(index: FileIndex, path: string): config.ConfigFile[] {
  const chain = new Set<string>();
  let next: string | undefined = path;
  while (next !== undefined && !chain.has(next)) {
    chain.add(next);
    next = parentOf(index, next);
  }
  return [...chain].reverse().flatMap((each) => index.get(each) ?? []);
}

export function sectionEntries(file: config.ConfigFile, name: string): config.ConfigEntry[] {
  return file.sections.find((section) => section.name === name)?.entries ?? [];
}

/** A value and where it lies. */
export interface PlacedEntry {
  entry: config.ConfigEntry;
  file: string;
  section: string;
}

/** By key: what DEFAULT gives to `path`, inherited values included. */
export function inheritedDefault(index: FileIndex, path: string): Map<string, PlacedEntry> {
  const values = new Map<string, PlacedEntry>();
  for (const file of inheritanceChain(index, path)) layOver(values, file, DEFAULT_SECTION);
  return values;
}

/** The later layer wins, key by key. */
export function layOver(
  values: Map<string, PlacedEntry>,
  file: config.ConfigFile,
  section: string,
): void {
  for (const entry of sectionEntries(file, section)) {
    values.set(entry.key, { entry, file: file.path, section });
  }
}
