import type { config } from '@malabar/contracts';
import { faultAt, type Place } from './fault.js';
import { parseIni } from './ini/parse.js';
import { isSecret, MASK } from './mask.js';
import { DEFAULT_SECTION, keyFault, pathFault, sectionFault } from './names.js';
import { canonicalType, unknownType } from './types.js';
import { valueFault, valueWarnings } from './values.js';
import { WorkingFile } from './working-file.js';

/** What operations make of a content. */
export interface AppliedOperations {
  /** By path; the same as before if there is a fault. */
  files: config.ConfigFile[];
  faults: config.ConfigFault[];
  warnings: config.ConfigFault[];
}

/**
 * The content after all operations, in their order; with a fault in any of them nothing changes.
 * The content given is left as it is, and files that no operation names stay the same objects.
 */
export function applyOperations(
  files: readonly config.ConfigFile[],
  operations: readonly config.Operation[],
): AppliedOperations {
  const edit = new Edit(files);
  for (const { operation } of operations) edit.apply(operation);
  const { faults, warnings } = edit;
  return { files: faults.length > 0 ? [...files] : edit.files(), faults, warnings };
}

/** Why an operation cannot be. */
class Refusal extends Error {
  constructor(
    readonly place: Place,
    message: string,
  ) {
    super(message);
  }
}

class Edit {
  readonly faults: config.ConfigFault[] = [];
  readonly warnings: config.ConfigFault[] = [];
  private readonly untouched: Map<string, config.ConfigFile>;
  private readonly touched = new Map<string, WorkingFile>();

  constructor(files: readonly config.ConfigFile[]) {
    this.untouched = new Map(files.map((file) => [file.path, file]));
  }

  files(): config.ConfigFile[] {
    const changed = [...this.touched.values()].map((file) => file.toFile());
    return [...this.untouched.values(), ...changed].sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  apply(operation: config.Operation['operation']): void {
    this.attempt(() => {
      if (operation === undefined) throw new Refusal({ file: '' }, 'an operation says nothing');
      switch (operation.$case) {
        case 'setKey':
          return this.setKey(operation.value);
        case 'deleteKey':
          return this.deleteKey(operation.value);
        case 'putFile':
          return this.putFile(operation.value);
        case 'importFile':
          return this.importFile(operation.value);
        case 'deleteFile':
          return this.deleteFile(operation.value);
        case 'setSchema':
          this.existing(operation.value.file).schema = operation.value.schema;
          return;
        case 'setParent':
          this.existing(operation.value.file).parent = operation.value.parent;
      }
    });
  }

  private setKey({ file: path, section: named, key, type: wanted, raw }: config.SetKey): void {
    const section = named || DEFAULT_SECTION;
    demand({ file: path, section, key }, pathFault(path) ?? sectionFault(section) ?? keyFault(key));
    const file = this.open(path);
    const type = wanted || file.get(section, key)?.type || 'string';
    file.set(section, this.checked(file, section, { key, type, raw }));
  }

  private deleteKey({ file: path, section: named, key }: config.DeleteKey): void {
    const section = named || DEFAULT_SECTION;
    const isGone = this.existing(path).delete(section, key);
    demand({ file: path, section, key }, isGone ? undefined : 'there is no such key');
  }

  private putFile({ file: given }: config.PutFile): void {
    if (given === undefined) throw new Refusal({ file: '' }, 'there is no file to put');
    demand({ file: given.path }, pathFault(given.path));
    const file = this.open(given.path);
    file.parent = given.parent;
    file.schema = given.schema;
    this.replace(file, given.sections);
  }

  private importFile({ path, text }: config.ImportFile): void {
    demand({ file: path }, pathFault(path));
    const { sections, faults, warnings } = parseIni(path, text);
    this.faults.push(...faults);
    this.warnings.push(...warnings);
    if (faults.length === 0) this.replace(this.open(path), sections, { warn: false });
  }

  private deleteFile({ path }: config.DeleteFile): void {
    this.existing(path);
    this.touched.delete(path);
  }

  /** Puts what has no fault in the place of all sections, and notes every fault of the others. */
  private replace(
    file: WorkingFile,
    sections: readonly config.ConfigSection[],
    { warn = true } = {},
  ): void {
    const next = new WorkingFile(file.path);
    for (const { name, entries } of sections) {
      const section = name || DEFAULT_SECTION;
      this.attempt(() => demand({ file: file.path, section }, sectionFault(section)));
      for (const entry of entries) {
        this.attempt(() => {
          const checked = this.checked(file, section, entry, { warn });
          const isTwice = next.get(section, entry.key) !== undefined;
          const place = { file: file.path, section, key: entry.key };
          demand(place, isTwice ? 'the key is there twice' : undefined);
          next.set(section, checked);
        });
      }
    }
    file.replaceSections(next);
  }

  /** The entry as it may be kept: its type in its own words, a masked secret as it was. */
  private checked(
    file: WorkingFile,
    section: string,
    { key, type: named, raw }: config.ConfigEntry,
    { warn = true } = {},
  ): config.ConfigEntry {
    const place = { file: file.path, section, key };
    const type = canonicalType(named);
    if (type === undefined) throw new Refusal(place, unknownType(named));
    demand(place, keyFault(key));
    if (type === 'secret' && raw === MASK) return kept(file, section, key);
    const fault = valueFault(type, raw);
    const before = file.get(section, key);
    // The text that takes a secret's place may be the secret, typed once more.
    const hidden = before !== undefined && isSecret(before);
    demand(place, fault && hidden ? `the text in the place of the secret is no ${type}` : fault);
    const warnings = warn && !hidden ? valueWarnings(type, raw) : [];
    for (const message of warnings) this.warnings.push(faultAt(place, message));
    return { key, type, raw };
  }

  private existing(path: string): WorkingFile {
    if (this.touched.has(path) || this.untouched.has(path)) return this.open(path);
    throw new Refusal({ file: path }, 'there is no such file');
  }

  private open(path: string): WorkingFile {
    const file = this.touched.get(path) ?? new WorkingFile(path, this.untouched.get(path));
    this.untouched.delete(path);
    this.touched.set(path, file);
    return file;
  }

  private attempt(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.faults.push(faultAt(error.place, error.message));
    }
  }
}

function kept(file: WorkingFile, section: string, key: string): config.ConfigEntry {
  const entry = file.get(section, key);
  if (entry !== undefined && isSecret(entry)) return entry;
  const place = { file: file.path, section, key };
  throw new Refusal(place, `${MASK} keeps the secret that is there, and there is none`);
}

function demand(place: Place, fault: string | undefined): void {
  if (fault !== undefined) throw new Refusal(place, fault);
}
