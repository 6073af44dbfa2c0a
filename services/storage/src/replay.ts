import { records, type storage } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { Browser } from './browse.js';
import { after, ENTRY_SEQ_AT, entryKey, readU48, topicPrefix } from './core/keys.js';
import type { Topic } from './core/topic.js';
import type { Store } from './store.js';

/** Deliveries replayed in one commit. */
const BATCH = 500;

/**
 * Puts dead deliveries back to ready under their old ids. Without ids it takes those that are dead now;
 * one that dies again meanwhile is not taken twice. Yields its progress. Throws UNKNOWN_JOB, before it
 * has changed anything, if a named job is not dead in the topic, and BUSY while another replay runs there.
 */
export async function* replay(
  store: Store,
  browser: Browser,
  request: storage.ReplayRequest,
): AsyncGenerator<storage.ReplayResponse> {
  const topic = store.topic(request.queue, request.topic);
  if (topic.replaying)
    throw new BusError('BUSY', `topic '${request.queue}/${request.topic}' is being replayed`);
  topic.replaying = true;
  try {
    yield* replayDead(store, browser, topic, request);
  } finally {
    topic.replaying = false;
  }
}

async function* replayDead(
  store: Store,
  browser: Browser,
  topic: Topic,
  request: storage.ReplayRequest,
): AsyncGenerator<storage.ReplayResponse> {
  const total = request.jobIds.length > 0 ? request.jobIds.length : topic.counts().dead;
  const batches =
    request.jobIds.length > 0
      ? named(store, browser, topic, request.jobIds)
      : everyDead(store, topic);
  let replayed = 0;
  for await (const batch of batches) {
    replayed += await replayBatch(store, topic, batch);
    yield { replayed, total };
  }
  if (replayed === 0) yield { replayed, total };
}

type Dead = [seq: number, record: records.EntryRecord];

async function replayBatch(store: Store, topic: Topic, batch: Dead[]): Promise<number> {
  const now = store.options.clock.now();
  for (const [seq, record] of batch) topic.replay(seq, record, now);
  store.delivery.touch(topic);
  await store.committer.flush();
  return batch.length;
}

async function* named(
  store: Store,
  browser: Browser,
  topic: Topic,
  ids: readonly string[],
): AsyncGenerator<Dead[]> {
  const found = new Map<number, records.EntryRecord>();
  for (const id of ids) {
    const { seq } = await browser.locate(id);
    const bytes = await store.get(entryKey('D', topic.shard, topic.id, seq));
    if (bytes === undefined)
      throw new BusError('UNKNOWN_JOB', `job ${id} is not dead in topic '${topic.name}'`);
    found.set(seq, records.EntryRecord.decode(bytes));
  }
  yield [...found];
}

async function* everyDead(store: Store, topic: Topic): AsyncGenerator<Dead[]> {
  const startedAtMs = store.options.clock.now();
  const prefix = topicPrefix('D', topic.shard, topic.id);
  let start: string | undefined = prefix;
  while (start !== undefined) {
    const page = await store.scan({ start, end: after(prefix), limit: BATCH });
    start = page.next;
    yield page.records
      .map(([key, value]): Dead => [readU48(key, ENTRY_SEQ_AT), records.EntryRecord.decode(value)])
      .filter(([, record]) => record.sinceMs <= startedAtMs);
  }
}
