import type { config, keeper } from '@malabar/contracts';
import { isPasswordHash } from '@malabar/core';
import { queueConfig } from './bus-config.js';
import {
  DOCUMENT_KEY,
  QUEUES_FILE,
  SCHEDULES_FILE,
  SOURCES_FILE,
  SYSTEMS_FILE,
} from './bus-files.js';
import { noSystem, type QueueDocument, queueSchema, systemSchema } from './documents.js';
import { ConfigError, faultsOf, type KeyFault } from './faults.js';
import { queuesOfRuns, schedulerQueues } from './implied-queues.js';
import { callbackQueues, resultFaults } from './results.js';
import { type ScheduleDocument, scheduleSchema } from './schedule.js';
import { scheduleConfig } from './schedule-config.js';
import { ownQueueFault, scheduleFaults } from './schedule-faults.js';
import { type Field, nameFault } from './schema.js';
import { Secret } from './secret.js';
import { isPassword, secretsOf } from './secret-keys.js';
import { type SourceDocument, sourceSchema } from './source.js';
import { sourceConfig, sourceFaults } from './source-config.js';
import { suggestion } from './suggestion.js';

export interface BusFilesOptions {
  /** The secrets were left out, as for a node that does not get them; they are empty then. */
  withoutSecrets?: boolean;
}

/**
 * Reads the files of the domain `malabar`: the inverse of documentsToFiles, with the same schema and
 * the same words. Remembers each document by its text, so that the next release costs what it changes.
 */
export class BusFilesReader {
  readonly #withoutSecrets: boolean;
  #known = new Map<string, { text: string; read: ReadDocument<unknown> }>();

  constructor({ withoutSecrets = false }: BusFilesOptions = {}) {
    this.#withoutSecrets = withoutSecrets;
  }

  /**
   * Queues, topics, schedules and sources as the services read them, release 0. Files that it does not know are not
   * its business. Throws a ConfigError with every fault.
   */
  busConfig(files: readonly config.ConfigFile[]): keeper.BusConfig {
    const { faults, ...read } = this.#read(files);
    if (faults.length === 0) return { release: 0, ...read };
    throw new ConfigError(faults.map(asConfigFault));
  }

  /** What the keeper refuses to publish. */
  faults(files: readonly config.ConfigFile[]): config.ConfigFault[] {
    const known = [QUEUES_FILE, SCHEDULES_FILE, SOURCES_FILE, SYSTEMS_FILE];
    const unknown = files.filter(({ path }) => !known.includes(path));
    const message = (path: string): string =>
      `the bus reads ${known.join(', ')}${suggestion(path, known, '/')}`;
    return [
      ...this.#read(files).faults,
      ...unknown.map(({ path }) => faultAt(path, '', '', message(path))),
    ];
  }

  #read(files: readonly config.ConfigFile[]): Documents {
    const read: Documents = { queues: [], schedules: [], sources: [], faults: [] };
    const systems = readSystems(sectionsOf(files, SYSTEMS_FILE), read.faults);
    const known = this.#known;
    this.#known = new Map();
    const documents = <T>(path: string, kind: Kind<T>): ReadDocument<T>[] =>
      sectionsOf(files, path).map((section) => {
        const [place, text] = [`${path}/${section.name}`, JSON.stringify(section)];
        const before = known.get(place);
        const one =
          before?.text === text
            ? (before.read as ReadDocument<T>)
            : readDocument(section, kind, this.#withoutSecrets);
        this.#known.set(place, { text, read: one });
        const found = [...one.faults, ...systemFaults(one, systems)];
        read.faults.push(...found.map((fault) => placed(path, one.name, fault)));
        return one;
      });
    const queues = documents(QUEUES_FILE, QUEUE);
    addDocuments(queues, documents(SCHEDULES_FILE, SCHEDULE), read);
    addSources(documents(SOURCES_FILE, SOURCE), queues, read);
    return read;
  }
}

interface Documents {
  queues: keeper.QueueConfig[];
  schedules: keeper.ScheduleConfig[];
  sources: keeper.SourceConfig[];
  faults: config.ConfigFault[];
}

