import type { config } from '@malabar/contracts';
import { faultAt } from '../fault.js';
import { DEFAULT_SECTION } from '../names.js';
import { IniReader } from './reader.js';

/** What a text in gokeeper's format says, and what is wrong with it. */
export interface ParsedIni {
  /** DEFAULT first, then by name; keys by name. To be used only if there is no fault. */
  sections: config.ConfigSection[];
  /** Each with its line. */
  faults: config.ConfigFault[];
  /** Where gokeeper would have read something else, and what its author can hardly mean. */
  warnings: config.ConfigFault[];
}

/**
 * Reads gokeeper's format strictly: what gokeeper refuses or leaves to chance is a fault, and where
 * it loses a part of the value the evident meaning is read, with a warning. Never throws. Bytes must
 * be UTF-8; a byte order mark and line ends of Windows are fine.
 */
export function parseIni(path: string, text: string | Uint8Array): ParsedIni {
  const decoded = typeof text === 'string' ? text : decode(text);
  if (decoded === undefined) return unreadable(path, 'the text is not UTF-8');
  const nul = decoded.indexOf('\0');
  if (nul !== -1) {
    const line = decoded.slice(0, nul).split('\n').length;
    return unreadable(path, 'the text has a NUL in it', line);
  }
  const reader = new IniReader(path, decoded.replace(/^\uFEFF/, ''));
  reader.read();
  const sections = [...reader.sections].map(([name, keys]) => ({
    name,
    entries: [...keys].map(([key, { type, raw }]) => ({ key, type, raw })).sort(byKey),
  }));
  return { sections: sections.sort(bySection), faults: reader.faults, warnings: reader.warnings };
}

/** DEFAULT before all others. */
export function bySection(a: { name: string }, b: { name: string }): number {
  if (a.name === b.name) return 0;
  if (a.name === DEFAULT_SECTION) return -1;
  if (b.name === DEFAULT_SECTION) return 1;
  return a.name < b.name ? -1 : 1;
}

export function byKey(a: { key: string }, b: { key: string }): number {
  if (a.key === b.key) return 0;
  return a.key < b.key ? -1 : 1;
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function unreadable(file: string, message: string, line = 0): ParsedIni {
  return { sections: [], faults: [faultAt({ file, line }, message)], warnings: [] };
}
