import { records } from '@malabar/contracts';
import { entryKey } from './core/keys.js';
import type { Entry } from './core/lane.js';
import type { Held } from './core/making-room.js';
import { isSameRecord, placeOf } from './core/placement.js';
import type { Shard } from './core/shard.js';
import type { Topic } from './core/topic.js';
import type { Store } from './store.js';

/** So often a delivery may change while it is looked up. */
const TRIES = 20;

/** What a topic has of a job. */
type Found =
  | { state: 'none' | 'begun' | 'changed' }
  /** In the log's order. */
  | { state: 'fresh' }
  | { state: 'entry'; entry: Entry };

/**
 * Holds the holder of an idempotency key in all topics in which it waits, so that nobody gets it before a
 * commit has decided. Undefined if a topic has begun it, or none has it any more. Topics that are
 * configured no more have no say.
 */
export async function holdWaiting(
  store: Store,
  shard: Shard,
  holder: records.KeyRecord,
): Promise<Held | undefined> {
  if (holder.expiresAtMs <= store.options.clock.now()) return undefined;
  for (let tries = 0; tries < TRIES; tries++) {
    const held = await tryToHold(store, shard.attached, holder);
    if (held !== 'changed') return held;
  }
  // It is on the move all the time, so it is being worked on.
  return undefined;
}

/** Looks in all topics and decides at the same moment. */
async function tryToHold(
  store: Store,
  topics: readonly Topic[],
  { seq, acceptedAtMs }: records.KeyRecord,
): Promise<Held | undefined | 'changed'> {
  const wheres = await Promise.all(
    topics.map(({ shard, id }) => store.get(entryKey('S', shard, id, seq))),
  );
  const keys = topics.flatMap(({ shard, id }, i) => {
    const whereKey = entryKey('S', shard, id, seq);
    const where = wheres[i];
    return [
      whereKey,
      entryKey('X', shard, id, seq),
      where ? placeOf(shard, id, seq, where) : whereKey,
    ];
  });
  let held: Held | undefined | 'changed';
  await store.getAtOnce(keys, (records) => {
    const found = topics.map((topic, i) =>
      look(topic, seq, [wheres[i], ...records.slice(3 * i, 3 * i + 3)]),
    );
    if (found.some(({ state }) => state === 'changed')) held = 'changed';
    else if (!found.some(({ state }) => state === 'begun'))
      held = hold(store, topics, found, { seq, acceptedAtMs });
  });
  return held;
}

function look(
  topic: Topic,
  seq: number,
  [where, stands, discarded, due]: Array<Uint8Array | undefined>,
): Found {
  const memory = topic.stateInMemory(seq);
  if (memory === 'none') return { state: 'none' };
  if (memory === 'leased') return { state: 'begun' };
  if (memory !== 'taken') return { state: 'fresh' };
  if (stands !== undefined) {
    if (!isSameRecord(stands, where) || due === undefined) return { state: 'changed' };
    const record = records.EntryRecord.decode(due);
    return record.attempts > 0 ? { state: 'begun' } : { state: 'entry', entry: { seq, record } };
  }
  const gone = discarded && records.EntryRecord.decode(discarded);
  return { state: gone?.attempts === 0 ? 'none' : 'begun' };
}

function hold(
  store: Store,
  topics: readonly Topic[],
  found: readonly Found[],
  { seq, acceptedAtMs }: { seq: number; acceptedAtMs: number },
): Held | undefined {
  const entries = topics.flatMap((topic, i): Array<readonly [Topic, Entry]> => {
    const one = found[i] as Found;
    if (one.state === 'entry') return [[topic, one.entry]];
    if (one.state !== 'fresh') return [];
    const dueAtMs = acceptedAtMs + topic.config.delayMs;
    const record = records.EntryRecord.fromPartial({
      acceptedAtMs,
      sinceMs: acceptedAtMs,
      dueAtMs,
    });
    topic.toLane(seq, record, store.options.clock.now());
    return [[topic, { seq, record }]];
  });
  for (const [topic, entry] of entries) {
    topic.hold(entry);
    store.delivery.touch(topic);
  }
  return entries.length === 0 ? undefined : { seq, entries, used: false };
}
