import type { ConfigValue } from './values.js';

/** What happened to one value. */
export interface ValueChange {
  readonly kind: 'added' | 'changed' | 'removed';
  readonly file: string;
  readonly section: string;
  readonly key: string;
  /** Undefined for what was added. */
  readonly before: ConfigValue | undefined;
  /** Undefined for what was removed. */
  readonly after: ConfigValue | undefined;
}

/** What differs between what a program ran with and what it shall run with. */
export class ChangeSet implements Iterable<ValueChange> {
  constructor(readonly all: readonly ValueChange[]) {}

  get size(): number {
    return this.all.length;
  }

  /** Whether a file, or one key of it, is among the changes. */
  touches(file: string, key?: string): boolean {
    return this.all.some((one) => one.file === file && (key === undefined || one.key === key));
  }

  [Symbol.iterator](): Iterator<ValueChange> {
    return this.all[Symbol.iterator]();
  }
}

/** Values by their key. */
export type Values = ReadonlyMap<string, ConfigValue>;

/** The changes from one set of values to another. */
export function changesOf(before: Values, after: Values): ValueChange[] {
  const changes: ValueChange[] = [];
  for (const [key, now] of after) {
    const was = before.get(key);
    if (was === undefined) changes.push(change('added', undefined, now));
    else if (!isSame(was, now)) changes.push(change('changed', was, now));
  }
  for (const [key, was] of before) {
    if (!after.has(key)) changes.push(change('removed', was, undefined));
  }
  return changes;
}

function isSame(one: ConfigValue, other: ConfigValue): boolean {
  return one === other || (one.raw === other.raw && one.type === other.type);
}

function change(
  kind: ValueChange['kind'],
  before: ConfigValue | undefined,
  after: ConfigValue | undefined,
): ValueChange {
  const { file, section, key } = (after ?? before) as ConfigValue;
  return { kind, file, section, key, before, after };
}
