import { formatIni } from '@malabar/typed-config';
import type { ValueFile } from '../value-files.js';

/** gokeeper's own format, types included: a section for each file. */
export function formatTypedIni(files: readonly ValueFile[]): string {
  const sections = files.map(({ name, values }) => ({ name, entries: [...values] }));
  return formatIni({ path: '', sections, parent: '', schema: '' });
}
