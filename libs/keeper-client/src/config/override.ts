import { readFile, stat } from 'node:fs/promises';
import { BusError, type Clock, every } from '@malabar/core';
import { isMap, isScalar, parseDocument, type YAMLMap } from 'yaml';
import type { KeeperClientLog } from '../log.js';
import type { Override } from './values.js';

/** How often the file is looked at: an operator in need waits no longer than this. */
const PERIOD_MS = 2_000;

/** What the operator's file says, by domain. */
export type Overrides = ReadonlyMap<string, readonly Override[]>;

export interface OverrideFileOptions {
  path: string;
  clock: Clock;
  log: KeeperClientLog;
  onChange(overrides: Overrides): void;
}

/**
 * Follows an operator's override file, from the start and for as long as the program runs: domain ->
 * file -> key -> text, in YAML or JSON; for a verbatim subscription domain -> path -> section -> key
 * -> text. A file that cannot be read as that is refused as a whole: what was in force stays.
 */
export class OverrideFile {
  readonly #options: OverrideFileOptions;
  #mark = 'missing';
  #stop = (): void => {};

  constructor(options: OverrideFileOptions) {
    this.#options = options;
  }

  /** Resolves when the file has been read. */
  async start(): Promise<void> {
    await this.#check();
    this.#stop = every(this.#options.clock, PERIOD_MS, () => this.#check());
  }

  stop(): void {
    this.#stop();
  }

  async #check(): Promise<void> {
    const { path, log, onChange } = this.#options;
    try {
      const mark = await fileMark(path);
      if (mark === this.#mark) return;
      this.#mark = mark;
      const overrides =
        mark === 'missing' ? new Map() : parseOverrides(await readFile(path, 'utf8'));
      const count = [...overrides.values()].flat().length;
      log.warn({ file: path, values: count }, 'override file read: its values win over the keeper');
      onChange(overrides);
    } catch (error) {
      log.error({ file: path, reason: (error as Error).message }, 'override file refused');
    }
  }
}

/** The values of a text. Throws INVALID, with the line, if it is not made as it should. */
export function parseOverrides(text: string): Overrides {
  // Failsafe: a value is the text that the operator wrote, whatever it looks like.
  const document = parseDocument(text, { schema: 'failsafe', prettyErrors: true });
  const [error] = document.errors;
  if (error !== undefined) throw new BusError('INVALID', error.message);
  const overrides = new Map<string, Override[]>();
  if (document.contents === null) return overrides;
  for (const [domain, files] of mapEntries(document.contents, 'the file')) {
    const values = mapEntries(files, domain).flatMap(([file, keys]) =>
      mapEntries(keys, `${domain} ${file}`).flatMap(([key, value]) => valuesOf(file, key, value)),
    );
    overrides.set(domain, values);
  }
  return overrides;
}

/** A text is the value of a key; a map is a section. */
function valuesOf(file: string, name: string, value: unknown): Override[] {
  if (!isMap(value))
    return [{ file, section: '', key: name, raw: textOf(value, `${file} ${name}`) }];
  return mapEntries(value, `${file} ${name}`).map(([key, each]) => {
    return { file, section: name, key, raw: textOf(each, `${file} ${name} ${key}`) };
  });
}

function mapEntries(node: unknown, where: string): Array<[string, unknown]> {
  if (!isMap(node)) throw new BusError('INVALID', `${where}: a map is needed`);
  return (node as YAMLMap<unknown, unknown>).items.map(({ key, value }) => [
    textOf(key, where),
    value,
  ]);
}

function textOf(node: unknown, where: string): string {
  if (!isScalar(node)) throw new BusError('INVALID', `${where}: a text is needed`);
  return String(node.value ?? '');
}

async function fileMark(path: string): Promise<string> {
  try {
    const { ino, size, mtimeNs } = await stat(path, { bigint: true });
    return `${ino}:${size}:${mtimeNs}`;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'missing';
    throw error;
  }
}
