import { DEFAULT_SECTION } from '@malabar/typed-config';

/** Where gokeeper meant a value to be. */
export interface GokeeperPlace {
  file: string;
  section: string;
  key: string;
  /** What gokeeper itself made of its key, if that was something else. */
  warning?: string;
}

/**
 * Reads `<file path>/<section>/<key>` below a domain. gokeeper takes the last two parts for section and
 * key, so a `/` in one of them moved the rest into the path; and it wrote the key right behind the file
 * if somebody left the section empty, and never showed it again. The value names its key, and a file
 * ends with `.conf`: that is enough to tell. Undefined if no part is a file.
 */
export function gokeeperPlace(path: string, named: string | undefined): GokeeperPlace | undefined {
  const parts = path.split('/');
  const fileAt = parts.findIndex((part) => /\.conf$/i.test(part));
  if (fileAt < 0 || fileAt === parts.length - 1) return undefined;
  const file = `/${parts.slice(0, fileAt + 1).join('/')}`;
  const behind = parts.slice(fileAt + 1).join('/');
  const key = named && isEndOf(named, behind) ? named : (parts.at(-1) as string);
  const section = behind.slice(0, Math.max(0, behind.length - key.length - 1));
  return { file, section: section || DEFAULT_SECTION, key, warning: doubt(section, key) };
}

const isEndOf = (key: string, behind: string): boolean =>
  behind === key || behind.endsWith(`/${key}`);

function doubt(section: string, key: string): string | undefined {
  if (section === '')
    return 'was written without a section, so gokeeper showed it to nobody; it is in DEFAULT now';
  if (section.includes('/') || key.includes('/'))
    return "has a '/' in its name, for which gokeeper took it for part of another file";
  return undefined;
}
