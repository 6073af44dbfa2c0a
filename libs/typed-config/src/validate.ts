import type { config } from '@malabar/contracts';
import { faultAt, type Place } from './fault.js';
import { type FileIndex, indexFiles, parentOf } from './inheritance.js';
import { type ContentLimits, limitFaults } from './limits.js';
import { baseName, keyFault, pathFault, sectionFault } from './names.js';
import { schemaFaults } from './schema/check.js';
import { canonicalType, unknownType } from './types.js';
import { valueFault } from './values.js';

/** Everything that keeps a content from becoming a release; secrets may be sealed or plain. */
export function validateFiles(
  files: readonly config.ConfigFile[],
  limits: ContentLimits,
): config.ConfigFault[] {
  const index = indexFiles(files);
  const own = [
    ...limitFaults(files, limits),
    ...doubled(files.map(({ path }) => [path, { file: path }])),
    ...files.flatMap(fileFaults),
    ...files.flatMap((file) => parentFaults(index, file)),
  ];
  // A schema can be held only against values that parse and are found.
  return own.length > 0 ? own : schemaFaults(files);
}

/** What can be released and is questionable all the same: one key that has two types. */
export function reviewFiles(files: readonly config.ConfigFile[]): config.ConfigFault[] {
  const first = new Map<string, Place & { type: string }>();
  return entriesOf(files).flatMap(({ place, entry }) => {
    const name = `${baseName(place.file)} ${entry.key}`;
    const earlier = first.get(name);
    if (earlier === undefined) first.set(name, { ...place, type: entry.type });
    if (earlier === undefined || earlier.type === entry.type) return [];
    const where = `${earlier.file} [${earlier.section}]`;
    return [faultAt(place, `${entry.type} here, ${earlier.type} in ${where}`)];
  });
}

interface FoundEntry {
  place: Place;
  entry: config.ConfigEntry;
}

function entriesOf(files: readonly config.ConfigFile[]): FoundEntry[] {
  return files.flatMap((file) =>
    file.sections.flatMap(({ name, entries }) =>
      entries.map((entry) => ({
        place: { file: file.path, section: name, key: entry.key },
        entry,
      })),
    ),
  );
}

function fileFaults(file: config.ConfigFile): config.ConfigFault[] {
  const path = pathFault(file.path);
  const sections = file.sections.map(({ name }): [string, Place] => [
    name,
    { file: file.path, section: name },
  ]);
  const badNames = sections.flatMap(([name, place]) => faultsOf(place, sectionFault(name)));
  const entries = entriesOf([file]);
  return [
    ...faultsOf({ file: file.path }, path),
    ...badNames,
    ...doubled(sections),
    ...doubled(entries.map(({ place }) => [`${place.section}\n${place.key}`, place])),
    ...entries.flatMap(({ place, entry }) => faultsOf(place, entryFault(entry))),
  ];
}

function entryFault({ key, type: named, raw }: config.ConfigEntry): string | undefined {
  const type = canonicalType(named);
  return keyFault(key) ?? (type === undefined ? unknownType(named) : valueFault(type, raw));
}

/** Names of one kind that are there more than once. */
function doubled(named: readonly [name: string, place: Place][]): config.ConfigFault[] {
  const seen = new Set<string>();
  return named.flatMap(([name, place]) => {
    const isTwice = seen.has(name);
    seen.add(name);
    return isTwice ? [faultAt(place, 'this name is there twice')] : [];
  });
}

function parentFaults(index: FileIndex, file: config.ConfigFile): config.ConfigFault[] {
  if (file.parent === '') return [];
  const place = { file: file.path, key: 'parent' };
  const fault = pathFault(file.parent);
  if (fault !== undefined) return [faultAt(place, fault)];
  if (!index.has(file.parent)) {
    return [faultAt(place, `the parent ${file.parent} is not a file of this domain`)];
  }
  const circle = circleFrom(index, file.path);
  if (circle === undefined) return [];
  return [faultAt(place, `a file inherits from itself: ${circle.join(' -> ')}`)];
}

/** The way from a file over its parents back to itself; undefined if there is none. */
function circleFrom(index: FileIndex, path: string): string[] | undefined {
  const way = [path];
  for (;;) {
    const next = parentOf(index, way.at(-1) ?? path);
    if (next === undefined) return undefined;
    if (next === path) return [...way, path];
    if (way.includes(next)) return undefined;
    way.push(next);
  }
}

function faultsOf(place: Place, message: string | undefined): config.ConfigFault[] {
  return message === undefined ? [] : [faultAt(place, message)];
}
