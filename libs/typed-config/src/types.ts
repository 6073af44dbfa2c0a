/** A JSON value. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | JsonValue[]
  | { [name: string]: JsonValue };

/** Every type of a key, as gokeeper names it, and what a value of it is in TypeScript. */
export interface TypedValues {
  string: string;
  bool: boolean;
  /** A safe integer. */
  int: number;
  /** All 64 bits. */
  int64: bigint;
  /** Finite. */
  float64: number;
  '[]string': string[];
  '[]int': number[];
  '[]int64': bigint[];
  '[]float64': number[];
  '[]bool': boolean[];
  'map[string]string': Map<string, string>;
  'map[string]int': Map<string, number>;
  'map[string]bool': Map<string, boolean>;
  'map[string][]string': Map<string, string[]>;
  'map[int]string': Map<number, string>;
  'map[int]int': Map<number, number>;
  'map[int]bool': Map<number, boolean>;
  'map[string]struct{}': Set<string>;
  'map[int]struct{}': Set<number>;
  /** Nanoseconds. */
  'time.Duration': bigint;
  json: JsonValue;
  /** Text that is sealed at rest and masked wherever people look. */
  secret: string;
}

export type TypeName = keyof TypedValues;

export type TypedValue = TypedValues[TypeName];

/** Every type; a test keeps docs/config-schema.md true to it. */
export const TYPE_NAMES = [
  'string',
  'bool',
  'int',
  'int64',
  'float64',
  '[]string',
  '[]int',
  '[]int64',
  '[]float64',
  '[]bool',
  'map[string]string',
  'map[string]int',
  'map[string]bool',
  'map[string][]string',
  'map[int]string',
  'map[int]int',
  'map[int]bool',
  'map[string]struct{}',
  'map[int]struct{}',
  'time.Duration',
  'json',
  'secret',
] as const satisfies readonly TypeName[];

const CANONICAL: ReadonlyMap<string, TypeName> = new Map<string, TypeName>([
  ...TYPE_NAMES.map((name): [string, TypeName] => [name, name]),
  ['duration', 'time.Duration'],
]);

/** The type that a text names; `duration` is an alias of `time.Duration`. */
export function canonicalType(text: string): TypeName | undefined {
  return CANONICAL.get(text);
}

/** Why a text is no type. */
export function unknownType(text: string): string {
  return `'${text}' is not a type; one of ${TYPE_NAMES.join(', ')}`;
}
