import { parseDuration } from './duration.js';
import { parseJson } from './json-text.js';
import { boolOf, intOf, parseBool, parseFloat64, parseInt10, parseInt64 } from './scalars.js';
import type { TypedValue, TypedValues, TypeName } from './types.js';
import { quoted, ValueError } from './value-error.js';

type Parse<T> = (raw: string) => T;

/** How each type reads its text: gokeeper's rules, without trimming and without escapes. */
const PARSERS: { readonly [T in TypeName]: Parse<TypedValues[T]> } = {
  string: (raw) => raw,
  bool: parseBool,
  int: parseInt10,
  int64: parseInt64,
  float64: parseFloat64,
  // Not a list like the others: gokeeper reads an empty text as one empty string.
  '[]string': (raw) => raw.split(','),
  '[]int': list(parseInt10),
  '[]int64': list(parseInt64),
  '[]float64': list(parseFloat64),
  '[]bool': list(parseBool),
  'map[string]string': map(',', text, text),
  'map[string]int': map(',', text, parseInt10),
  'map[string]bool': (raw) => new Map(tokens(raw).map(switchOf)),
  'map[string][]string': map(';', text, (raw) => raw.split(',')),
  'map[int]string': map(',', parseInt10, text),
  'map[int]int': map(',', parseInt10, parseInt10),
  'map[int]bool': (raw) => new Map(tokens(raw).map(switchOf).flatMap(withIntKey)),
  'map[string]struct{}': (raw) => new Set(tokens(raw)),
  'map[int]struct{}': (raw) => new Set(list(parseInt10)(raw)),
  'time.Duration': parseDuration,
  json: parseJson,
  secret: (raw) => raw,
};

/** The value that a text stands for. Throws a ValueError that says why it is none of that type. */
export function parseValue<T extends TypeName>(type: T, raw: string): TypedValues[T] {
  if (raw.includes('\0')) throw new ValueError('a value has no NUL in it');
  if (/\p{Surrogate}/u.test(raw)) throw new ValueError('a value is well-formed Unicode');
  return PARSERS[type](raw);
}

/** Why a text is no value of the type; undefined if it is one. */
export function valueFault(type: TypeName, raw: string): string | undefined {
  try {
    parseValue(type, raw);
    return undefined;
  } catch (error) {
    if (error instanceof ValueError) return error.message;
    throw error;
  }
}

/**
 * The value as JSON, as EffectiveValue.json says it: a duration in nanoseconds, a set as an object
 * of empty objects, all digits of an int64, a `json` as it is written.
 */
export function toJson(type: TypeName, raw: string): string {
  const value = parseValue(type, raw);
  if (type === 'json') return raw.trim() || 'null';
  return jsonOf(value);
}

/** What gokeeper reads silently in a way that its author can hardly mean. */
export function valueWarnings(type: TypeName, raw: string): string[] {
  if (type === 'map[string]bool') return tokens(raw).flatMap(oddSwitch);
  if (type === 'map[int]bool') return tokens(raw).flatMap(skippedSwitch);
  return [];
}

function text(raw: string): string {
  return raw;
}

function tokens(raw: string): string[] {
  return raw === '' ? [] : raw.split(',');
}

function list<T>(parse: Parse<T>): Parse<T[]> {
  return (raw) => tokens(raw).map(parse);
}

function map<K, V>(separator: string, key: Parse<K>, value: Parse<V>): Parse<Map<K, V>> {
  return (raw) => {
    const entries = raw === '' ? [] : raw.split(separator);
    return new Map(
      entries.map((entry): [K, V] => {
        const colon = entry.indexOf(':');
        if (colon === -1) throw new ValueError(`${quoted(entry)} has no ':' between key and value`);
        return [key(entry.slice(0, colon)), value(entry.slice(colon + 1))];
      }),
    );
  };
}

/** `a` and `a:true` are true, `a:false` is false; of any other text the whole is the key. */
function switchOf(token: string): [key: string, on: boolean] {
  const [key = '', word, ...more] = token.split(':');
  const on = word === undefined || more.length > 0 ? undefined : boolOf(word);
  return on === undefined ? [token, true] : [key, on];
}

/** None where the key is no int: gokeeper skips such a token. */
function withIntKey([key, on]: [string, boolean]): [number, boolean][] {
  const number = intOf(key);
  return number === undefined ? [] : [[number, on]];
}

function oddSwitch(token: string): string[] {
  const isOdd = token.includes(':') && switchOf(token)[0] === token;
  return isOdd ? [`${quoted(token)} is not key:bool, so the key ${quoted(token)} is true`] : [];
}

function skippedSwitch(token: string): string[] {
  const isSkipped = withIntKey(switchOf(token)).length === 0;
  return isSkipped ? [`${quoted(token)} is not int or int:bool and is left out`] : [];
}

function jsonOf(value: TypedValue): string {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Set) return object([...value].map((key) => [key, '{}']));
  if (value instanceof Map) return object([...value].map(([key, each]) => [key, jsonOf(each)]));
  if (Array.isArray(value)) return `[${value.map((each) => jsonOf(each)).join(',')}]`;
  return JSON.stringify(value);
}

function object(entries: readonly [key: string | number, json: string][]): string {
  return `{${entries.map(([key, json]) => `${JSON.stringify(String(key))}:${json}`).join(',')}}`;
}
