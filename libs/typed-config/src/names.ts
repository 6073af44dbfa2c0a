const NAME_LENGTH_MAX = 128;
const PATH_LENGTH_MAX = 512;
const PLAIN = /^[A-Za-z0-9_.-]+$/;
/** Sections are named after nodes, `127.0.0.1:80`. */
const WITH_COLON = /^[A-Za-z0-9_.:@-]+$/;

/** The section that every other one is laid over. */
export const DEFAULT_SECTION = 'DEFAULT';

/** Why a text is no name of a domain; undefined if it is one. */
export function domainFault(name: string): string | undefined {
  return nameFault('domain', name, PLAIN, 'A-Z a-z 0-9 _ . -');
}

/** Why a text is no name of a section. */
export function sectionFault(name: string): string | undefined {
  return nameFault('section', name, WITH_COLON, 'A-Z a-z 0-9 _ . - : @');
}

/** Why a text is no name of a key. */
export function keyFault(name: string): string | undefined {
  return nameFault('key', name, WITH_COLON, 'A-Z a-z 0-9 _ . - : @');
}

/** Why a text is no path of a file. */
export function pathFault(path: string): string | undefined {
  if (path.length > PATH_LENGTH_MAX) {
    return `a file path of ${path.length} characters; at most ${PATH_LENGTH_MAX}`;
  }
  const shown = `file path ${JSON.stringify(path)}`;
  if (!path.startsWith('/')) return `${shown} does not begin with '/'`;
  if (!/\.conf$/i.test(path)) return `${shown} does not end with '.conf'`;
  for (const segment of path.slice(1).split('/')) {
    const fault = segmentFault(segment);
    if (fault !== undefined) return `${shown} ${fault}`;
  }
  return undefined;
}

/** What all files of one base name become together: `redis` for `/zy/redis.conf`. */
export function baseName(path: string): string {
  const file = path.slice(path.lastIndexOf('/') + 1);
  return file.slice(0, file.indexOf('.'));
}

/** The files whose DEFAULT a file inherits by its place, root first: itself is the last. */
export function folderChain(path: string): string[] {
  const segments = path.split('/').slice(1);
  const file = segments.pop() ?? '';
  const folders = ['', ...segments.map((_, index) => `/${segments.slice(0, index + 1).join('/')}`)];
  return folders.map((folder) => `${folder}/${file}`);
}

function segmentFault(segment: string): string | undefined {
  if (segment === '') return `has an empty name in it`;
  if (segment.startsWith('.')) return `has a name that begins with '.'`;
  if (segment.length > NAME_LENGTH_MAX)
    return `has a name of more than ${NAME_LENGTH_MAX} characters`;
  return PLAIN.test(segment) ? undefined : 'has characters other than A-Z a-z 0-9 _ . - /';
}

function nameFault(
  what: string,
  name: string,
  allowed: RegExp,
  alphabet: string,
): string | undefined {
  if (name === '') return `a ${what} has a name`;
  if (name.length > NAME_LENGTH_MAX) {
    return `a ${what} name of ${name.length} characters; at most ${NAME_LENGTH_MAX}`;
  }
  const shown = `${what} name ${JSON.stringify(name)}`;
  if (name === '.' || name === '..') return `${shown} is a path, not a name`;
  return allowed.test(name) ? undefined : `${shown} has characters other than ${alphabet}`;
}
