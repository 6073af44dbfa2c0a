import { config } from '@malabar/contracts';
import { indexFiles } from './inheritance.js';
import { isSecret, maskEntry } from './mask.js';

/** Whether two entries of one key and type hold the same value; sealed secrets need their own. */
export type SameValue = (a: config.ConfigEntry, b: config.ConfigEntry) => boolean;

type Entries = ReadonlyMap<string, PlacedEntry>;

interface PlacedEntry {
  section: string;
  entry: config.ConfigEntry;
}

/** What differs, by file, section and key, with secrets masked: that one changed is said, no more. */
export function diffFiles(
  before: readonly config.ConfigFile[],
  after: readonly config.ConfigFile[],
  same: SameValue = (a, b) => a.raw === b.raw,
): config.Change[] {
  const [old, now] = [indexFiles(before), indexFiles(after)];
  return sortedKeys(old, now).flatMap((path) => {
    const [was, is] = [old.get(path), now.get(path)];
    return was === is ? [] : diffFile(path, was, is, same);
  });
}

function diffFile(
  path: string,
  before: config.ConfigFile | undefined,
  after: config.ConfigFile | undefined,
  same: SameValue,
): config.Change[] {
  const [old, now] = [entriesOf(before), entriesOf(after)];
  const changes = sortedKeys(old, now).flatMap((id) => {
    const [was, is] = [old.get(id), now.get(id)];
    if (was && is && isSame(was.entry, is.entry, same)) return [];
    return [change(path, (is ?? was)?.section ?? '', was?.entry, is?.entry)];
  });
  const isSilent = changes.length === 0 && (!before || !after);
  return isSilent ? [emptyFile(path, after !== undefined)] : changes;
}

/** Keys, and the file's schema and parent as if they were keys of a section without a name. */
function entriesOf(file: config.ConfigFile | undefined): Entries {
  const entries = new Map<string, PlacedEntry>();
  if (file === undefined) return entries;
  const add = (section: string, entry: config.ConfigEntry) =>
    entries.set(`${rank(section)}\n${section}\n${entry.key}`, { section, entry });
  if (file.schema) add('', { key: 'schema', type: 'json', raw: file.schema });
  if (file.parent) add('', { key: 'parent', type: 'string', raw: file.parent });
  for (const section of file.sections) {
    for (const entry of section.entries) add(section.name, entry);
  }
  return entries;
}

/** The file's own first, then DEFAULT, then the others by name. */
function rank(section: string): number {
  return section === '' ? 0 : section === 'DEFAULT' ? 1 : 2;
}

function isSame(a: config.ConfigEntry, b: config.ConfigEntry, same: SameValue): boolean {
  return a.type === b.type && same(a, b);
}

/** A value that was a secret, or becomes one, is masked on both sides. */
function change(
  file: string,
  section: string,
  before: config.ConfigEntry | undefined,
  after: config.ConfigEntry | undefined,
): config.Change {
  const hidden = [before, after].some((entry) => entry && isSecret(entry));
  const shown = (entry: config.ConfigEntry | undefined) =>
    entry && hidden ? { ...maskEntry({ ...entry, type: 'secret' }), type: entry.type } : entry;
  const key = (after ?? before)?.key ?? '';
  return {
    kind: kindOf(before, after),
    file,
    section,
    key,
    before: shown(before),
    after: shown(after),
  };
}

function kindOf(before: unknown, after: unknown): config.ChangeKind {
  if (before === undefined) return config.ChangeKind.ADDED;
  return after === undefined ? config.ChangeKind.REMOVED : config.ChangeKind.CHANGED;
}

/** A file without a key came or went. */
function emptyFile(file: string, isAdded: boolean): config.Change {
  const kind = isAdded ? config.ChangeKind.ADDED : config.ChangeKind.REMOVED;
  return { kind, file, section: '', key: 'file', before: undefined, after: undefined };
}

function sortedKeys(a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>): string[] {
  return [...new Set([...a.keys(), ...b.keys()])].sort();
}
