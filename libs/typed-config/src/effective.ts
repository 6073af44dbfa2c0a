import { createHash } from 'node:crypto';
import type { config } from '@malabar/contracts';
import {
  type FileIndex,
  indexFiles,
  inheritedDefault,
  layOver,
  type PlacedEntry,
} from './inheritance.js';
import { baseName, DEFAULT_SECTION } from './names.js';
import { canonicalType, unknownType } from './types.js';
import { ValueError } from './value-error.js';
import { toJson } from './values.js';

/** For whom the values are. */
export interface EffectiveRequest {
  /** Empty for nobody in particular: then no section overrides by node. */
  nodeId: string;
  subscriptions: readonly config.Subscription[];
}

/**
 * What a node gets. A subscription is the DEFAULT of every file that its file inherits from, the
 * least specific first, then its section, then the section of its file that is named like the node;
 * the later wins, key by key. Subscriptions of one base name become one file, in their order. A file
 * or section that is not there contributes nothing.
 */
export function effective(
  files: readonly config.ConfigFile[],
  { nodeId, subscriptions }: EffectiveRequest,
): config.EffectiveFile[] {
  const index = indexFiles(files);
  const merged = new Map<string, Map<string, PlacedEntry>>();
  const verbatim = new Map<string, config.EffectiveFile>();
  for (const given of subscriptions) {
    const subscription = { ...given, file: absolute(given.file) };
    if (subscription.verbatim) {
      for (const file of sectionsAsTheyAre(files, subscription)) verbatim.set(keyOf(file), file);
      continue;
    }
    const name = baseName(subscription.file);
    const values = merged.get(name) ?? new Map<string, PlacedEntry>();
    merged.set(name, values);
    for (const [key, value] of subscribed(index, subscription, nodeId)) values.set(key, value);
  }
  const together = [...merged].map(([name, values]) => effectiveFile(name, '', values.values()));
  return [...together, ...verbatim.values()];
}

/** Of the content, whatever the order of files and keys: equal content, equal checksum. */
export function checksumOf(files: readonly config.EffectiveFile[]): string {
  const lines = files.flatMap(({ name, section, values }) => [
    JSON.stringify([name, section]),
    ...values.map(({ key, type, raw }) => JSON.stringify([name, section, key, type, raw])),
  ]);
  return createHash('sha256').update(lines.sort().join('\n')).digest('hex');
}

function subscribed(
  index: FileIndex,
  { file: path, section }: config.Subscription,
  nodeId: string,
): Map<string, PlacedEntry> {
  const values = inheritedDefault(index, path);
  const file = index.get(path);
  for (const name of [section, nodeId]) {
    if (file && name !== '' && name !== DEFAULT_SECTION) layOver(values, file, name);
  }
  return values;
}

function sectionsAsTheyAre(
  files: readonly config.ConfigFile[],
  { file: path, section }: config.Subscription,
): config.EffectiveFile[] {
  const wanted = files.filter((file) => path === '*' || file.path === path);
  return wanted.flatMap((file) =>
    file.sections
      .filter(({ name }) => section === '' || name === section)
      .map(({ name, entries }) => {
        const values = entries.map((entry) => ({ entry, file: file.path, section: name }));
        return effectiveFile(file.path, name, values);
      }),
  );
}

function effectiveFile(
  name: string,
  section: string,
  values: Iterable<PlacedEntry>,
): config.EffectiveFile {
  const sorted = [...values].sort((a, b) => (a.entry.key < b.entry.key ? -1 : 1));
  return { name, section, values: sorted.map(effectiveValue) };
}

function effectiveValue({ entry, file, section }: PlacedEntry): config.EffectiveValue {
  const type = canonicalType(entry.type);
  if (type === undefined) throw new ValueError(unknownType(entry.type));
  const { key, raw } = entry;
  return { key, type, raw, json: toJson(type, raw), file, section };
}

/** gokeeper's users may leave the first slash out. */
function absolute(path: string): string {
  return path === '*' || path.startsWith('/') ? path : `/${path}`;
}

function keyOf({ name, section }: config.EffectiveFile): string {
  return `${name}\n${section}`;
}
