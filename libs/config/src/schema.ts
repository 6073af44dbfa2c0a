import { isPasswordHash } from '@malabar/core';
import * as z from 'zod';
import { Secret } from './secret.js';
import { suggestion } from './suggestion.js';
import {
  parseAddress,
  parseCount,
  parseDuration,
  parseSize,
  parseSwitch,
  quoted,
} from './units.js';

/**
 * The pieces that the schema of the file is made of. Code says camelCase with units
 * (`settleDelayMs`), the file says snake_case and carries the unit in the value
 * (`settle_delay: 5ms`); `section` translates, so a key is written down once.
 */

/** A schema that reads whatever YAML gives. */
export type Field<T> = z.ZodType<T, unknown>;

type Fields = Record<string, z.ZodType>;
type Section<F extends Fields> = Field<{ [K in keyof F]: z.output<F[K]> }>;

/** The key of the file for a field of the code. */
export function fileKey(field: string): string {
  return field.replace(/Ms$/, '').replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** A mapping with known keys. Issues carry the keys as the file spells them. */
export function section<F extends Fields>(fields: F): Section<F> {
  const entries = Object.entries(fields).map(([field, schema]) => [fileKey(field), schema]);
  const shape: Fields = Object.fromEntries(entries);
  const known = Object.keys(shape).filter((key) => !isLater(shape[key] as z.ZodType));
  const mapping = z.strictObject(shape, {
    error: (issue) => {
      if (issue.code === 'unrecognized_keys') return unknownKeys(issue.keys as string[], known);
      return issue.code === 'invalid_type' ? notAMapping(issue.input) : undefined;
    },
  });
  const spelled = z
    .preprocess((value) => value ?? {}, mapping)
    .transform((values) => {
      const named = Object.keys(fields).map((field) => [field, values[fileKey(field)]]);
      return Object.fromEntries(named.filter(([, value]) => value !== undefined));
    });
  return spelled as unknown as Section<F>;
}

/**
 * A mapping from names that the user chooses. `what` says of what, for messages; `missing` is the
 * fault if there is none, an empty mapping without it.
 */
export function named<T>(
  what: string,
  schema: Field<T>,
  missing?: string,
): Field<Record<string, T>> {
  const name = z.string().check((context) => {
    const message = nameFault(what, context.value);
    if (message === undefined) return;
    context.issues.push({ code: 'custom', message, input: context.value });
  });
  const record = z.record(name, schema, {
    error: (issue) => (issue.code === 'invalid_type' ? notAMapping(issue.input) : undefined),
  });
  const present = (value: unknown, context: z.RefinementCtx): unknown => {
    if (value !== undefined && value !== null) return value;
    if (missing !== undefined) fail(context, missing);
    return {};
  };
  return z.preprocess(present, record) as Field<Record<string, T>>;
}

/** A list with at least one item; `what` says of what, for messages. */
export function list<T>(what: string, item: Field<T>): Field<T[]> {
  const items = z.array(item, {
    error: ({ input }) => {
      if (input === undefined || input === null) return 'is required';
      return `${quoted(input)} is not a list of ${what}`;
    },
  });
  return items.min(1, { error: `is empty; it is a list of ${what}` });
}

/** One value, read by a parser that throws a TypeError with the reason. */
export function scalar<T>(type: string, parse: (value: unknown) => T): Field<T> {
  const schema = z.unknown().transform((value, context) => {
    if (value === undefined || value === null) return fail(context, 'is required');
    try {
      return parse(value);
    } catch (error) {
      if (error instanceof TypeError) return fail(context, error.message);
      throw error;
    }
  });
  return schema.meta({ type }) as Field<T>;
}

/** A key whose feature a later version brings: using it is a fault, never ignored. */
export function later(): z.ZodOptional<z.ZodNever> {
  return z.never({ error: 'not supported yet' }).optional();
}

/** Whether the key is one of `later`. */
export function isLater(schema: z.ZodType): boolean {
  return schema instanceof z.ZodOptional && schema.unwrap() instanceof z.ZodNever;
}

/** One of a few words. */
export function oneOf<const W extends readonly string[]>(...words: W): Field<W[number]> {
  return scalar(words.map((word) => `\`${word}\``).join(', '), (value) => {
    if (typeof value === 'string' && words.includes(value)) return value;
    const hint = typeof value === 'string' ? suggestion(value, words) : '';
    throw new TypeError(`${quoted(value)} is not one of ${words.join(', ')}${hint}`);
  });
}

/** A whole number within bounds. */
export function count(least = 0, most?: number): Field<number> {
  return scalar('count', (value) => parseCount(value, least, most));
}

export const duration = scalar('duration', parseDuration);

export const size = scalar('size', parseSize);

export const onOff = scalar('true or false', parseSwitch);

/** Where to listen. */
export const listen = scalar('host:port', (value) => parseAddress(value));

/** Where something else listens; several in a list or separated by commas. */
export const addresses = scalar('list of host:port', (value) => {
  const list = typeof value === 'string' ? value.split(',').map((part) => part.trim()) : value;
  if (!Array.isArray(list) || list.length === 0) {
    throw new TypeError(`${quoted(value)} is not a list of host:port`);
  }
  return list.map((address) => parseAddress(address, 1));
});

export const text = scalar('text', (value) => {
  if (typeof value !== 'string')
    throw new TypeError(`${quoted(value)} is not text; put it in quotes`);
  if (value === '') throw new TypeError('is empty');
  return value;
});

/** What the keeper can know an instance or a zone by. */
export const name = scalar('name', (value) => {
  if (typeof value === 'string' && /^[A-Za-z0-9_.:@-]{1,128}$/.test(value)) return value;
  throw new TypeError(`${quoted(value)} is not a name: 1 to 128 of A-Z a-z 0-9 _ . : @ -`);
});

/** A fraction from 0 to 1. */
export const fraction = scalar('0 to 1', (value) => {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof number === 'number' && number >= 0 && number <= 1) return number;
  throw new TypeError(`${quoted(value)} is not a number from 0 to 1`);
});

