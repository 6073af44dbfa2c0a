import { batches, records, type storage } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { after, endedBatchKey } from './core/keys.js';
import type { Store } from './store.js';

const { OPEN, CLOSED, ENDED, EXPIRED } = batches.BatchState;
const DAY_MS = 24 * 3_600_000;
const EXPIRES_AFTER_MS_MAX = 30 * DAY_MS;
/** How long an ended batch can be asked for. */
export const ENDED_RETENTION_MS = 7 * DAY_MS;
const BODY_BYTES_MAX = 64 * 1024;
const HEADERS_BYTES_MAX = 16 * 1024;
const PAGE = 50;
const PAGE_MAX = 1_000;
const ABANDON_MAX = 10_000;

/** Opens a batch; resolves when that is durable. Throws INVALID, UNKNOWN_QUEUE or BUSY. */
export async function openBatch(
  store: Store,
  { thenJob, expiresAfterMs }: storage.OpenBatchRequest,
): Promise<batches.Batch> {
  if (thenJob === undefined) throw new BusError('INVALID', 'a batch needs a job that follows it');
  if (expiresAfterMs < 0 || expiresAfterMs > EXPIRES_AFTER_MS_MAX)
    throw new BusError('INVALID', `a batch expires after up to 30 days, not ${expiresAfterMs} ms`);
  const { queue, body, headers, on } = thenJob;
  if (store.shard(queue).config === undefined)
    throw new BusError('UNKNOWN_QUEUE', `queue '${queue}' does not exist`);
  const headersBytes = Buffer.byteLength(Object.entries(headers).flat().join(''));
  if (body.length > BODY_BYTES_MAX || headersBytes > HEADERS_BYTES_MAX)
    throw new BusError(
      'TOO_LARGE',
      `the job that follows a batch takes up to ${BODY_BYTES_MAX} bytes and ${HEADERS_BYTES_MAX} of headers`,
    );
  let id = '';
  await store.committer.change(() => {
    const now = store.options.clock.now();
    id = store.newBatchId(now);
    const batch = batches.Batch.fromPartial({
      id,
      state: OPEN,
      thenQueue: queue,
      on: on || batches.BatchOn.ALWAYS,
      openedAtMs: now,
      expiresAtMs: now + (expiresAfterMs || DAY_MS),
    });
    store.batches.open({ batch, thenJob });
  });
  return getBatch(store, id);
}

/** Resolves when it is durable that the batch is closed. Throws NOT_FOUND, or CONFLICT if it came to another end. */
export async function closeBatch(store: Store, id: string): Promise<batches.Batch> {
  await store.committer.change(() => {
    store.batches.close(id, store.options.clock.now());
  });
  const batch = await getBatch(store, id);
  if (batch.state === CLOSED || batch.state === ENDED) return batch;
  const how = batch.state === EXPIRED ? 'has expired' : 'was abandoned';
  throw new BusError('CONFLICT', `batch '${id}' ${how} before it was closed`);
}

/** Gives batches up. Throws NOT_FOUND, before anything has changed, for one that is not followed by the queue. */
export async function abandonBatches(
  store: Store,
  { queue, ids }: storage.AbandonBatchesRequest,
): Promise<batches.Batch[]> {
  if (ids.length > ABANDON_MAX)
    throw new BusError('INVALID', `at most ${ABANDON_MAX} batches at once, not ${ids.length}`);
  for (const id of ids)
    if ((await getBatch(store, id)).thenQueue !== queue)
      throw new BusError('NOT_FOUND', `no batch '${id.slice(0, 64)}' is followed by '${queue}'`);
  await store.committer.change(() => {
    const now = store.options.clock.now();
    for (const id of ids) store.batches.abandon(id, now);
  });
  return Promise.all(ids.map((id) => getBatch(store, id)));
}

/** A batch as it is. Throws NOT_FOUND. */
export async function getBatch(store: Store, id: string): Promise<batches.Batch> {
  const known = store.batches.find(id);
  if (known !== undefined) return copyOf(known);
  // What memory does not know has ended, and that is durable.
  const bytes = isBatchId(id) ? await store.get(endedBatchKey(id)) : undefined;
  const batch = bytes && records.BatchRecord.decode(bytes).batch;
  if (batch !== undefined) return batch;
  throw new BusError('NOT_FOUND', `there is no batch '${id.slice(0, 64)}'`);
}

/** Keys are of few letters. */
const isBatchId = (id: string): boolean => /^[0-9a-f-]{36}$/.test(id);

/** A page of batches. Throws INVALID for a strange limit. */
export async function listBatches(
  store: Store,
  { state, limit, cursor }: storage.ListBatchesRequest,
): Promise<storage.ListBatchesResponse> {
  const max = limit || PAGE;
  if (max > PAGE_MAX) throw new BusError('INVALID', `limit ${limit}: 1 to ${PAGE_MAX}`);
  const wanted = (batch: batches.Batch): boolean => state === 0 || batch.state === state;
  if (!/^(|live:.*|ended:[0-9a-f-]{0,36})$/.test(cursor))
    throw new BusError('INVALID', `'${cursor.slice(0, 64)}' is no cursor of batches`);
  const isLive = cursor === '' || cursor.startsWith(LIVE);
  const page = isLive
    ? livePage(store, cursor.slice(LIVE.length), max)
    : await endedPage(store, cursor.slice(ENDED_ONES.length), max);
  return { ...page, batches: page.batches.filter(wanted) };
}

/** What a cursor begins with. */
const LIVE = 'live:';
const ENDED_ONES = 'ended:';

function livePage(store: Store, before: string, max: number): storage.ListBatchesResponse {
  const live = [...store.batches.live]
    .filter(({ id }) => before === '' || id < before)
    .sort((a, b) => (a.id < b.id ? 1 : -1));
  const page = live.slice(0, max).map(copyOf);
  const last = page.at(-1);
  const nextCursor = live.length > max && last ? LIVE + last.id : ENDED_ONES;
  return { batches: page, nextCursor };
}

async function endedPage(
  store: Store,
  before: string,
  limit: number,
): Promise<storage.ListBatchesResponse> {
  const start = endedBatchKey('');
  const end = before === '' ? after(start) : endedBatchKey(before);
  const page = await store.scan({ start, end, limit, reverse: true });
  const found = page.records.map(
    ([, value]) => records.BatchRecord.decode(value).batch ?? batches.Batch.fromPartial({}),
  );
  const last = found.at(-1);
  return { batches: found, nextCursor: page.next && last ? ENDED_ONES + last.id : '' };
}

/** What is handed out does not change any more. */
const copyOf = (batch: batches.Batch): batches.Batch => ({
  ...batch,
  errors: batch.errors.map((each) => ({ ...each })),
});

/** Ends batches that nobody has closed in time. */
export async function expireBatches(store: Store): Promise<void> {
  const { clock, log } = store.options;
  const overdue = store.batches.overdue(clock.now());
  if (overdue.length === 0) return;
  for (const { id, thenQueue, jobs } of overdue)
    log.warn(
      { batch: id, queue: thenQueue, jobs },
      'a batch has expired: nobody closed it in time',
    );
  await store.committer.change(() => {
    for (const { id } of overdue) store.batches.expire(id, clock.now());
  });
}
