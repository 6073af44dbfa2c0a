import { UNITS_MS } from '../duration.js';
import type { TopicDocument } from './options.js';

/**
 * Where a topic that is there says something else than a program that registers it, e.g. `delay is
 * "30s", not "10s"`. What the program does not say is the configuration's to say.
 */
export function differences(wanted: TopicDocument, found: TopicDocument): string[] {
  return Object.keys(wanted).flatMap((key) => compare(key, wanted[key], found[key]));
}

function compare(path: string, wanted: unknown, found: unknown): string[] {
  if (isMapping(wanted) && isMapping(found) && path !== 'target') {
    return Object.keys(wanted).flatMap((key) => compare(`${path}.${key}`, wanted[key], found[key]));
  }
  const same = JSON.stringify(plain(path, wanted)) === JSON.stringify(plain(path, found));
  return same ? [] : [`${path} is ${text(found)}, not ${text(wanted)}`];
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The same things, spelled in the same way. */
function plain(path: string, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((one) => plain(path, one));
  if (path === 'target' && isMapping(value) && 'grpc' in value) return 'grpc';
  if (typeof value !== 'string') return value;
  const parts = /^([\d_]+)(ms|s|m|h|d)?$/.exec(value);
  if (parts === null) return value;
  const number = Number(parts[1]?.replaceAll('_', ''));
  // A number without unit is a count, which is no duration.
  return parts[2] === undefined ? number : `${number * (UNITS_MS[parts[2]] as number)}ms`;
}

function text(value: unknown): string {
  return value === undefined ? 'not said' : JSON.stringify(value);
}
