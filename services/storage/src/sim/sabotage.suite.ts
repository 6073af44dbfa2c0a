import { records } from '@malabar/contracts';
import type { Engine, WriteBatch } from '../engine.js';
import type { World } from './world.suite.js';

export type Sabotage = ConstructorParameters<typeof World>[1];

/** A store with one fault that must not stay unnoticed. */
export interface Mutant {
  /** What it does wrong. */
  name: string;
  sabotage?: Sabotage;
  /** Changes what all stores share; returns the way back. */
  arm?: () => () => void;
}

/** An engine that can be changed: its methods as own properties. */
export const passOn = (engine: Engine): Engine => ({
  open: () => engine.open(),
  get: (key) => engine.get(key),
  scan: (range) => engine.scan(range),
  readLog: (shard, seq) => engine.readLog(shard, seq),
  nextLog: (shard, seq) => engine.nextLog(shard, seq),
  close: () => engine.close(),
  commit: (batch) => engine.commit(batch),
});

/** An engine of which something else is asked, or another answer is given. */
export const engineWith = (change: (engine: Engine) => Partial<Engine>): Sabotage => ({
  engine: (engine) => ({ ...passOn(engine), ...change(engine) }),
});

/** An engine that does something else with what it is to commit. */
export const committing = (
  commit: (batch: WriteBatch, engine: Engine) => Promise<void>,
): Sabotage => engineWith((engine) => ({ commit: (batch) => commit(batch, engine) }));

/** An engine that commits something else. */
export const changingState = (
  change: (state: WriteBatch['state']) => WriteBatch['state'],
): Sabotage =>
  committing((batch, engine) => engine.commit({ ...batch, state: change(batch.state) }));

/** An engine that commits other records of topics. */
export const changingTopics = (
  change: (record: records.TopicRecord) => records.TopicRecord,
): Sabotage =>
  changingState((state) => {
    const changed = new Map(state);
    for (const [key, value] of changed)
      if (key[0] === 'T' && value) {
        const record = change(records.TopicRecord.decode(value));
        changed.set(key, records.TopicRecord.encode(record).finish());
      }
    return changed;
  });

/** A store that never deletes the rows of some letter. */
export const keepingRows = (letter: string): Sabotage => ({
  store: ({ writes }) => {
    const remove = writes.delete.bind(writes);
    writes.delete = (key) => {
      if (key[0] !== letter) remove(key);
    };
  },
});

/** What all stores share, with one method of it replaced. */
export function replacing<T extends object, K extends keyof T>(
  prototype: T,
  method: K,
  replace: (original: T[K]) => T[K],
): () => () => void {
  return () => {
    const original = prototype[method];
    prototype[method] = replace(original);
    return () => {
      prototype[method] = original;
    };
  };
}
