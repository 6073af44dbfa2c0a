import type { config } from '@malabar/contracts';
import { faultAt } from '../fault.js';
import { DEFAULT_SECTION, keyFault, sectionFault } from '../names.js';
import type { TypeName } from '../types.js';
import { quoted } from '../value-error.js';
import { valueFault, valueWarnings } from '../values.js';
import { type KeyPart, readKeyPart } from './key-part.js';
import { IniError, Lines } from './lines.js';
import { readValuePart, type ValuePart } from './value-part.js';

/** A file of ten thousand broken lines is described well enough by the first of them. */
const FAULTS_MAX = 200;

interface ReadKey {
  type: TypeName;
  raw: string;
  line: number;
}

/** Reads a text line by line and notes everything that is wrong with it. */
export class IniReader {
  readonly sections = new Map<string, Map<string, ReadKey>>();
  readonly faults: config.ConfigFault[] = [];
  readonly warnings: config.ConfigFault[] = [];
  private section = DEFAULT_SECTION;
  /** Comments since the last key: gokeeper glues them to some values. */
  private comments = '';
  private readonly lines: Lines;

  constructor(
    private readonly path: string,
    text: string,
  ) {
    this.lines = new Lines(text);
  }

  read(): void {
    for (;;) {
      const line = this.lines.take()?.trimStart();
      if (line === undefined || this.faults.length >= FAULTS_MAX) return;
      if (line !== '') this.statement(line);
    }
  }

  private statement(line: string): void {
    if (/^[#;]/.test(line)) {
      this.comments += `${line}\n`;
      return;
    }
    const number = this.lines.number;
    try {
      if (line.startsWith('[')) this.header(line);
      else this.entry(readKeyPart(line), number);
    } catch (error) {
      if (!(error instanceof IniError)) throw error;
      this.fault(number, '', error.message);
    }
  }

  private header(line: string): void {
    this.comments = '';
    const close = line.indexOf(']');
    if (close === -1) throw new IniError(`a section header without ']'`);
    this.section = line.slice(1, close);
    this.open(this.section);
    const fault = sectionFault(this.section);
    if (fault !== undefined) throw new IniError(fault);
    if (!/^\s*(?:[#;]|$)/.test(line.slice(close + 1))) {
      throw new IniError(`text behind the ']' of a section header`);
    }
  }

  private open(section: string): Map<string, ReadKey> {
    const keys = this.sections.get(section) ?? new Map<string, ReadKey>();
    this.sections.set(section, keys);
    return keys;
  }

  private entry(part: KeyPart, line: number): void {
    const value = readValuePart(part.rest, part.type, this.lines);
    const { key, type } = part;
    const fault = keyFault(key) ?? valueFault(type, value.raw);
    if (fault !== undefined) this.fault(line, key, fault);
    for (const message of [
      ...part.warnings,
      ...value.warnings,
      ...valueWarnings(type, value.raw),
    ]) {
      this.warn(line, key, message);
    }
    this.compare(part, value, line);
    this.comments = '';
    this.keep(key, { type, raw: value.raw, line });
  }

  /** Says where gokeeper's own parser would have read another value. */
  private compare({ key, type, written }: KeyPart, value: ValuePart, line: number): void {
    // It knows no secrets, and nobody should read them here.
    if (type === 'secret') return;
    const theirs = gokeeperValue(written, value, this.comments);
    if (theirs === value.raw) return;
    const message = `read as ${quoted(value.raw)}; gokeeper would read ${quoted(theirs)}`;
    this.warn(line, key, message);
  }

  private keep(key: string, entry: ReadKey): void {
    const keys = this.open(this.section);
    const earlier = keys.get(key);
    if (earlier !== undefined && earlier.type !== entry.type) {
      const types = `${earlier.type} in line ${earlier.line} and ${entry.type} here`;
      this.fault(entry.line, key, `the key has two types: ${types}`);
    } else if (earlier !== undefined) {
      this.warn(entry.line, key, `the key is also in line ${earlier.line}; the last one counts`);
    }
    keys.set(key, entry);
  }

  private fault(line: number, key: string, message: string): void {
    this.faults.push(faultAt({ file: this.path, section: this.section, key, line }, message));
  }

  private warn(line: number, key: string, message: string): void {
    this.warnings.push(faultAt({ file: this.path, section: this.section, key, line }, message));
  }
}

/**
 * Gokeeper takes `;` for a comment and, where one space stands between name and type, puts every
 * comment since the last key back to the end of a map[string][]string.
 */
export function gokeeperValue(written: string, value: ValuePart, comments = ''): string {
  const isGlued = / map\[string\]\[\]string$/.test(written) && written.split(' ').length === 2;
  return isGlued ? value.gokeeper + `${comments}${value.comment}`.trim() : value.gokeeper;
}
