import { common, records } from '@malabar/contracts';
import type { BatchTable } from '../core/batch-table.js';
import { Lanes } from '../core/lanes.js';
import { rollRecords } from '../core/log-record.js';
import { NodeRows } from '../core/node-rows.js';
import { Reading } from '../core/reading.js';
import { Topic } from '../core/topic.js';
import type { Engine, WriteBatch } from '../engine.js';
import type { Store } from '../store.js';
import type { Dice } from './dice.suite.js';
import { Disk } from './disk.suite.js';
import { flowMutants } from './flow-mutants.suite.js';
import {
  changingState,
  changingTopics,
  committing,
  keepingRows,
  type Mutant,
  passOn,
  replacing,
  type Sabotage,
} from './sabotage.suite.js';

/** Says yes to a commit that a crash takes back. */
class ForgetfulDisk extends Disk {
  #undo: Array<() => void> = [];

  override apply(batch: WriteBatch): void {
    this.#undo.push(this.undo(batch));
    if (this.#undo.length > 3) this.#undo.shift();
    super.apply(batch);
  }

  override crash(dice: Dice): void {
    for (let lost = dice.below(this.#undo.length + 1); lost > 0; lost--) this.#undo.pop()?.();
    this.#undo = [];
  }
}

/** Takes the commits of everybody who ever owned it. */
class OpenDisk extends Disk {
  override refusal(batch: WriteBatch): ReturnType<Disk['refusal']> {
    return super.refusal(batch, this.epoch);
  }
}

/** An engine that commits all but the puts of some letter. */
function withoutPuts(letter: string): Sabotage {
  return changingState(
    (state) => new Map([...state].filter(([key, value]) => key[0] !== letter || !value)),
  );
}

/** Resolves at once; commits of the same engine still go one after the other. */
function answersEarly(): Sabotage {
  let last: Promise<unknown> = Promise.resolve();
  return committing(async (batch, engine) => {
    last = last.then(() => engine.commit(batch)).catch(() => undefined);
  });
}

/** Lets an outcome count for whoever works on the delivery now. */
function dropFence(store: Store): void {
  const { leases } = store.leases;
  const set = leases.set.bind(leases);
  const places = new Map<number, string>();
  const placeOf = (seq: number, topic: Topic): string => `${topic.shard}/${topic.id}/${seq}`;
  leases.set = (id, lease) => {
    places.set(id, placeOf(lease.seq, lease.grant.topic));
    return set(id, lease);
  };
  const { currentLease } = store;
  store.currentLease = (id) => {
    const current = currentLease.call(store, id);
    if (current !== undefined) return current;
    for (const lease of leases.values())
      if (placeOf(lease.seq, lease.grant.topic) === places.get(id)) return lease;
    return undefined;
  };
}

/** An idempotency key counts only in the life of the store in which it was taken. */
function forgetKeys(engine: Engine): Engine {
  const known = new Set<string>();
  return {
    ...passOn(engine),
    get: (key) =>
      key[0] === 'K' && !known.has(key) ? Promise.resolve(undefined) : engine.get(key),
    commit: (batch) => {
      for (const key of batch.state.keys()) known.add(key);
      return engine.commit(batch);
    },
  };
}

/** Changes what a store knows of its batches. */
function withBatches(change: (batches: BatchTable, writes: Store['writes']) => void): Sabotage {
  return { store: ({ batches, writes }) => change(batches, writes) };
}

const isReplaced = (entry: Uint8Array): boolean =>
  records.EntryRecord.decode(entry).errorCode === 'REPLACED';

/** Nobody sees how often a delivery was tried. */
function blindToAttempts(): () => void {
  const { decode } = records.EntryRecord;
  records.EntryRecord.decode = (input, length) => ({ ...decode(input, length), attempts: 0 });
  return () => {
    records.EntryRecord.decode = decode;
  };
}

export const mutants: Mutant[] = [
  {
    name: 'it counts the end of a delivery in its batch one commit later',
    sabotage: withBatches((_, writes) => {
      const take = writes.takeEnds.bind(writes);
      let late: ReturnType<typeof take> = [];
      writes.takeEnds = () => {
        const now = late;
        late = take();
        return now;
      };
    }),
  },
  {
    name: 'a batch forgets the jobs of the commit under way',
    sabotage: withBatches((batches) => {
      const write = batches.write.bind(batches);
      batches.write = (_, staged) => write(new Map(), staged);
    }),
  },
  {
    name: 'what follows a batch gets lost with a refused commit',
    sabotage: withBatches((batches) => {
      const followers = batches.followers.bind(batches);
      const tried = new Set<string>();
      batches.followers = () => {
        const found = followers().filter(({ id }) => !tried.has(id));
        for (const { id } of found) setImmediate(() => tried.add(id));
        return found;
      };
    }),
  },
  {
    name: 'a dead job that is replayed counts twice in its batch',
    sabotage: withBatches((_, writes) => {
      const count = writes.count.bind(writes);
      writes.count = (end) => {
        if (end.was === 'open') count(end);
      };
    }),
  },
  {
    name: 'it forgets at its start which batches go on',
    sabotage: withBatches((batches) => {
      batches.load = () => undefined;
    }),
  },
  {
    name: 'whoever asks gets what is for one node',
    arm: replacing(
      Lanes.prototype,
      'take',
      (original) =>
        function (this: Lanes, priority, node) {
          const own = original.call(this, priority, node);
          return own ?? original.call(this, priority, this.nodes.away[0] ?? '');
        },
    ),
  },
  {
    name: 'it gives up what waits for a node that is there',
    arm: replacing(NodeRows.prototype, 'came', () => () => undefined),
  },
  {
    name: 'it does not notice that a node goes',
    arm: replacing(NodeRows.prototype, 'left', () => () => undefined),
  },
  {
    name: 'it forgets at its start what is for one node',
    sabotage: {
      engine: (engine) => ({
        ...passOn(engine),
        scan: async (range) => {
          const found = await engine.scan(range);
          return range.limit === 1000 ? found.filter(([key]) => key[0] !== 'N') : found;
        },
      }),
    },
  },
  {
    name: 'a retry may go to any node',
    arm: replacing(
      Lanes.prototype,
      'add',
      (original) =>
        function (this: Lanes, seq, record, now) {
          original.call(this, seq, { ...record, node: '' }, now);
        },
    ),
  },
  {
    name: 'what is taken back stays in its lane',
    arm: replacing(Lanes.prototype, 'withdraw', () => () => undefined),
  },
  {
    name: 'what has expired waits for somebody who asks',
    arm: replacing(Lanes.prototype, 'takeEnded', () => () => []),
  },
  { name: 'it skips the fsync', sabotage: { disk: () => new ForgetfulDisk() } },
  { name: 'it answers before it writes', sabotage: answersEarly() },
  { name: 'it has no fence', sabotage: { store: dropFence } },
  {
    name: 'it loses a job when it rolls to the next log record',
    sabotage: {
      roll: (parts) => {
        const rolled = rollRecords(parts, 30);
        return rolled.length < 2 ? rolled : rolled.slice(0, -1);
      },
    },
  },
  { name: 'it lets a former owner write', sabotage: { disk: () => new OpenDisk() } },
  {
    name: 'it forgets to take an ended delivery out of its lane',
    sabotage: keepingRows('L'),
  },
  {
    name: 'it forgets in the record of a topic what the same commit appends',
    arm: replacing(
      Topic.prototype,
      'snapshot',
      (original) =>
        function (this: Topic) {
          return original.call(this);
        },
    ),
  },
  {
    name: 'it writes a floor that is too high',
    sabotage: changingTopics((record) => ({
      ...record,
      floor: record.done > 0 ? record.floor + 1 : record.floor,
    })),
  },
  {
    name: 'it forgets what is taken above the floor',
    sabotage: changingTopics((record) => ({ ...record, taken: [] })),
  },
  {
    name: 'its retries burn no attempt',
    sabotage: {
      store: (store) => {
        const { settleLease } = store;
        const { RETRY, RELEASE } = common.OutcomeKind;
        store.settleLease = (lease, outcome, now) => {
          const kind = outcome.kind === RETRY ? RELEASE : outcome.kind;
          settleLease.call(store, lease, { ...outcome, kind }, now);
        };
      },
    },
  },
  { name: 'it forgets idempotency keys when it restarts', sabotage: { engine: forgetKeys } },
  {
    name: 'its leases never expire',
    sabotage: {
      store: ({ delivery }) => {
        delivery.expireLeases = () => undefined;
      },
    },
  },
  {
    name: 'it keeps the leases of a stream that is gone',
    arm: replacing(Topic.prototype, 'releaseAll', () => () => undefined),
  },
  { name: 'it drops jobs that still live', sabotage: withoutPuts('J') },
  {
    name: 'it moves a delivery to dead in two commits',
    sabotage: committing(async (batch, engine) => {
      const isDead = ([key, value]: [string, Uint8Array | undefined]): boolean =>
        key[0] === 'D' && value !== undefined;
      const dead = [...batch.state].filter(isDead);
      const rest = [...batch.state].filter((one) => !isDead(one));
      await engine.commit({ ...batch, state: new Map(rest) });
      if (dead.length > 0) await engine.commit({ appends: [], state: new Map(dead), drops: [] });
    }),
  },
  {
    name: 'it takes the old job of a key away before the new one is there',
    sabotage: committing(async (batch, engine) => {
      const isOld = ([key, value]: [string, Uint8Array | undefined]): boolean =>
        value === undefined || key[0] === 'X' || key[0] === 'T';
      const replaces = [...batch.state].some(
        ([key, value]) => key[0] === 'X' && value && isReplaced(value),
      );
      if (!replaces) return engine.commit(batch);
      const old = new Map([...batch.state].filter(isOld));
      await engine.commit({ appends: [], state: old, drops: [] });
      await engine.commit({
        ...batch,
        state: new Map([...batch.state].filter((one) => !isOld(one))),
      });
    }),
  },
  {
    name: 'somebody may get a job that is just being replaced',
    arm: () => {
      const { hold, letGo } = Topic.prototype;
      Topic.prototype.hold = () => undefined;
      Topic.prototype.letGo = () => undefined;
      return () => Object.assign(Topic.prototype, { hold, letGo });
    },
  },
  {
    name: 'a job is replaced that somebody has begun',
    sabotage: {
      store: (store) => {
        const { scanAtOnce } = store;
        store.scanAtOnce = (stretches, use) =>
          scanAtOnce.call(store, stretches, (found) => {
            const restore = blindToAttempts();
            try {
              use(found);
            } finally {
              restore();
            }
          });
      },
    },
  },
  {
    name: 'it forgets the outcomes of a commit that was refused',
    sabotage: {
      store: ({ writes }) => {
        writes.failed = writes.committed;
      },
    },
  },
  {
    name: 'it forgets the results of a commit that was refused',
    sabotage: {
      store: ({ writes }) => {
        const failed = writes.failed.bind(writes);
        writes.failed = () => {
          failed();
          (writes.results as unknown[]).length = 0;
        };
      },
    },
  },
  {
    name: 'it tells of an outcome one commit later',
    sabotage: {
      store: ({ writes }) => {
        const late: Array<Parameters<typeof writes.tell>[0]> = [];
        const [tell, seal] = [writes.tell.bind(writes), writes.seal.bind(writes)];
        writes.tell = (result) => void late.push(result);
        writes.seal = (staged) => {
          const batch = seal(staged);
          for (const result of late.splice(0)) tell(result);
          return batch;
        };
      },
    },
  },
  {
    name: 'a replay does not forgive the attempts before',
    arm: replacing(
      Topic.prototype,
      'replay',
      (original) =>
        function (this: Topic, seq, dead, now) {
          original.call(this, seq, { ...dead, attempts: 0, crashes: 0 }, now);
        },
    ),
  },
  {
    name: 'a topic that comes back gets what was not for it',
    arm: replacing(
      Reading.prototype,
      'attach',
      () =>
        function (this: Reading) {
          this.detachedAt = undefined;
        },
    ),
  },
  ...flowMutants,
];
