import type { config } from '@malabar/contracts';
import type { EffectiveView } from '@malabar/keeper-client';
import { baseName, toJson } from '@malabar/typed-config';

/** A value as the formats need it. */
export interface WrittenValue {
  key: string;
  type: string;
  raw: string;
  /** As JSON, with all digits of a number. */
  json: string;
}

/** The values of all subscriptions with one base name. */
export interface ValueFile {
  /** `redis` for `/redis.conf`. */
  name: string;
  /** By key. */
  values: readonly WrittenValue[];
}

/** The values of a node by file; a file without any value is there too. */
export function valueFiles(
  view: EffectiveView,
  subscriptions: readonly config.Subscription[],
): ValueFile[] {
  const files = new Map<string, WrittenValue[]>();
  for (const { file } of subscriptions) files.set(baseName(file), []);
  for (const { file, key, type, raw } of view.values()) {
    const values = files.get(file) ?? [];
    values.push({ key, type, raw, json: toJson(type, raw) });
    files.set(file, values);
  }
  return [...files].map(([name, values]) => ({ name, values }));
}
