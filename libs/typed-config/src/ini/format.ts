import type { config } from '@malabar/contracts';
import { DEFAULT_SECTION } from '../names.js';
import { canonicalType, type TypeName } from '../types.js';
import { readKeyPart } from './key-part.js';
import { Lines } from './lines.js';
import { bySection } from './parse.js';
import { gokeeperValue } from './reader.js';
import { readValuePart } from './value-part.js';

/**
 * A file in gokeeper's format. parseIni reads every value back as it was, and so does gokeeper, but
 * for what it has no words for: the type `secret`, and a text of several lines that has both kinds of
 * raw quotes before its last line. Schema and parent have no place in the format.
 */
export function formatIni(file: config.ConfigFile): string {
  return file.sections
    .toSorted(bySection)
    .map(({ name, entries }) => header(name, entries.length === 0) + entries.map(line).join(''))
    .join('\n');
}

function header(section: string, isEmpty: boolean): string {
  return section === DEFAULT_SECTION && !isEmpty ? '' : `[${section}]\n`;
}

function line({ key, type, raw }: config.ConfigEntry): string {
  const written = type === 'string' ? key : `${key} ${type}`;
  const name = key.includes(':') ? `\`${written}\`` : written;
  return `${name} =${spaced(formatted(name, canonicalType(type) ?? 'string', raw))}\n`;
}

/** The first form that gokeeper reads too, or else the first that we read. */
function formatted(name: string, type: TypeName, raw: string): string {
  const forms = [raw, `\`${raw}\``, `"""${raw}"""`];
  const readings = forms.map((form) => ({ form, ...read(name, type, form) }));
  const best =
    readings.find((each) => each.ours === raw && each.gokeeper === raw) ??
    readings.find((each) => each.ours === raw);
  return (
    best?.form ??
    raw
      .split('\n')
      .map((each) => `\`${each}\``)
      .join('\\\n')
  );
}

/** What a form is read as, here and by gokeeper; undefined where it is no value or more than one. */
function read(name: string, type: TypeName, form: string): { ours?: string; gokeeper?: string } {
  const text = `${name} =${spaced(form)}\n`;
  const lines = new Lines(text);
  try {
    const part = readKeyPart(lines.take() ?? '');
    const value = readValuePart(part.rest, type, lines);
    if (lines.take() !== '' || lines.take() !== undefined) return {};
    return { ours: value.raw, gokeeper: gokeeperValue(part.written, value) };
  } catch {
    return {};
  }
}

function spaced(form: string): string {
  return form === '' ? '' : ` ${form}`;
}
