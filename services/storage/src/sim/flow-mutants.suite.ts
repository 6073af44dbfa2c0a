import { records } from '@malabar/contracts';
import { KeyLines } from '../core/key-lines.js';
import { RateLimit } from '../core/rate.js';
import { Topic } from '../core/topic.js';
import type { Engine, WriteBatch } from '../engine.js';
import type { Mutant } from './mutants.suite.js';

/** Replaces a method of a class; the way back restores it. */
function replacing<T extends object, K extends keyof T>(
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

/** An engine of which something else is asked, or another answer is given. */
const engineWith = (change: (engine: Engine) => Partial<Engine>): Mutant['sabotage'] => ({
  engine: (engine) => ({
    open: () => engine.open(),
    get: (key) => engine.get(key),
    scan: (range) => engine.scan(range),
    readLog: (shard, seq) => engine.readLog(shard, seq),
    nextLog: (shard, seq) => engine.nextLog(shard, seq),
    close: () => engine.close(),
    commit: (batch) => engine.commit(batch),
    ...change(engine),
  }),
});

const committing = (change: (state: WriteBatch['state']) => WriteBatch['state']) =>
  engineWith((engine) => ({
    commit: (batch) => engine.commit({ ...batch, state: change(batch.state) }),
  }));

/** Stores that go wrong with rates and keys. */
export const flowMutants: Mutant[] = [
  {
    name: 'it forgets what it has handed out of its rate',
    arm: replacing(RateLimit.prototype, 'use', () => () => undefined),
  },
  {
    name: 'its rate is another one after a change of its settings',
    arm: replacing(RateLimit.prototype, 'change', () => () => undefined),
  },
  {
    name: 'it runs one more of a key than it may',
    arm: replacing(
      Topic.prototype,
      'reconfigure',
      (original) =>
        function (this: Topic, config) {
          const { key } = config;
          const more = key && { ...key, concurrency: key.concurrency + 1 };
          original.call(this, { ...config, key: more });
        },
    ),
  },
  {
    name: 'one key has all the turns',
    arm: replacing(
      KeyLines.prototype,
      'take',
      (original) =>
        function (this: KeyLines) {
          const one = original.call(this);
          const two = one && original.call(this);
          if (one === undefined || two === undefined) return one;
          const [first, other] = one.record.key <= two.record.key ? [one, two] : [two, one];
          this.giveBack(other);
          return first;
        },
    ),
  },
  {
    name: 'it reads lines backwards',
    sabotage: engineWith((engine) => ({
      scan: async (range) => {
        const found = await engine.scan(range);
        return range.start[0] === 'G' && found.length < range.limit ? found.reverse() : found;
      },
    })),
  },
  {
    name: 'a line does not wait for its first to be tried again',
    arm: replacing(KeyLines.prototype, 'hold', () => () => undefined),
  },
  {
    name: 'it forgets at its start which lines wait',
    sabotage: committing(
      (state) =>
        new Map([...state].filter(([key, value]) => key[0] !== 'G' || value?.length !== 0)),
    ),
  },
  {
    name: 'a line waits for ever for one that was tried again',
    arm: replacing(KeyLines.prototype, 'release', () => () => undefined),
  },
  {
    name: 'a line never hears that one of its leases is over',
    arm: replacing(
      KeyLines.prototype,
      'ended',
      () =>
        function (this: KeyLines) {
          this.size--;
        },
    ),
  },
  {
    name: 'it forgets at its start that there are lines',
    sabotage: committing((state) => {
      const changed = new Map(state);
      for (const [key, value] of changed)
        if (key[0] === 'T' && value) {
          const record = { ...records.TopicRecord.decode(value), lined: 0 };
          changed.set(key, records.TopicRecord.encode(record).finish());
        }
      return changed;
    }),
  },
  {
    name: 'what joins its line stays where it waited',
    sabotage: {
      store: ({ writes }) => {
        const remove = writes.delete.bind(writes);
        writes.delete = (key) => {
          if (key[0] !== 'H') remove(key);
        };
      },
    },
  },
  {
    name: 'what has expired in a line waits for somebody who asks',
    arm: replacing(KeyLines.prototype, 'takeEnded', () => () => []),
  },
];
