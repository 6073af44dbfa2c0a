import { BusError } from '@malabar/core';
import { canonicalType, parseValue, type TypedValue, type TypeName } from '@malabar/typed-config';

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

export type Place = Pick<ConfigValue, 'file' | 'section' | 'key'>;

/** A value's place for people: `redis/timeout`, or `/queues.conf[orders]/document` if verbatim. */
export function placeName({ file, section, key }: Place): string {
  return section === '' ? `${file}/${key}` : `${file}[${section}]/${key}`;
}

/** Parses a value. Throws INVALID, naming its place. */
export function readValue(
  { file, section }: Omit<Place, 'key'>,
  { key, type: typeText, raw }: { key: string; type: string; raw: string },
): ConfigValue {
  const place = { file, section, key };
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
