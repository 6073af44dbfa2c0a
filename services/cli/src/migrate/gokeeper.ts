import type { config } from '@malabar/contracts';
import type { EtcdEntry } from '@malabar/etcd';
import {
  canonicalType,
  DEFAULT_SECTION,
  domainFault,
  faultAt,
  reviewFiles,
  validateFiles,
} from '@malabar/typed-config';
import { type GokeeperPlace, gokeeperPlace } from './gokeeper-place.js';

/** Below this lies everything that gokeeper keeps of its configuration. */
export const CONF = '/gokeeper/conf/';
export const VERSIONS = '/gokeeper/version/current/';
/** Below this lie its instances and what was decided about them. */
export const DISCOVERY = '/discovery/';

const NO_LIMITS = { keys: Infinity, files: Infinity, value: Infinity };

/** A domain of gokeeper as it would be here. */
export interface GokeeperDomain {
  name: string;
  /** Its number at gokeeper; 0 if it has none. */
  version: number;
  files: config.ConfigFile[];
  /** What cannot be taken over as it is. */
  faults: config.ConfigFault[];
  /** What was read in its evident meaning, and what is questionable. */
  warnings: config.ConfigFault[];
}

/** The version record of a domain, and the revision that gokeeper reads it at. */
interface Version {
  version: number;
  revision: number;
}

/** The value that gokeeper writes under a key, as far as it is needed. */
interface Stored {
  key: string;
  type: string;
  raw: string;
}

/** Reads what gokeeper has in its etcd, by domain. Nothing is left out without a word. */
export function readGokeeper(entries: readonly EtcdEntry[]): GokeeperDomain[] {
  const versions = new Map<string, Version>();
  const domains = new Map<string, DomainReader>();
  const reader = (name: string): DomainReader => {
    const known = domains.get(name) ?? new DomainReader(name, versions.get(name));
    domains.set(name, known);
    return known;
  };
  for (const { key, value } of below(VERSIONS, entries)) versions.set(key, readVersion(value));
  for (const name of versions.keys()) reader(name);
  for (const { key, value, revision } of below(CONF, entries)) {
    const slash = key.indexOf('/');
    reader(slash < 0 ? key : key.slice(0, slash)).add(key.slice(slash + 1), value, revision);
  }
  return [...domains.values()]
    .map((domain) => domain.result())
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The names of services about which gokeeper's discovery keeps decisions, which have no place here. */
export function decidedServices(entries: readonly EtcdEntry[]): string[] {
  return below(DISCOVERY, entries).flatMap(
    ({ key }) => /^(.+)\/property\/backend\/?$/.exec(key)?.[1] ?? [],
  );
}

function below(prefix: string, entries: readonly EtcdEntry[]): EtcdEntry[] {
  return entries
    .filter(({ key }) => key.startsWith(prefix))
    .map((entry) => ({ ...entry, key: entry.key.slice(prefix.length) }));
}

class DomainReader {
  readonly #faults: config.ConfigFault[] = [];
  readonly #warnings: config.ConfigFault[] = [];
  readonly #found: Array<{ place: GokeeperPlace; stored: Stored }> = [];

  constructor(
    private readonly name: string,
    private readonly version: Version | undefined,
  ) {
    const fault = domainFault(name);
    if (fault !== undefined) this.#faults.push(faultAt({ file: '' }, fault));
    if (version === undefined)
      this.#warnings.push(faultAt({ file: '' }, 'has no version, so gokeeper does not list it'));
  }

  /** One key below the domain's own. */
  add(path: string, value: Buffer, revision: number): void {
    const stored = readStored(value);
    const place = gokeeperPlace(path, stored?.key);
    if (place === undefined)
      this.#faults.push(faultAt({ file: `/${path}` }, 'is no key of a file that ends with .conf'));
    else if (stored === undefined)
      this.#faults.push(faultAt(place, 'its value is not what gokeeper writes'));
    else this.#take(place, stored, revision);
  }

  #take(place: GokeeperPlace, stored: Stored, revision: number): void {
    const { file, section, key, warning } = place;
    const at = { file, section, key };
    if (warning !== undefined) this.#warnings.push(faultAt(at, warning));
    const late = this.version !== undefined && revision > this.version.revision;
    if (late)
      this.#warnings.push(faultAt(at, 'is newer than the version that gokeeper gives to nodes'));
    this.#found.push({ place, stored });
  }

  result(): GokeeperDomain {
    const files = this.#files();
    const faults = [...this.#faults, ...validateFiles(files, NO_LIMITS)];
    const warnings = [...this.#warnings, ...reviewFiles(files)];
    // gokeeper keeps the name of a domain that was deleted.
    if (this.#found.length + faults.length === 0)
      warnings.push(faultAt({ file: '' }, 'has no keys; not taken over'));
    return { name: this.name, version: this.version?.version ?? 0, files, faults, warnings };
  }

  #files(): config.ConfigFile[] {
    const files = new Map<string, Map<string, Map<string, config.ConfigEntry>>>();
    // What gokeeper showed comes before what it did not.
    const found = this.#found.sort((a, b) => Number(!!a.place.warning) - Number(!!b.place.warning));
    for (const { place, stored } of found) {
      const { file, section, key } = place;
      const sections = files.get(file) ?? new Map<string, Map<string, config.ConfigEntry>>();
      const entries = sections.get(section) ?? new Map<string, config.ConfigEntry>();
      files.set(file, sections.set(section, entries));
      if (!entries.has(key)) entries.set(key, { key, type: stored.type, raw: stored.raw });
      else this.#warnings.push(faultAt({ file, section, key }, 'is there twice; left out here'));
    }
    return [...files].sort(byName).map(([path, sections]) => ({
      path,
      sections: [...sections].sort(bySection).map(([name, entries]) => ({
        name,
        entries: [...entries].sort(byName).map(([, entry]) => entry),
      })),
      parent: '',
      schema: '',
    }));
  }
}

const byName = ([a]: [string, unknown], [b]: [string, unknown]): number => (a < b ? -1 : 1);

const bySection = ([a]: [string, unknown], [b]: [string, unknown]): number =>
  Number(b === DEFAULT_SECTION) - Number(a === DEFAULT_SECTION) || (a < b ? -1 : 1);

function readVersion(value: Buffer): Version {
  const { version = 0, etcd_version: revision } = parsed(value) ?? {};
  return { version: Number(version), revision: Number(revision) || Number.POSITIVE_INFINITY };
}

function readStored(value: Buffer): Stored | undefined {
  const { key, type, raw_value: raw, is_json: isJson } = parsed(value) ?? {};
  if (typeof key !== 'string' || typeof raw !== 'string') return undefined;
  const named = typeof type === 'string' && type !== '' ? type : 'string';
  return { key, type: canonicalType(named) ?? (isJson ? 'json' : named), raw };
}

function parsed(value: Buffer): Record<string, unknown> | undefined {
  try {
    const json: unknown = JSON.parse(value.toString());
    return typeof json === 'object' && json !== null
      ? (json as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
