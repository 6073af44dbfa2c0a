import { KeyLines } from '../core/key-lines.js';
import { RateLimit } from '../core/rate.js';
import { Topic } from '../core/topic.js';
import {
  changingState,
  changingTopics,
  engineWith,
  keepingRows,
  type Mutant,
  replacing,
} from './sabotage.suite.js';

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
    sabotage: changingState(
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
    sabotage: changingTopics((record) => ({ ...record, lined: 0 })),
  },
  {
    name: 'what joins its line stays where it waited',
    sabotage: keepingRows('H'),
  },
  {
    name: 'what has expired in a line waits for somebody who asks',
    arm: replacing(KeyLines.prototype, 'takeEnded', () => () => []),
  },
];
