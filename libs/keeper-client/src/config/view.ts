import type { config } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import {
  canonicalType,
  type JsonValue,
  parseValue,
  type TypedValue,
  type TypedValues,
  type TypeName,
} from '@malabar/typed-config';

/** Where the values of a view come from; `override` if the operator's file changes any of them. */
export type ConfigSource = 'keeper' | 'snapshot' | 'override';

/** One value that a program runs with. */
export interface ConfigValue {
  /** Name of the effective file: `redis` for `/redis.conf`; the path for a verbatim subscription. */
  readonly file: string;
  /** Empty unless the subscription is verbatim. */
  readonly section: string;
  readonly key: string;
  readonly type: TypeName;
  /** As text. */
  readonly raw: string;
  readonly value: TypedValue;
}

/** What an operator's file puts over a value of the keeper. */
export interface Override {
  file: string;
  section: string;
  key: string;
  raw: string;
}

/** Values of a domain, whole and unchanging. */
export class EffectiveView {
  readonly domain: string;
  readonly release: number;
  readonly checksum: string;
  readonly source: ConfigSource;
  /** The values that the operator's file has put there, e.g. `redis/timeout`. */
  readonly overridden: readonly string[];
  readonly #values: ReadonlyMap<string, ConfigValue>;

  private constructor(
    { domain, release, checksum }: config.EffectiveConfig,
    values: ReadonlyMap<string, ConfigValue>,
    { source, overridden }: { source: ConfigSource; overridden: readonly string[] },
  ) {
    this.domain = domain;
    this.release = release;
    this.checksum = checksum;
    this.source = overridden.length > 0 ? 'override' : source;
    this.overridden = overridden;
    this.#values = values;
  }

  /**
   * Reads a config, with overrides laid over it. Throws INVALID, naming the key, if a value does not
   * parse. Values that are as in `before` are taken from there instead of being parsed anew.
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
    const values = new Map<string, ConfigValue>();
    for (const file of effective.files) {
      for (const value of file.values) {
        const place = { file: file.name, section: file.section, key: value.key };
        add(values, place, value, before);
      }
    }
    for (const { raw, ...place } of overrides) {
      const type = values.get(idOf(place))?.type ?? 'string';
      add(values, place, { type, raw }, before);
    }
    const overridden = overrides.map(placeName);
    return new EffectiveView(effective, values, { source, overridden });
  }

  /** Every value, by file, section and key. */
  get values(): Iterable<ConfigValue> {
    return this.#values.values();
  }

  /** One value with its type; undefined if there is none. */
  find(file: string, key: string, section = ''): ConfigValue | undefined {
    return this.#values.get(idOf({ file, section, key }));
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

type Place = Pick<ConfigValue, 'file' | 'section' | 'key'>;

/** A value's place for people: `redis/timeout`, or `/queues.conf[orders]/document` if verbatim. */
export function placeName({ file, section, key }: Place): string {
  return section === '' ? `${file}/${key}` : `${file}[${section}]/${key}`;
}

function idOf({ file, section, key }: Place): string {
  return `${file}\n${section}\n${key}`;
}

function add(
  values: Map<string, ConfigValue>,
  place: Place,
  { type: typeText, raw }: { type: string; raw: string },
  before: EffectiveView | undefined,
): void {
  const known = before?.find(place.file, place.key, place.section);
  const same = known?.type === typeText && known.raw === raw;
  values.set(idOf(place), same ? known : parsed(place, typeText, raw));
}

function parsed(place: Place, typeText: string, raw: string): ConfigValue {
  const type = canonicalType(typeText);
  if (type === undefined) {
    throw new BusError('INVALID', `${placeName(place)}: this client knows no type '${typeText}'`);
  }
  try {
    return { ...place, type, raw, value: parseValue(type, raw) };
  } catch (error) {
    throw new BusError('INVALID', `${placeName(place)}: ${(error as Error).message}`);
  }
}
