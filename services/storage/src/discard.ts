import { records, type storage } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { Browser } from './browse.js';
import { entryKey } from './core/keys.js';
import { isSameRecord, placeOf } from './core/placement.js';
import type { Topic } from './core/topic.js';
import type { Store } from './store.js';

/** So often a delivery may change while it is looked up. */
const TRIES = 20;
const JOBS_MAX = 10_000;

/**
 * Takes jobs back: deliveries that wait or are dead are discarded, those that are leased are left alone.
 * Resolves when that is durable. Throws UNKNOWN_QUEUE, UNKNOWN_TOPIC, UNKNOWN_JOB, or BUSY while dead
 * deliveries of the topic are replayed; the jobs named before may be discarded by then.
 */
export async function discard(
  store: Store,
  browser: Browser,
  { queue, topic, jobIds, reason }: storage.DiscardRequest,
): Promise<storage.DiscardResponse> {
  if (jobIds.length > JOBS_MAX)
    throw new BusError('INVALID', `at most ${JOBS_MAX} jobs at once, not ${jobIds.length}`);
  const shard = store.shard(queue);
  const topics = topic === '' ? [...shard.topics.values()] : [store.topic(queue, topic)];
  const answer = { discarded: 0, leased: 0 };
  try {
    for (const id of new Set(jobIds)) {
      const found = await browser.locate(id);
      if (found.shard !== shard)
        throw new BusError('UNKNOWN_JOB', `job ${id} is not in queue '${queue}'`);
      for (const one of topics) {
        const became = await withdraw(store, one, found.seq, { reason });
        if (became !== 'ended') answer[became]++;
      }
    }
  } finally {
    for (const one of topics) store.delivery.touch(one);
    await store.committer.flush();
  }
  return answer;
}

type Became = 'discarded' | 'leased' | 'ended';

interface Withdrawal {
  reason: string;
  /** Leaves alone what is not dead. */
  only?: 'dead';
}

/** Takes one delivery back, wherever it waits. Durable with the next commit. */
export async function withdraw(
  store: Store,
  topic: Topic,
  seq: number,
  how: Withdrawal,
): Promise<Became> {
  for (let tries = 0; tries < TRIES; tries++) {
    const became = await tryWithdraw(store, topic, seq, how);
    if (became !== 'changed') return became;
  }
  throw new BusError('BUSY', 'the delivery changes all the time; try again');
}

/** Looks a delivery up and decides at the same moment. */
async function tryWithdraw(
  store: Store,
  topic: Topic,
  seq: number,
  { reason, only }: Withdrawal,
): Promise<Became | 'changed'> {
  const { shard, id } = topic;
  const now = store.options.clock.now();
  const whereKey = entryKey('S', shard, id, seq);
  const where = await store.get(whereKey);
  const dueKey = where && placeOf(shard, id, seq, where);
  const keys = [whereKey, entryKey('D', shard, id, seq), dueKey ?? whereKey];
  let became: Became | 'changed' = 'ended';
  await store.getAtOnce(keys, ([stands, dead, entry]) => {
    const state = topic.stateInMemory(seq);
    if (state === 'leased') became = 'leased';
    else if (state === 'ready' || state === 'unmatured') became = 'discarded';
    else if (stands !== undefined) became = isSameRecord(stands, where) ? 'discarded' : 'changed';
    else if (dead !== undefined) became = 'discarded';
    if (became === 'discarded' && only === 'dead' && dead === undefined) became = 'ended';
    if (became !== 'discarded') return;
    if (dead !== undefined && topic.replaying)
      throw new BusError('BUSY', `dead jobs of topic '${topic.name}' are being replayed`);
    const record = stands && entry && records.EntryRecord.decode(entry);
    const grave = dead && records.EntryRecord.decode(dead);
    topic.withdraw(seq, { entry: record, dead: grave }, reason, now);
    store.committer.dirty();
  });
  return became;
}
