import type { config } from '@malabar/contracts';
import { faultAt } from '../fault.js';
import {
  type FileIndex,
  indexFiles,
  inheritanceChain,
  inheritedDefault,
  type PlacedEntry,
} from '../inheritance.js';
import { DEFAULT_SECTION } from '../names.js';
import { canonicalType } from '../types.js';
import { ValueError } from '../value-error.js';
import { type CompiledSchema, SchemaCompiler, type SectionRules } from './compile.js';

/**
 * What schemas have against a content whose values parse. A file without a schema is held to the
 * one of the nearest file that it inherits from.
 */
export function schemaFaults(files: readonly config.ConfigFile[]): config.ConfigFault[] {
  const owners = files.filter(({ schema }) => schema !== '');
  if (owners.length === 0) return [];
  const compiler = new SchemaCompiler();
  const index = indexFiles(files);
  const schemas = new Map<string, CompiledSchema>();
  const faults = owners.flatMap((file) => {
    try {
      schemas.set(file.path, compiler.compile(file.schema));
      return [];
    } catch (error) {
      if (!(error instanceof ValueError)) throw error;
      return [faultAt({ file: file.path, key: 'schema' }, `schema: ${error.message}`)];
    }
  });
  return [...faults, ...files.flatMap((file) => heldAgainst(index, file, schemas))];
}

/** Whose schema holds for a file. */
function schemaOwner(index: FileIndex, path: string): string | undefined {
  return inheritanceChain(index, path).findLast(({ schema }) => schema !== '')?.path;
}

function heldAgainst(
  index: FileIndex,
  file: config.ConfigFile,
  schemas: ReadonlyMap<string, CompiledSchema>,
): config.ConfigFault[] {
  const owner = schemaOwner(index, file.path);
  const schema = owner === undefined ? undefined : schemas.get(owner);
  if (owner === undefined || schema === undefined) return [];
  const check = new FileCheck(file, schema, owner);
  if (schema.records) return check.records();
  const inherited = inheritedDefault(index, file.path);
  // Values that this schema sees in their own file already are told of once, there.
  const unseen = [...inherited.values()].filter(
    (value) => value.file === file.path || schemaOwner(index, value.file) !== owner,
  );
  return [...check.values(unseen), ...check.sections(inherited)];
}

/** One file and the schema that holds for it. */
class FileCheck {
  constructor(
    private readonly file: config.ConfigFile,
    private readonly schema: CompiledSchema,
    private readonly owner: string,
  ) {}

  /** Every section stands for itself. */
  records(): config.ConfigFault[] {
    return this.file.sections.flatMap(({ name, entries }) => {
      const values = this.placed(name, entries);
      return [...this.values(values), ...this.missing(name, new Set(values.map(keyOf)))];
    });
  }

  /** The sections over DEFAULT, and what is required of them and of DEFAULT itself. */
  sections(inherited: ReadonlyMap<string, PlacedEntry>): config.ConfigFault[] {
    const over = this.file.sections.filter(({ name }) => name !== DEFAULT_SECTION);
    const own = over.flatMap(({ name, entries }) => {
      const values = this.placed(name, entries);
      const keys = new Set([...inherited.keys(), ...values.map(keyOf)]);
      const hasRules = this.schema.sections.has(name);
      return [...this.values(values), ...(hasRules ? this.missing(name, keys) : [])];
    });
    // A file that inherits has what the owner of the schema has.
    const isOwner = this.owner === this.file.path;
    const base = isOwner ? this.missing(DEFAULT_SECTION, new Set(inherited.keys())) : [];
    return [...base, ...own];
  }

  values(values: readonly PlacedEntry[]): config.ConfigFault[] {
    return values.flatMap(({ entry, file, section }) =>
      this.faults(entry, this.rules(section)).map((message) =>
        faultAt({ file, section, key: entry.key }, message + this.whose(file)),
      ),
    );
  }

  private faults(entry: config.ConfigEntry, { keys, additional }: SectionRules): string[] {
    const rule = keys.get(entry.key);
    if (rule === undefined) return additional ? [] : ['the schema knows no such key'];
    const type = canonicalType(entry.type);
    if (rule.type !== undefined && rule.type !== type) {
      return [`is of type ${type}; the schema says ${rule.type}`];
    }
    return rule.faults(entry.raw);
  }

  private missing(section: string, keys: ReadonlySet<string>): config.ConfigFault[] {
    const required = [...this.rules(section).keys].filter(([, rule]) => rule.required);
    const place = { file: this.file.path, section };
    return required
      .filter(([key]) => !keys.has(key))
      .map(([key]) => faultAt({ ...place, key }, 'the schema requires this key'));
  }

  private rules(section: string): SectionRules {
    return this.schema.sections.get(section) ?? this.schema.file;
  }

  private placed(section: string, entries: readonly config.ConfigEntry[]): PlacedEntry[] {
    return entries.map((entry) => ({ entry, file: this.file.path, section }));
  }

  private whose(file: string): string {
    return file === this.owner ? '' : ` (schema of ${this.owner})`;
  }
}

function keyOf({ entry }: PlacedEntry): string {
  return entry.key;
}
