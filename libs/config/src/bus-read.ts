import type { config, keeper } from '@malabar/contracts';
import { isPasswordHash } from '@malabar/core';
import { queueConfig } from './bus-config.js';
import { DOCUMENT_KEY, QUEUES_FILE, SYSTEMS_FILE } from './bus-files.js';
import { noSystem, queueSchema, systemSchema } from './documents.js';
import { ConfigError, faultsOf, type KeyFault } from './faults.js';
import { nameFault } from './schema.js';
import { Secret } from './secret.js';
import { isPassword, secretsOf } from './secret-keys.js';
import { suggestion } from './suggestion.js';

export interface BusFilesOptions {
  /** The secrets were left out, as for a node that does not get them; they are empty then. */
  withoutSecrets?: boolean;
}

/**
 * Reads the files of the domain `malabar`: the inverse of documentsToFiles, with the same schema and
 * the same words. Remembers each queue by its text, so that the next release costs what it changes.
 */
export class BusFilesReader {
  readonly #withoutSecrets: boolean;
  #known = new Map<string, { text: string; read: ReadQueue }>();

  constructor({ withoutSecrets = false }: BusFilesOptions = {}) {
    this.#withoutSecrets = withoutSecrets;
  }

  /**
   * The queues and topics as the services read them, release 0. Files that it does not know are not
   * its business. Throws a ConfigError with every fault.
   */
  busConfig(files: readonly config.ConfigFile[]): keeper.BusConfig {
    const { queues, faults } = this.#read(files);
    if (faults.length === 0) return { release: 0, queues };
    throw new ConfigError(faults.map(asConfigFault));
  }

  /** What the keeper refuses to publish. */
  faults(files: readonly config.ConfigFile[]): config.ConfigFault[] {
    const known = [QUEUES_FILE, SYSTEMS_FILE];
    const unknown = files.filter(({ path }) => !known.includes(path));
    const message = (path: string): string =>
      `the bus reads ${known.join(' and ')}${suggestion(path, known, '/')}`;
    return [
      ...this.#read(files).faults,
      ...unknown.map(({ path }) => faultAt(path, '', '', message(path))),
    ];
  }

  #read(files: readonly config.ConfigFile[]) {
    const queues: keeper.QueueConfig[] = [];
    const faults: config.ConfigFault[] = [];
    const systems = readSystems(sectionsOf(files, SYSTEMS_FILE), faults);
    const known = this.#known;
    this.#known = new Map();
    for (const section of sectionsOf(files, QUEUES_FILE)) {
      const text = JSON.stringify(section);
      const before = known.get(section.name);
      const read = before?.text === text ? before.read : readQueue(section, this.#withoutSecrets);
      this.#known.set(section.name, { text, read });
      const found = [...read.faults, ...systemFaults(read, systems)];
      faults.push(...found.map((fault) => placed(QUEUES_FILE, section.name, fault)));
      if (read.queue !== undefined && found.length === 0) queues.push(read.queue);
    }
    return { queues, faults };
  }
}

/** `BusFilesReader.busConfig`, once. */
export function filesToBusConfig(
  files: readonly config.ConfigFile[],
  options: BusFilesOptions = {},
): keeper.BusConfig {
  return new BusFilesReader(options).busConfig(files);
}

function sectionsOf(files: readonly config.ConfigFile[], path: string): config.ConfigSection[] {
  const sections = files.find((file) => file.path === path)?.sections ?? [];
  return sections.filter(({ entries }) => entries.length > 0);
}

function readSystems(
  sections: readonly config.ConfigSection[],
  faults: config.ConfigFault[],
): string[] {
  for (const { name, entries } of sections) {
    const given = entries.filter(({ raw }) => raw !== '').map(({ key, raw }) => [key, raw]);
    const { error } = systemSchema.safeParse(Object.fromEntries(given));
    const found = [...nameFaults('system', name), ...faultsOf(error?.issues ?? [])];
    faults.push(...found.map((fault) => placed(SYSTEMS_FILE, name, fault)));
  }
  return sections.map(({ name }) => name);
}

