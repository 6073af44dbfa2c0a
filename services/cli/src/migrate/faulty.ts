import type { config } from '@malabar/contracts';

/** The files without what the faults name: a key, a section or a whole file. */
export function withoutFaulty(
  files: readonly config.ConfigFile[],
  faults: readonly config.ConfigFault[],
): config.ConfigFile[] {
  const named = new Set(faults.map(({ file, section, key }) => [file, section, key].join('\n')));
  const isFaulty = (...place: string[]) => named.has([...place, '', ''].slice(0, 3).join('\n'));
  return files
    .filter(({ path }) => !isFaulty(path))
    .map((file) => ({
      ...file,
      sections: file.sections
        .filter(({ name }) => !isFaulty(file.path, name))
        .map(({ name, entries }) => ({
          name,
          entries: entries.filter(({ key }) => !isFaulty(file.path, name, key)),
        }))
        .filter(({ entries }) => entries.length > 0),
    }))
    .filter(({ sections }) => sections.length > 0);
}
