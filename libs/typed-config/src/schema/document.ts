import type { JsonValue } from '../types.js';

/**
 * The schema of a file, as people write it in JSON; docs/config-schema.md describes it.
 */
export interface FileSchema {
  description?: string;
  /** What is known of each key, in whatever section it stands. */
  keys?: Record<string, KeySchema>;
  /** False refuses keys that are not in `keys`. */
  additional?: boolean;
  /** Every section stands for itself, DEFAULT is laid under none: each must have what is required. */
  records?: boolean;
  /** What holds for one section besides. */
  sections?: Record<string, SectionSchema>;
}

export interface SectionSchema {
  description?: string;
  /** Laid over the file's own, key by key. */
  keys?: Record<string, KeySchema>;
  additional?: boolean;
}

/** Ranges, words and patterns hold for every member of a list, set or map. */
export interface KeySchema {
  description?: string;
  type?: string;
  required?: boolean;
  /** As text, like a value in a file. Generated code has it where the key is missing. */
  default?: string;
  /** Numbers, or durations as text. */
  min?: number | string;
  max?: number | string;
  /** Characters of a text, or members of a list, set or map. */
  minLength?: number;
  maxLength?: number;
  /** Each as text. */
  enum?: string[];
  /** A regular expression of JavaScript with the flag `u`; it may match anywhere. */
  pattern?: string;
  /** JSON Schema of a `json`. */
  schema?: boolean | Record<string, JsonValue>;
}

const TEXT = { type: 'string' };
const COUNT = { type: 'integer', minimum: 0 };
const BOUND = { type: ['number', 'string'] };
const SWITCH = { type: 'boolean' };
const KEYS = {
  type: 'object',
  additionalProperties: {
    type: 'object',
    properties: {
      description: TEXT,
      type: TEXT,
      required: SWITCH,
      default: TEXT,
      min: BOUND,
      max: BOUND,
      minLength: COUNT,
      maxLength: COUNT,
      enum: { type: 'array', items: TEXT, minItems: 1 },
      pattern: TEXT,
      schema: { type: ['object', 'boolean'] },
    },
    additionalProperties: false,
  },
};

/** The JSON Schema of a FileSchema. */
export const FILE_SCHEMA = {
  type: 'object',
  properties: {
    description: TEXT,
    keys: KEYS,
    additional: SWITCH,
    records: SWITCH,
    sections: {
      type: 'object',
      additionalProperties: {
        type: 'object',
        properties: { description: TEXT, keys: KEYS, additional: SWITCH },
        additionalProperties: false,
      },
    },
  },
  additionalProperties: false,
};
