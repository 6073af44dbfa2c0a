import type { ConfigValue, EffectiveView } from './view.js';

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

/** The changes from one view to another; without a first, everything is added. */
export function changesBetween(before: EffectiveView | undefined, after: EffectiveView): ChangeSet {
  const changes: ValueChange[] = [];
  for (const now of after.values) {
    const was = before?.find(now.file, now.key, now.section);
    if (was === undefined) changes.push(change('added', undefined, now));
    else if (was.raw !== now.raw || was.type !== now.type)
      changes.push(change('changed', was, now));
  }
  for (const was of before?.values ?? []) {
    if (after.find(was.file, was.key, was.section) === undefined) {
      changes.push(change('removed', was, undefined));
    }
  }
  return new ChangeSet(changes);
}

function change(
  kind: ValueChange['kind'],
  before: ConfigValue | undefined,
  after: ConfigValue | undefined,
): ValueChange {
  const { file, section, key } = (after ?? before) as ConfigValue;
  return { kind, file, section, key, before, after };
}
