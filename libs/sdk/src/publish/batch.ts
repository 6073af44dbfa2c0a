import { batches, type ingest } from '@malabar/contracts';
import { type Clock, reconnectDelayMs, sleep, toBusError } from '@malabar/core';
import type { CallOptions, Client } from '@malabar/rpc';
import { milliseconds } from '../duration.js';
import { writeEnvelope } from '../envelope.js';
import { toMalabarError } from '../errors.js';
import { checkedName, checkOptions } from '../names.js';
import type { Batch, BatchNext, BatchOptions, BatchStatus } from './batch-options.js';
import type { EventToPublish } from './options.js';
import { publishAll } from './publish-all.js';
import type { Publisher } from './publisher.js';

export interface BatchContext {
  client: Client<typeof ingest.IngestServiceDefinition>;
  publisher: Publisher;
  /** Who opens it, to the queue of the event that follows. */
  metadata: Record<string, string>;
  timeoutMs: number;
  clock: Clock;
  random: () => number;
}

const OPTIONS: readonly (keyof BatchOptions)[] = ['next', 'on', 'expires'];
const NEXT: readonly (keyof BatchNext)[] = ['event', 'params', 'queue', 'headers'];
/** Answers that pass. An opening that is said twice leaves an empty batch, which expires in silence. */
const PASSING: readonly string[] = ['UNAVAILABLE', 'BUSY', 'TIMEOUT'];
const RETRY_MS_MIN = 50;
const RETRY_MS_MAX = 2_000;

/** Throws a TypeError that names what is wrong with the options. */
export function batchRequest(options: BatchOptions): ingest.OpenBatchRequest {
  checkOptions('a batch', options, OPTIONS);
  const { next, on = 'always', expires } = options;
  if (next === undefined) throw new TypeError('a batch needs `next`: the event that follows it');
  checkOptions('next', next, NEXT);
  if (on !== 'always' && on !== 'success')
    throw new TypeError(`on: ${JSON.stringify(on)} is neither 'always' nor 'success'`);
  const event = checkedName('event', next.event);
  const thenJob = batches.BatchThen.fromPartial({
    queue: checkedName('queue', next.queue ?? event),
    body: next.params === undefined ? new Uint8Array() : writeEnvelope(event, next.params),
    headers: { ...next.headers },
    on: on === 'success' ? batches.BatchOn.SUCCESS : batches.BatchOn.ALWAYS,
    contentType: next.params === undefined ? '' : 'application/json',
  });
  return { thenJob, expiresAfterMs: expires === undefined ? 0 : milliseconds('expires', expires) };
}

/** Opens a batch. Rejects with a MalabarError. */
export async function openBatch<E extends object>(
  context: BatchContext,
  request: ingest.OpenBatchRequest,
): Promise<Batch<E>> {
  const { client, publisher } = context;
  const { id } = await ask(context, (options) => client.openBatch(request, options));
  return {
    id,
    publish: async (event, params, options = {}) =>
      publisher.publish(event, params ?? {}, { ...options, batch: id }),
    publishAll: (events) => publishAll(publisher, inBatch(id, events)),
    close: async () =>
      statusOf(await ask(context, (options) => client.closeBatch({ id }, options))),
    status: async () => statusOf(await ask(context, (options) => client.getBatch({ id }, options))),
  };
}

async function* inBatch(
  batch: string,
  events: Iterable<EventToPublish> | AsyncIterable<EventToPublish>,
): AsyncGenerator<EventToPublish> {
  for await (const event of events) yield { ...event, batch };
}

/** Asks until there is an answer, or the time is over. All these calls may be said twice. */
async function ask(
  { metadata, timeoutMs, clock, random }: BatchContext,
  call: (options: CallOptions) => Promise<{ batch?: batches.Batch }>,
): Promise<batches.Batch> {
  const untilMs = clock.now() + timeoutMs;
  for (let failures = 0; ; failures++) {
    try {
      const leftMs = Math.max(1, untilMs - clock.now());
      const { batch } = await call({ metadata, timeoutMs: leftMs });
      return batch ?? batches.Batch.fromPartial({});
    } catch (thrown) {
      const pauseMs = reconnectDelayMs(failures, random, RETRY_MS_MIN, RETRY_MS_MAX);
      const isLast = clock.now() + pauseMs >= untilMs;
      if (isLast || !PASSING.includes(toBusError(thrown).code)) throw toMalabarError(thrown);
      await sleep(clock, pauseMs);
    }
  }
}

function statusOf(batch: batches.Batch): BatchStatus {
  const { id, jobs, deliveries, done, dead, discarded, thenJobId } = batch;
  const state = batches.BatchState[batch.state]?.toLowerCase() as BatchStatus['state'];
  const open = deliveries - done - dead - discarded;
  const errors = batch.errors.map(({ code, count }) => ({ code, count }));
  return { id, state, jobs, deliveries, open, done, dead, discarded, errors, thenJobId };
}
