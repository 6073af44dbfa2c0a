import type { JsonValue } from '../types.js';

/** What a JSON Schema says of a value, as far as a type of a language can say it. */
export type Shape =
  | { kind: 'any' | 'string' | 'number' | 'integer' | 'boolean' }
  | { kind: 'list'; of: Shape }
  | { kind: 'map'; of: Shape }
  | { kind: 'object'; fields: readonly ShapeField[] };

export interface ShapeField {
  name: string;
  shape: Shape;
  required: boolean;
}

const SCALARS = ['string', 'number', 'integer', 'boolean'] as const;
const ANY: Shape = { kind: 'any' };

/** References, alternatives and whatever else types cannot say become `any`. */
export function shapeOf(schema: JsonValue | undefined): Shape {
  if (!isObject(schema)) return ANY;
  const { type, items, properties, additionalProperties, required } = schema;
  const scalar = SCALARS.find((each) => each === type);
  if (scalar !== undefined) return { kind: scalar };
  if (type === 'array') return { kind: 'list', of: shapeOf(items) };
  if (type !== 'object') return ANY;
  if (!isObject(properties)) return { kind: 'map', of: shapeOf(additionalProperties) };
  const needed = Array.isArray(required) ? required : [];
  const fields = Object.entries(properties).map(([name, property]) => ({
    name,
    shape: shapeOf(property),
    required: needed.includes(name),
  }));
  return { kind: 'object', fields };
}

function isObject(value: JsonValue | undefined): value is { [name: string]: JsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
