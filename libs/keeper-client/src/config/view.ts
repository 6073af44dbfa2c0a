import type { config } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { JsonValue, TypedValue, TypedValues, TypeName } from '@malabar/typed-config';
import { ChangeSet, changesOf, type Values } from './changes.js';
import { type ConfigValue, type Override, type Place, placeName, readValue } from './values.js';

/** Where the values of a view come from; `override` if the operator's file changes any of them. */
export type ConfigSource = 'keeper' | 'snapshot' | 'override';

/** Values of a domain, whole and unchanging. */
export class EffectiveView {
  readonly domain: string;
  readonly release: number;
  readonly checksum: string;
  readonly source: ConfigSource;
  /** The values that the operator's file has put there, e.g. `redis/timeout`. */
  readonly overridden: readonly string[];

  private constructor(
    { domain, release, checksum }: config.EffectiveConfig,
    /** As the keeper has it. */
    private readonly base: Files,
    /** As it is in force. */
    private readonly files: Files,
    { source, overridden }: { source: ConfigSource; overridden: readonly string[] },
  ) {
    this.domain = domain;
    this.release = release;
    this.checksum = checksum;
    this.source = overridden.length > 0 ? 'override' : source;
    this.overridden = overridden;
  }

  /**
   * Reads a config, with overrides laid over it. Throws INVALID, naming the key, if a value does not
   * parse. Values that are as in `before` are the same objects as there.
   */
  static of(
    effective: config.EffectiveConfig,
    options: {
      source: 'keeper' | 'snapshot';
      overrides?: readonly Override[];
      before?: EffectiveView;
    },
  ): EffectiveView {
    const { source, overrides = [], before } = options;
    const files: Files = new Map();
    for (const { name: file, section, values } of effective.files) {
      const place = { file, section };
      const known = before?.base.get(fileId(place));
      const now = valuesOf(files, place);
      for (const value of values) {
        now.set(value.key, asBefore(known?.get(value.key), value) ?? readValue(place, value));
      }
    }
    const overridden = overrides.map(placeName);
    return new EffectiveView(effective, files, laidOver(files, overrides), { source, overridden });
  }

  /** The config that was read, without overrides; only what a node needs of it. */
  toConfig(): config.EffectiveConfig {
    const { domain, release, checksum } = this;
    const files = [...this.base].map(([id, values]) => {
      const [name = '', section = ''] = id.split('\n');
      return { name, section, values: [...values.values()].map(toEffectiveValue) };
    });
    return { domain, release, checksum, files };
  }

  /** Every value, by file, section and key. */
  *values(): IterableIterator<ConfigValue> {
    for (const values of this.files.values()) yield* values.values();
  }

  /** The files of verbatim subscriptions, section by section, as they stand in the domain. */
  verbatimFiles(): config.ConfigFile[] {
    const files = new Map<string, config.ConfigFile>();
    for (const values of this.files.values()) {
      for (const { file: path, section: name, key, type, raw } of values.values()) {
        const file = files.get(path) ?? { path, sections: [], parent: '', schema: '' };
        files.set(path, file);
        if (file.sections.at(-1)?.name !== name) file.sections.push({ name, entries: [] });
        file.sections.at(-1)?.entries.push({ key, type, raw });
      }
    }
    return [...files.values()];
  }

  /** One value with its type; undefined if there is none. */
  find(file: string, key: string, section = ''): ConfigValue | undefined {
    return this.files.get(fileId({ file, section }))?.get(key);
  }

  /** What differs from an earlier view; without one, everything is added. */
  changesFrom(before: EffectiveView | undefined): ChangeSet {
    const files = before?.files ?? new Map<string, Values>();
    const changes = [...this.files].map(([id, now]) => changesOf(files.get(id) ?? NOTHING, now));
    for (const [id, was] of files) {
      if (!this.files.has(id)) changes.push(changesOf(was, NOTHING));
    }
    return new ChangeSet(changes.flat());
  }

  /** The value as its type says; undefined if there is none. */
  get(file: string, key: string, section = ''): TypedValue | undefined {
    return this.find(file, key, section)?.value;
  }

  /** The value, which must be of that type. Throws NOT_FOUND or INVALID, naming the key. */
  read<T extends TypeName>(type: T, file: string, key: string, section = ''): TypedValues[T] {
    const found = this.find(file, key, section);
    const name = `${this.domain}: ${placeName({ file, section, key })}`;
    if (found === undefined) throw new BusError('NOT_FOUND', `${name} is not there`);
    if (found.type !== type) {
      throw new BusError('INVALID', `${name} is of type ${found.type}, not ${type}`);
    }
    return found.value as TypedValues[T];
  }

  string(file: string, key: string, section?: string): string {
    return this.read('string', file, key, section);
  }

  bool(file: string, key: string, section?: string): boolean {
    return this.read('bool', file, key, section);
  }

  int(file: string, key: string, section?: string): number {
    return this.read('int', file, key, section);
  }

  float64(file: string, key: string, section?: string): number {
    return this.read('float64', file, key, section);
  }

  /** A `time.Duration`, in milliseconds. */
  durationMs(file: string, key: string, section?: string): number {
    return Number(this.read('time.Duration', file, key, section)) / 1e6;
  }

  json(file: string, key: string, section?: string): JsonValue {
    return this.read('json', file, key, section);
  }

  secret(file: string, key: string, section?: string): string {
    return this.read('secret', file, key, section);
  }
}

function laidOver(base: Files, overrides: readonly Override[]): Files {
  if (overrides.length === 0) return base;
  const files: Files = new Map([...base].map(([id, values]) => [id, new Map(values)]));
  for (const override of overrides) {
    const values = valuesOf(files, override);
    const type = values.get(override.key)?.type ?? 'string';
    values.set(override.key, readValue(override, { ...override, type }));
  }
  return files;
}

function toEffectiveValue({ key, type, raw }: ConfigValue): config.EffectiveValue {
  return { key, type, raw, json: '', file: '', section: '' };
}

type Written = Pick<config.EffectiveValue, 'key' | 'type' | 'raw'>;

/** Most values of a release are as they were: they are neither parsed nor kept twice. */
function asBefore(known: ConfigValue | undefined, { type, raw }: Written): ConfigValue | undefined {
  return known?.raw === raw && known.type === type ? known : undefined;
}

/** By file and section. */
type Files = Map<string, Map<string, ConfigValue>>;

const NOTHING: Values = new Map();

function fileId({ file, section }: Omit<Place, 'key'>): string {
  return section === '' ? file : `${file}\n${section}`;
}

function valuesOf(files: Files, place: Omit<Place, 'key'>): Map<string, ConfigValue> {
  const id = fileId(place);
  const known = files.get(id);
  if (known !== undefined) return known;
  const values = new Map<string, ConfigValue>();
  files.set(id, values);
  return values;
}