/** Adds what the documents stand for, and what is wrong between them. */
function addDocuments(
  queues: ReadonlyArray<ReadDocument<keeper.QueueConfig[]>>,
  schedules: ReadonlyArray<ReadDocument<ReadSchedule>>,
  read: Documents,
): void {
  const byName = Object.fromEntries(schedules.map(({ name, document }) => [name, document]));
  const known = queues.map(({ name }) => name);
  for (const { path, message } of scheduleFaults({ schedules: byName, queues: known })) {
    const [schedule = '', ...inside] = path;
    const fault = { path: [DOCUMENT_KEY, ...inside], message };
    read.faults.push(placed(SCHEDULES_FILE, schedule, fault));
  }
  for (const queue of known) {
    const message = ownQueueFault(queue, byName);
    if (message !== undefined) read.faults.push(faultAt(QUEUES_FILE, queue, '', message));
  }
  const written = Object.fromEntries(queues.map(({ name, document }) => [name, document]));
  for (const { path, message } of resultFaults(written)) {
    const [queue = '', ...inside] = path;
    const fault = { path: [DOCUMENT_KEY, ...inside], message };
    read.faults.push(placed(QUEUES_FILE, queue, fault));
  }
  for (const { value } of queues) read.queues.push(...(value ?? []));
  for (const { value } of schedules) {
    if (value === undefined) continue;
    read.schedules.push(value.schedule);
    read.queues.push(...value.queues);
  }
  if (schedules.length > 0) read.queues.push(...schedulerQueues());
}

function addSources(
  sources: ReadonlyArray<ReadDocument<keeper.SourceConfig>>,
  queues: ReadonlyArray<{ name: string }>,
  read: Documents,
): void {
  const byName = Object.fromEntries(sources.map(({ name, document }) => [name, document]));
  const known = queues.map(({ name }) => name);
  for (const { path, message } of sourceFaults(byName, known)) {
    const [source = '', ...inside] = path;
    const fault = { path: [DOCUMENT_KEY, ...inside], message };
    read.faults.push(placed(SOURCES_FILE, source, fault));
  }
  for (const { value } of sources) if (value !== undefined) read.sources.push(value);
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

/** A kind of document, and what the services make of one. */
interface Kind<T> {
  what: string;
  schema: Field<unknown>;
  make(name: string, document: unknown): T;
}

interface ReadSchedule {
  schedule: keeper.ScheduleConfig;
  queues: keeper.QueueConfig[];
}

const QUEUE: Kind<keeper.QueueConfig[]> = {
  what: 'queue',
  schema: queueSchema,
  make: (name, document) => {
    const queue = document as QueueDocument;
    return [queueConfig(name, queue), ...callbackQueues(name, queue)];
  },
};

const SCHEDULE: Kind<ReadSchedule> = {
  what: 'schedule',
  schema: scheduleSchema,
  make: (name, document) => ({
    schedule: scheduleConfig(name, document as ScheduleDocument),
    queues: queuesOfRuns(name, document as ScheduleDocument),
  }),
};

const SOURCE: Kind<keeper.SourceConfig> = {
  what: 'source',
  schema: sourceSchema,
  make: (name, document) => sourceConfig(name, document as SourceDocument),
};

/** A document and what is wrong with it, as far as it can be told without the others. */
interface ReadDocument<T> {
  name: string;
  /** As it was written, if it is JSON. */
  document?: unknown;
  /** Undefined if something is wrong with it. */
  value?: T;
  faults: KeyFault[];
}

function readDocument<T>(
  section: config.ConfigSection,
  { what, schema, make }: Kind<T>,
  withoutSecrets: boolean,
): ReadDocument<T> {
  const { name } = section;
  const faults = [...nameFaults(what, name), ...keyFaults(section)];
  const written = section.entries.find(({ key }) => key === DOCUMENT_KEY);
  if (written === undefined) return { name, faults };
  const fail = (path: readonly string[], message: string): void =>
    void faults.push({ path: [DOCUMENT_KEY, ...path], message });
  const parsed = parseJson(written.raw);
  if (parsed === undefined) {
    fail([], 'is not JSON');
    return { name, faults };
  }
  const secrets = new Map(
    section.entries.filter(({ type }) => type === 'secret').map(({ key, raw }) => [key, raw]),
  );
  const resolved = resolve(parsed.value, [], (path, key) => {
    const text = withoutSecrets ? '' : secrets.get(key);
    if (text === undefined) fail(path, `there is no key ${key} of type secret in this section`);
    return Secret.kept(key, text ?? '');
  });
  const { data, error } = schema.safeParse(resolved);
  for (const { path, message } of faultsOf(error?.issues ?? [])) fail(path, message);
  for (const { path, secret } of secretsOf(data)) {
    const fault = secretFault(path, secret);
    if (fault !== undefined) fail(path, fault);
  }
  const document = parsed.value;
  if (data === undefined || faults.length > 0) return { name, document, faults };
  return { name, document, value: make(name, data), faults };
}

function systemFaults({ document }: ReadDocument<unknown>, systems: readonly string[]): KeyFault[] {
  const { system } = (document ?? {}) as { system?: unknown };
  if (typeof system !== 'string' || system === '' || systems.includes(system)) return [];
  return [{ path: [DOCUMENT_KEY, 'system'], message: noSystem(system, systems) }];
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