/** A queue and what is wrong with it, as far as it can be told without the others. */
interface ReadQueue {
  /** Undefined if there is none, or if something is wrong with it. */
  queue?: keeper.QueueConfig;
  faults: KeyFault[];
}

function readQueue(section: config.ConfigSection, withoutSecrets: boolean): ReadQueue {
  const faults = [...nameFaults('queue', section.name), ...keyFaults(section)];
  const document = section.entries.find(({ key }) => key === DOCUMENT_KEY);
  if (document === undefined) return { faults };
  const fail = (path: readonly string[], message: string): void =>
    void faults.push({ path: [DOCUMENT_KEY, ...path], message });
  const parsed = parseJson(document.raw);
  if (parsed === undefined) {
    fail([], 'is not JSON');
    return { faults };
  }
  const secrets = new Map(
    section.entries.filter(({ type }) => type === 'secret').map(({ key, raw }) => [key, raw]),
  );
  const resolved = resolve(parsed.value, [], (path, key) => {
    const text = withoutSecrets ? '' : secrets.get(key);
    if (text === undefined) fail(path, `there is no key ${key} of type secret in this section`);
    return Secret.kept(key, text ?? '');
  });
  const { data: queue, error } = queueSchema.safeParse(resolved);
  for (const { path, message } of faultsOf(error?.issues ?? [])) fail(path, message);
  for (const { path, secret } of secretsOf(queue)) {
    const fault = secretFault(path, secret);
    if (fault !== undefined) fail(path, fault);
  }
  if (queue === undefined || faults.length > 0) return { faults };
  return { queue: queueConfig(section.name, queue), faults };
}

function systemFaults({ queue }: ReadQueue, systems: readonly string[]): KeyFault[] {
  if (!queue?.system || systems.includes(queue.system)) return [];
  return [{ path: [DOCUMENT_KEY, 'system'], message: noSystem(queue.system, systems) }];
}

function keyFaults({ entries }: config.ConfigSection): KeyFault[] {
  return entries
    .filter(({ key, type }) => key !== DOCUMENT_KEY && type !== 'secret')
    .map(({ key }) => ({
      path: [key],
      message: `is neither ${DOCUMENT_KEY} nor of type secret${suggestion(key, [DOCUMENT_KEY])}`,
    }));
}

function nameFaults(what: string, name: string): KeyFault[] {
  const message = nameFault(what, name);
  return message === undefined ? [] : [{ path: [], message }];
}

function parseJson(raw: string): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(raw) };
  } catch {
    return undefined;
  }
}

/** A document with the secrets in the place of their references. */
function resolve(
  value: unknown,
  path: readonly string[],
  secret: (path: readonly string[], key: string) => Secret,
): unknown {
  if (Array.isArray(value)) return value.map((one, at) => resolve(one, [...path, `${at}`], secret));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value);
  const [[name, source] = []] = entries;
  if (entries.length === 1 && name === 'secret' && typeof source === 'string') {
    const key = /^keeper:(.+)$/s.exec(source)?.[1];
    if (key !== undefined) return secret(path, key);
  }
  return Object.fromEntries(
    entries.map(([key, one]) => [key, resolve(one, [...path, key], secret)]),
  );
}

// Whoever may see the domain sees documents, and no node resolves files or variables of another.
function secretFault(path: readonly string[], secret: Secret): string | undefined {
  if (!secret.source.startsWith('keeper:')) {
    return 'does not belong into a document: set a key of type secret and write {"secret": "keeper:<key>"}';
  }
  const text = secret.reveal();
  if (!isPassword(path) || text === '' || isPasswordHash(text)) return undefined;
  return 'is no hash that we know; `malabar config hash-password` makes one';
}

function placed(file: string, section: string, { path, message }: KeyFault): config.ConfigFault {
  const [key = '', ...inside] = path;
  return faultAt(file, section, key, [inside.join('.'), message].filter(Boolean).join(': '));
}

function faultAt(file: string, section: string, key: string, message: string): config.ConfigFault {
  return { file, section, key, line: 0, message };
}

function asConfigFault({ file, section, key, line, message }: config.ConfigFault) {
  return { file, line, column: 0, key: [section, key].filter(Boolean).join('.'), message };
}
