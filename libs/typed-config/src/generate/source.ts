import { BusError } from '@malabar/core';
import type { Field, Struct } from './model.js';

/** A file of generated code. */
export interface GeneratedFile {
  /** Below the folder of the generated code. */
  path: string;
  text: string;
}

/** What the user of generated code decides. */
export interface GenerateOptions {
  /** Go's package, default `data`; PHP's namespace, default `Config`. */
  package?: string;
}

/** Everything that a generator needs to know of a field. */
export interface NamedField extends Field {
  name: string;
}

/** The fields with their names in a language; throws INVALID if two keys get one name. */
export function nameFields(struct: Struct, nameOf: (key: string) => string): NamedField[] {
  const names = unique(struct.name, struct.fields, ({ key }) => nameOf(key));
  return struct.fields.map((field, index) => ({ ...field, name: names[index] as string }));
}

/** Names that are all different; throws INVALID if two things get one name. */
export function unique<T extends { key: string } | { name: string }>(
  where: string,
  things: readonly T[],
  nameOf: (thing: T) => string,
): string[] {
  const owners = new Map<string, string>();
  return things.map((thing) => {
    const own = 'key' in thing ? thing.key : thing.name;
    const name = nameOf(thing);
    const other = owners.get(name);
    if (other !== undefined) {
      throw new BusError('INVALID', `${where}: '${other}' and '${own}' would both be ${name}`);
    }
    owners.set(name, own);
    return name;
  });
}

/** Text for a comment: one line, and no end of a comment in it. */
export function commentText(text: string): string {
  return text.replace(/\s+/g, ' ').replaceAll('*/', '* /').trim();
}

/** What a reader of the generated code should know of a field. */
export function fieldComment({ key, type, description }: Field, unit = ''): string {
  const parts = [commentText(description), type === 'time.Duration' ? unit : '', `Key: ${key}.`];
  return parts.filter((part) => part !== '').join(' ');
}

export function indented(text: string, indent: string): string {
  return text.replace(/^(?=.)/gm, indent);
}
