import type { config } from '@malabar/contracts';
import { DEFAULT_SECTION } from '@malabar/typed-config';
import type { Files } from './contents.js';

/** What can change on its own: an entry, a file's schema, its parent, or that it is there. */
type Piece = config.ConfigEntry | string;

/** The files that have the changes of both sides, and the places that both changed. */
export interface Merged {
  files: Files;
  clashes: string[];
}

/** Puts what `ours` changed of `base` on top of `theirs`. */
export function merge(base: Files, ours: Files, theirs: Files): Merged {
  const [was, mine, now] = [piecesOf(base), piecesOf(ours), piecesOf(theirs)];
  const merged = new Map<string, Piece>();
  const clashes: string[] = [];
  for (const place of new Set([...was.keys(), ...mine.keys(), ...now.keys()])) {
    const [before, own, current] = [was.get(place), mine.get(place), now.get(place)];
    const isOurs = !same(before, own);
    if (isOurs && !same(before, current) && !same(own, current)) clashes.push(placeText(place));
    const piece = isOurs ? own : current;
    if (piece !== undefined) merged.set(place, piece);
  }
  // One side took a file away that the other one added to.
  const orphans = [...merged.keys()].filter((place) => !merged.has(fileOf(place)));
  return { files: filesOf(merged), clashes: [...clashes, ...orphans.map(placeText)] };
}

/** By `[path]` (the file itself), `[path, '', 'schema' | 'parent']`, `[path, section, key]`. */
function piecesOf(files: Files): Map<string, Piece> {
  const pieces = new Map<string, Piece>();
  const add = (place: string[], piece: Piece) => pieces.set(JSON.stringify(place), piece);
  for (const { path, sections, schema, parent } of files) {
    add([path], path);
    if (schema !== '') add([path, '', 'schema'], schema);
    if (parent !== '') add([path, '', 'parent'], parent);
    for (const { name, entries } of sections)
      for (const entry of entries) add([path, name, entry.key], entry);
  }
  return pieces;
}

function filesOf(pieces: ReadonlyMap<string, Piece>): config.ConfigFile[] {
  const files = new Map<string, config.ConfigFile>();
  for (const [place, piece] of [...pieces].sort(([a], [b]) => (rank(a) < rank(b) ? -1 : 1))) {
    const [path = '', section, key] = JSON.parse(place) as string[];
    const file = files.get(path) ?? { path, sections: [], schema: '', parent: '' };
    files.set(path, file);
    if (typeof piece !== 'string') addEntry(file, section ?? '', piece);
    else if (key === 'schema' || key === 'parent') file[key] = piece;
  }
  return [...files.values()];
}

/** Sorts by path, section and key, with DEFAULT before the other sections. */
function rank(place: string): string {
  const [path, section, key] = JSON.parse(place) as string[];
  return [path, section === DEFAULT_SECTION ? '' : section, key].join('\n');
}

function fileOf(place: string): string {
  return JSON.stringify([(JSON.parse(place) as string[])[0]]);
}

function addEntry(file: config.ConfigFile, name: string, entry: config.ConfigEntry): void {
  const last = file.sections.at(-1);
  if (last?.name === name) last.entries.push(entry);
  else file.sections.push({ name, entries: [entry] });
}

function same(a: Piece | undefined, b: Piece | undefined): boolean {
  if (typeof a !== 'object' || typeof b !== 'object') return a === b;
  return a.type === b.type && a.raw === b.raw;
}

function placeText(place: string): string {
  const [path, section, key] = JSON.parse(place) as string[];
  if (key === undefined) return `${path}`;
  return section === '' ? `${key} of ${path}` : `${path} [${section}] ${key}`;
}