/** A secret; its value is never part of a message. */
export const secret = scalar('secret', readSecret);

/** A secret, or a TypeError with the reason why it is none. */
export function readSecret(value: unknown): Secret {
  if (value instanceof Secret) return value;
  if (typeof value === 'string') {
    if (value !== '') return Secret.inline(value);
    throw new TypeError('is empty; leave the key out for no secret');
  }
  if (typeof value !== 'object') {
    throw new TypeError('is read by YAML as something else than text; put it in quotes');
  }
  const keys = Object.keys(value as object);
  const source = (value as { secret?: unknown }).secret;
  if (keys.length !== 1 || typeof source !== 'string' || !/^(file:.+|env:\w+)$/.test(source)) {
    throw new TypeError('is not text, { secret: file:/path } or { secret: env:NAME }');
  }
  return Secret.reference(source);
}

/** A password: a secret, or the hash of one. */
export const password = scalar('secret', (value) => {
  if (typeof value === 'string' && value.startsWith('scrypt$') && !isPasswordHash(value)) {
    throw new TypeError(
      'begins with scrypt$ and is not a hash that we know; `malabar config hash-password` makes one',
    );
  }
  return readSecret(value);
});

/** Adds a fault to the value that is being read. */
export function fail(context: z.RefinementCtx, message: string, path: string[] = []): never {
  context.addIssue({ code: 'custom', message, path });
  return z.NEVER;
}

/** What is wrong with the name of a queue, a topic and so on. */
export function nameFault(what: string, name: string): string | undefined {
  const of = `a name of a ${what}`;
  if (name.length === 0 || name.length > 128) return `${of} has 1 to 128 characters`;
  // The first two would walk in URLs and paths; the last is the section that others inherit.
  if (name === '.' || name === '..' || name === 'DEFAULT') return `${of} cannot be '${name}'`;
  return /^[A-Za-z0-9_.-]+$/.test(name) ? undefined : `${of} has only letters, digits, _ . -`;
}

// One line per key, in the order of the keys: faultsOf() gives each its own place.
function unknownKeys(keys: string[], known: string[]): string {
  return keys.map((key) => `unknown key${suggestion(key, known)}`).join('\n');
}

function notAMapping(value: unknown): string {
  return value === undefined ? 'is required' : `${quoted(value)} is not a mapping of keys`;
}
