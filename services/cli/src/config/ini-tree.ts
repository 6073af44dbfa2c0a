import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { config } from '@malabar/contracts';
import { formatIni, pathFault } from '@malabar/typed-config';
import { CommandError, EXIT } from '../exit.js';
import { readTextFile } from '../input-file.js';

/** The schema of `redis.conf` lies beside it as `redis.conf.schema.json`. */
const SCHEMA = '.schema.json';

/** A text of gokeeper's format and the path that it gets in a domain. */
export interface IniText {
  /** In the domain, e.g. `/redis/master.conf`. */
  path: string;
  /** On this machine, as the user would name it. */
  source: string;
  text: string;
  /** JSON of the schema that lies beside it. */
  schema?: string;
}

/** What lies in the folders and files that a user named. */
export interface IniTree {
  texts: IniText[];
  /** Files that are no configuration. */
  skipped: string[];
}

/** Reads files as `/<name>` and folders with the tree below them, hidden names left out. */
export function readTree(cwd: string, named: readonly string[]): IniTree {
  const found = named.flatMap((name) => filesBelow(cwd, name));
  const schemas = found.filter(({ source }) => source.endsWith(SCHEMA));
  const files = found.filter(({ path }) => /\.conf$/i.test(path));
  const known = new Set([...schemas, ...files]);
  refuseDoubles(files);
  return {
    texts: files.map((file) => withSchema(cwd, file, schemas)),
    skipped: found.filter((each) => !known.has(each)).map(({ source }) => source),
  };
}

interface Found {
  path: string;
  source: string;
}

function filesBelow(cwd: string, name: string): Found[] {
  if (!isFolder(cwd, name)) return [{ path: `/${basename(name)}`, source: name }];
  const folder = resolve(cwd, name);
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((path) => `/${path}`)
    .filter((path) => !path.includes('/.') && statSync(join(folder, path)).isFile())
    .sort()
    .map((path) => ({ path, source: join(name, path) }));
}

function isFolder(cwd: string, name: string): boolean {
  try {
    return statSync(resolve(cwd, name)).isDirectory();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new CommandError(EXIT.usage, `cannot read ${name}: ${code ?? message}`);
  }
}

function refuseDoubles(files: readonly Found[]): void {
  const sources = new Map<string, string>();
  for (const { path, source } of files) {
    const other = sources.get(path);
    if (other !== undefined) {
      throw new CommandError(EXIT.usage, `${other} and ${source} are both ${path} in the domain`);
    }
    sources.set(path, source);
  }
}

function withSchema(cwd: string, file: Found, schemas: readonly Found[]): IniText {
  const text = readTextFile(resolve(cwd, file.source));
  const beside = schemas.find(({ source }) => source === file.source + SCHEMA);
  if (beside === undefined) return { ...file, text };
  return { ...file, text, schema: readTextFile(resolve(cwd, beside.source)) };
}

/** Writes files as gokeeper would read them, and the schemas beside them. Answers the paths. */
export function writeTree(folder: string, files: readonly config.ConfigFile[]): string[] {
  return files.flatMap((file) => {
    const fault = pathFault(file.path);
    if (fault !== undefined) throw new CommandError(EXIT.failure, `${file.path}: ${fault}`);
    const target = join(folder, file.path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, formatIni(file));
    if (file.schema === '') return [target];
    writeFileSync(target + SCHEMA, file.schema);
    return [target, target + SCHEMA];
  });
}
