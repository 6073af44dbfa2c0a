import type { config } from '@malabar/contracts';
import { byKey, bySection } from './ini/parse.js';

type Sections = Map<string, Map<string, config.ConfigEntry>>;

/** A file while operations change it: lookups instead of lists. */
export class WorkingFile {
  parent: string;
  schema: string;
  private sections: Sections = new Map();

  constructor(
    readonly path: string,
    file?: config.ConfigFile,
  ) {
    this.parent = file?.parent ?? '';
    this.schema = file?.schema ?? '';
    for (const { name, entries } of file?.sections ?? []) {
      for (const entry of entries) this.set(name, entry);
    }
  }

  get(section: string, key: string): config.ConfigEntry | undefined {
    return this.sections.get(section)?.get(key);
  }

  set(section: string, entry: config.ConfigEntry): void {
    const entries = this.sections.get(section) ?? new Map<string, config.ConfigEntry>();
    this.sections.set(section, entries.set(entry.key, entry));
  }

  /** False if the key was not there. */
  delete(section: string, key: string): boolean {
    return this.sections.get(section)?.delete(key) ?? false;
  }

  replaceSections(other: WorkingFile): void {
    this.sections = other.sections;
  }

  /** DEFAULT first, then by name, keys by name; a section without a key is no section. */
  toFile(): config.ConfigFile {
    const sections = [...this.sections]
      .filter(([, entries]) => entries.size > 0)
      .map(([name, entries]) => ({ name, entries: [...entries.values()].sort(byKey) }))
      .sort(bySection);
    return { path: this.path, sections, parent: this.parent, schema: this.schema };
  }
}
