import type { config } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { type FileIndex, indexFiles, inheritedDefault } from '../inheritance.js';
import { baseName } from '../names.js';
import { readSchema } from '../schema/compile.js';
import type { FileSchema, KeySchema } from '../schema/document.js';
import { canonicalType, type TypeName } from '../types.js';
import { toJson } from '../values.js';
import { type Shape, shapeOf } from './shape.js';

/** A key that programs read. */
export interface Field {
  key: string;
  type: TypeName;
  description: string;
  /** Of a `json`. */
  shape: Shape;
  /** Whoever subscribes to a file of the struct has the key, or its default. */
  always: boolean;
  /** JSON of the value where the key is missing. */
  default?: string;
}

/** All files of one base name: what gokeeper calls a struct. */
export interface Struct {
  name: string;
  files: readonly string[];
  /** By key. */
  fields: readonly Field[];
}

/** What is known of a key before it is a field. */
interface FoundKey {
  type?: TypeName;
  where: string;
  schema: KeySchema;
}

/** By name. Throws INVALID if a key has two types in files of one base name. */
export function structsOf(files: readonly config.ConfigFile[]): Struct[] {
  const index = indexFiles(files);
  const groups = new Map<string, config.ConfigFile[]>();
  for (const file of files) {
    const name = baseName(file.path);
    groups.set(name, [...(groups.get(name) ?? []), file]);
  }
  return [...groups]
    .map(([name, group]) => structOf(name, group, index))
    .filter(({ fields }) => fields.length > 0)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function structOf(name: string, files: readonly config.ConfigFile[], index: FileIndex): Struct {
  const found = new Map<string, FoundKey>();
  for (const file of files) addSchema(found, file);
  for (const file of files) addEntries(found, file);
  const fields = [...found]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([key, { type, schema }]) => (type ? [fieldOf(key, type, schema)] : []));
  const chains = files.map(({ path }) => inheritedDefault(index, path));
  const isEverywhere = (key: string) => chains.every((values) => values.has(key));
  return {
    name,
    files: files.map(({ path }) => path).sort(),
    fields: fields.map((field) => ({ ...field, always: field.always || isEverywhere(field.key) })),
  };
}

function fieldOf(key: string, type: TypeName, schema: KeySchema): Field {
  return {
    key,
    type,
    description: schema.description ?? '',
    shape: shapeOf(schema.schema),
    always: schema.required === true || schema.default !== undefined,
    default: schema.default === undefined ? undefined : toJson(type, schema.default),
  };
}

function addSchema(found: Map<string, FoundKey>, file: config.ConfigFile): void {
  const { keys = {}, sections = {} }: FileSchema = file.schema ? readSchema(file.schema) : {};
  const optional = Object.values(sections).flatMap((section) =>
    Object.entries(section.keys ?? {}).map(([key, schema]): [string, KeySchema] => [
      key,
      // What one section must have, a node without that section has not.
      { ...schema, required: false, default: undefined },
    ]),
  );
  for (const [key, schema] of [...optional, ...Object.entries(keys)]) {
    const type = schema.type === undefined ? undefined : canonicalType(schema.type);
    add(found, key, { type, where: `the schema of ${file.path}`, schema });
  }
}

function addEntries(found: Map<string, FoundKey>, file: config.ConfigFile): void {
  for (const section of file.sections) {
    for (const { key, type } of section.entries) {
      const where = `${file.path} [${section.name}]`;
      add(found, key, { type: canonicalType(type), where, schema: {} });
    }
  }
}

function add(found: Map<string, FoundKey>, key: string, now: FoundKey): void {
  const earlier = found.get(key);
  if (earlier?.type !== undefined && now.type !== undefined && earlier.type !== now.type) {
    const types = `${earlier.type} in ${earlier.where} and ${now.type} in ${now.where}`;
    throw new BusError('INVALID', `key '${key}' has two types: ${types}`);
  }
  const schema = { ...earlier?.schema, ...now.schema };
  found.set(key, { type: earlier?.type ?? now.type, where: earlier?.where ?? now.where, schema });
}
