import { records, type storage } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { Browser } from './browse.js';
import { after, ENTRY_SEQ_AT, entryKey, readU48, topicPrefix } from './core/keys.js';
import { replaysMax } from './core/retry-policy.js';
import type { Topic } from './core/topic.js';
import type { Store } from './store.js';

/** Deliveries replayed in one commit. */
const BATCH = 500;

/**
 * Puts dead deliveries back to ready under their old ids. Without ids it takes those that are dead now;
 * one that dies again meanwhile is not taken twice. Yields its progress. Throws UNKNOWN_JOB, before it
 * has changed anything, if a named job is not dead in the topic, INVALID if it was replayed as often as the
 * topic allows and the request does not force it, and BUSY while another replay runs there.
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
    request.jobIds.length > 0 ? named(store, browser, topic, request) : everyDead(store, topic);
  let replayed = 0;
  let refused = 0;
  for await (const batch of batches) {
    const allowed = batch.filter(([, record]) => request.force || mayBeReplayed(topic, record));
    refused += batch.length - allowed.length;
    replayed += await replayBatch(store, topic, allowed);
    yield { replayed, total, refused };
  }
  if (replayed + refused === 0) yield { replayed, total, refused };
}

const mayBeReplayed = ({ config }: Topic, { replays }: records.EntryRecord): boolean =>
  replays < replaysMax(config);

export type Dead = [seq: number, record: records.EntryRecord];

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
  { jobIds, force }: storage.ReplayRequest,
): AsyncGenerator<Dead[]> {
  const found = new Map<number, records.EntryRecord>();
  for (const id of jobIds) {
    const { seq } = await browser.locate(id);
    const bytes = await store.get(entryKey('D', topic.shard, topic.id, seq));
    if (bytes === undefined)
      throw new BusError('UNKNOWN_JOB', `job ${id} is not dead in topic '${topic.name}'`);
    const record = records.EntryRecord.decode(bytes);
    if (!force && !mayBeReplayed(topic, record)) throw replayedEnough(id, topic, record);
    found.set(seq, record);
  }
  yield [...found];
}

function replayedEnough(id: string, topic: Topic, { replays }: records.EntryRecord): BusError {
  const text =
    `job ${id} was replayed ${plural(replays)} and died each time; topic '${topic.name}' allows ` +
    `${replaysMax(topic.config)} (retry.replays), more only if it is forced`;
  return new BusError('INVALID', text);
}

const plural = (times: number): string => (times === 1 ? 'once' : `${times} times`);

/** What is dead now, page by page. */
export async function* everyDead(store: Store, topic: Topic): AsyncGenerator<Dead[]> {
  const startedAtMs = store.options.clock.now();
  const prefix = topicPrefix('D', topic.shard, topic.id);
  for await (const page of store.pages(prefix, after(prefix), BATCH))
    yield page
      .map(([key, value]): Dead => [readU48(key, ENTRY_SEQ_AT), records.EntryRecord.decode(value)])
      .filter(([, record]) => record.sinceMs <= startedAtMs);
}
