import {
  canonicalType,
  type JsonValue,
  type TypedValue,
  type TypeName,
  unknownType,
} from '../types.js';
import { quoted, ValueError } from '../value-error.js';
import { parseValue } from '../values.js';
import type { KeySchema } from './document.js';
import type { JsonSchemas } from './json-schema.js';
import { linearPattern, type Pattern } from './pattern.js';

/** What the members of a list, set or map are, or the value itself. */
type MemberType = 'string' | 'bool' | 'int' | 'int64' | 'float64' | 'time.Duration';
type Member = string | boolean | number | bigint;
type Check = (value: TypedValue) => string[];

const MEMBERS: Readonly<Record<TypeName, MemberType | undefined>> = {
  string: 'string',
  secret: 'string',
  bool: 'bool',
  int: 'int',
  int64: 'int64',
  float64: 'float64',
  '[]string': 'string',
  '[]int': 'int',
  '[]int64': 'int64',
  '[]float64': 'float64',
  '[]bool': 'bool',
  'map[string]string': 'string',
  'map[string]int': 'int',
  'map[string]bool': 'bool',
  'map[string][]string': 'string',
  'map[int]string': 'string',
  'map[int]int': 'int',
  'map[int]bool': 'bool',
  'map[string]struct{}': 'string',
  'map[int]struct{}': 'int',
  'time.Duration': 'time.Duration',
  json: undefined,
};

/** What a schema says of one key. */
export interface KeyRule {
  type?: TypeName;
  required: boolean;
  default?: string;
  /** What is wrong with a value of that type; never the text of a secret. */
  faults(raw: string): string[];
}

/** Throws a ValueError that says what is wrong with the schema. */
export function compileRule(schema: KeySchema, json: JsonSchemas): KeyRule {
  const { type: named, required = false } = schema;
  const type = named === undefined ? undefined : canonicalType(named);
  if (named !== undefined && type === undefined) throw new ValueError(unknownType(named));
  const checks = type === undefined ? untyped(schema) : typedChecks(schema, type, json);
  const rule: KeyRule = { type, required, default: schema.default, faults: () => [] };
  if (type === undefined) return rule;
  rule.faults = (raw) => {
    const value = parseValue(type, raw);
    const faults = checks.flatMap((check) => check(value));
    // Of JSON the places are told, of a secret nothing.
    if (type === 'json') return faults;
    const subject = type === 'secret' ? 'the secret' : quoted(raw);
    return faults.map((fault) => `${subject} ${fault}`);
  };
  checkDefault(rule);
  return rule;
}

function untyped({ description, required, ...rest }: KeySchema): Check[] {
  const [first] = Object.keys(rest);
  if (first !== undefined) throw new ValueError(`'${first}' needs a 'type'`);
  return [];
}

function checkDefault(rule: KeyRule): void {
  if (rule.default === undefined) return;
  const [fault] = rule.faults(rule.default);
  if (fault !== undefined) throw new ValueError(`default: ${fault}`);
}

function typedChecks(schema: KeySchema, type: TypeName, json: JsonSchemas): Check[] {
  const member = MEMBERS[type];
  return [
    ...rangeChecks(schema, type, member),
    ...lengthChecks(schema, type),
    ...wordChecks(schema, type, member),
    ...patternChecks(schema, type, member),
    ...jsonChecks(schema, type, json),
  ];
}

function rangeChecks(
  { min, max }: KeySchema,
  type: TypeName,
  member: MemberType | undefined,
): Check[] {
  const bound = (name: string, given: number | string): number | bigint => {
    const isNumber = member !== undefined && member !== 'string' && member !== 'bool';
    if (!isNumber) throw new ValueError(`'${name}' says nothing about a ${type}`);
    return parseValue(member, String(given));
  };
  const compared = (fault: string, isOut: (value: number | bigint) => boolean) =>
    each((value) => (isOut(value as number | bigint) ? fault : undefined));
  const checks: Check[] = [];
  if (min !== undefined) {
    const least = bound('min', min);
    checks.push(compared(`is below the least, ${min}`, (value) => value < least));
  }
  if (max !== undefined) {
    const most = bound('max', max);
    checks.push(compared(`is above the most, ${max}`, (value) => value > most));
  }
  return checks;
}

function lengthChecks({ minLength = 0, maxLength }: KeySchema, type: TypeName): Check[] {
  if (minLength === 0 && maxLength === undefined) return [];
  if (['bool', 'int', 'int64', 'float64', 'time.Duration', 'json'].includes(type)) {
    throw new ValueError(`a ${type} has no length`);
  }
  const most = maxLength ?? Number.POSITIVE_INFINITY;
  return [
    (value) => {
      const length = lengthOf(value);
      if (length < minLength) return [`has a length of ${length}; at least ${minLength}`];
      return length > most ? [`has a length of ${length}; at most ${most}`] : [];
    },
  ];
}

function wordChecks(
  { enum: words }: KeySchema,
  type: TypeName,
  member: MemberType | undefined,
): Check[] {
  if (words === undefined) return [];
  if (member === undefined) throw new ValueError(`'enum' says nothing about a ${type}`);
  const allowed = new Set<Member>(words.map((word) => parseValue(member, word)));
  const fault = type === 'secret' ? 'is not allowed' : `is not one of ${words.join(', ')}`;
  return [each((value) => (allowed.has(value) ? undefined : fault))];
}

function patternChecks(
  { pattern }: KeySchema,
  type: TypeName,
  member: MemberType | undefined,
): Check[] {
  if (pattern === undefined) return [];
  if (member !== 'string') throw new ValueError(`'pattern' says nothing about a ${type}`);
  const expression = regularExpression(pattern);
  const fault = `does not match ${pattern}`;
  return [each((value) => (expression.test(String(value)) ? undefined : fault))];
}

function jsonChecks({ schema }: KeySchema, type: TypeName, json: JsonSchemas): Check[] {
  if (schema === undefined) return [];
  if (type !== 'json') throw new ValueError(`'schema' says nothing about a ${type}`);
  try {
    const check = json.compile(schema);
    return [(value) => check(value as JsonValue)];
  } catch (error) {
    throw new ValueError(`schema: ${(error as Error).message}`);
  }
}

function regularExpression(pattern: string): Pattern {
  try {
    return linearPattern(pattern);
  } catch (error) {
    throw new ValueError(`pattern: ${(error as Error).message}`);
  }
}

/** Holds every member to a check; tells of the first that fails. */
function each(check: (member: Member) => string | undefined): Check {
  return (value) => {
    for (const member of membersOf(value)) {
      const fault = check(member);
      if (fault !== undefined) return [fault];
    }
    return [];
  };
}

function membersOf(value: TypedValue): Member[] {
  if (value instanceof Map) return [...value.values()].flat();
  if (value instanceof Set) return [...value];
  if (Array.isArray(value)) return value as Member[];
  return [value as Member];
}

function lengthOf(value: TypedValue): number {
  if (value instanceof Map || value instanceof Set) return value.size;
  return Array.isArray(value) ? value.length : [...String(value)].length;
}
