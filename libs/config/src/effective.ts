import { stringify } from 'yaml';
import { fileKey } from './schema.js';
import { Secret } from './secret.js';
import type { MalabarConfig } from './settings.js';
import { formatDuration, formatSize } from './units.js';

// Mappings whose keys are names that the user chose.
const NAMED = [
  'systems',
  'queues',
  'topics',
  'schedules',
  'sources',
  'bind',
  'headers',
  'env',
  'people',
  'grants',
];
const SIZE = /^(body|size|output|bytesMax|\w*Bytes|\w*BytesMax)$/;

/** The effective configuration as one would write it into a file, with every secret masked. */
export function maskConfig({ documents, ...settings }: MalabarConfig): Record<string, unknown> {
  const { token } = settings.grpc;
  const grpc = { ...settings.grpc, token: token === undefined ? undefined : Secret.inline(token) };
  return written({ ...settings, grpc, ...documents }) as Record<string, unknown>;
}

/** `maskConfig` as YAML. */
export function printConfig(config: MalabarConfig): string {
  return stringify(maskConfig(config), { lineWidth: 0 }).trimEnd();
}

function written(value: unknown, field = ''): unknown {
  if (value instanceof Secret) return value.toString();
  if (Array.isArray(value)) return value.map((item) => written(item, field));
  if (typeof value === 'number' && field.endsWith('Ms')) return formatDuration(value);
  if (typeof value === 'number' && SIZE.test(field)) return formatSize(value);
  if (typeof value !== 'object' || value === null) return value;
  if ('kind' in value) return writtenTarget(value as { kind: string });
  const entries = Object.entries(value).filter(([, one]) => isSet(one));
  return Object.fromEntries(
    NAMED.includes(field)
      ? entries.map(([name, one]) => [name, written(one)])
      : entries.map(([key, one]) => [fileKey(key), written(one, key)]),
  );
}

function writtenTarget({ kind, ...settings }: { kind: string }): unknown {
  return Object.keys(settings).length === 0 ? kind : written(settings);
}

function isSet(value: unknown): boolean {
  return value !== undefined && !(Array.isArray(value) && value.length === 0);
}

/** The settings that differ between two configurations, by the key of the file. Not the documents. */
export function changedSettings(before: MalabarConfig, after: MalabarConfig): string[] {
  const [old, now] = [leaves(before), leaves(after)];
  return [...new Set([...old.keys(), ...now.keys()])]
    .filter((key) => old.get(key) !== now.get(key))
    .sort();
}

function leaves({ documents: _, ...settings }: MalabarConfig): Map<string, string> {
  const found = new Map<string, string>();
  const walk = (value: unknown, path: string): void => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      if (value !== undefined) found.set(path, JSON.stringify(value));
      return;
    }
    for (const [key, one] of Object.entries(value)) {
      walk(one, path === '' ? fileKey(key) : `${path}.${fileKey(key)}`);
    }
  };
  walk(settings, '');
  return found;
}
