import type { config } from '@malabar/contracts';
import { faultAt } from './fault.js';

/** The settings `keeper.limits` of malabar.yaml. */
export interface ContentLimits {
  /** Keys of a domain. */
  keys: number;
  /** Files of a domain. */
  files: number;
  /** Bytes of one value, and of one schema. */
  value: number;
}

/** What is beyond the limits; each message names the limit. */
export function limitFaults(
  files: readonly config.ConfigFile[],
  limits: ContentLimits,
): config.ConfigFault[] {
  const keys = files.flatMap((file) => file.sections.map(({ entries }) => entries.length));
  const total = keys.reduce((sum, count) => sum + count, 0);
  return [
    ...countFault('files', files.length, limits.files),
    ...countFault('keys', total, limits.keys),
    ...files.flatMap((file) => sizeFaults(file, limits.value)),
  ];
}

function countFault(what: 'keys' | 'files', count: number, limit: number): config.ConfigFault[] {
  if (count <= limit) return [];
  const [shown, most] = [count, limit].map((number) => number.toLocaleString('en'));
  const message = `the domain would have ${shown} ${what}; keeper.limits.${what} is ${most}`;
  return [faultAt({ file: '' }, message)];
}

function sizeFaults(file: config.ConfigFile, limit: number): config.ConfigFault[] {
  const texts = file.sections.flatMap(({ name: section, entries }) =>
    entries.map(({ key, raw }) => ({ section, key, text: raw, what: 'value' })),
  );
  const schema = { section: '', key: 'schema', text: file.schema, what: 'schema' };
  return [schema, ...texts].flatMap(({ section, key, text, what }) => {
    const size = Buffer.byteLength(text);
    if (size <= limit) return [];
    const message = `${what} of ${bytes(size)}; keeper.limits.value is ${bytes(limit)}`;
    return [faultAt({ file: file.path, section, key }, message)];
  });
}

/** `1 MiB`, `1.1 MiB`; with all digits where rounding would hide the difference to a limit. */
function bytes(count: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB'];
  const power = Math.min(3, Math.floor(Math.log2(Math.max(1, count)) / 10));
  const rounded = Math.round((count / 1024 ** power) * 10) / 10;
  const isExact = rounded * 1024 ** power === count;
  const isTelling = isExact || Math.abs(rounded - Math.round(rounded)) > 0.01;
  return isTelling ? `${rounded} ${units[power]}` : `${count.toLocaleString('en')} bytes`;
}
