import { batches } from '@malabar/contracts';
import type { BusError } from '@malabar/core';
import type { ReplyEncoder } from '@malabar/resp';
import { BatchCalls } from '../batch-calls.js';
import type { Connection, Reply } from '../connection.js';
import type { IntakeQueue } from '../intake.js';
import { parseBatchOptions } from './batch-options.js';
import { ANY_NUMBER, type RedisCommands } from './command.js';
import type { RedisSession } from './session.js';
import { wordsFrom } from './words.js';

/** Batches: BATCHOPEN, then ADDJOB ... BATCH id, then BATCHCLOSE. */
export const batchCommands: RedisCommands = {
  BATCHOPEN: {
    argumentsMin: 2,
    argumentsMax: ANY_NUMBER,
    summary:
      'Opens a batch and answers its id; queue and body are of the job that follows it: BATCHOPEN queue body ' +
      '[ON ALWAYS|SUCCESS] [EXPIRES s] [HEADER name value] ...',
    flags: ['write'],
    key: 1,
    run: open,
  },
  BATCHCLOSE: {
    argumentsMin: 1,
    argumentsMax: 1,
    summary: 'All jobs of a batch are pushed: it ends when they have. Answers the batch.',
    flags: ['write'],
    key: 0,
    run: (session, connection) =>
      answer(session, connection, (calls, id) => calls.close(id, refusalOf(session))),
  },
  BATCHSHOW: {
    argumentsMin: 1,
    argumentsMax: 1,
    summary: 'A batch with what has become of its jobs so far.',
    flags: ['readonly'],
    key: 0,
    run: (session, connection) =>
      answer(session, connection, (calls, id) => calls.get(id, refusalOf(session))),
  },
};

function open(session: RedisSession, connection: Connection): Reply {
  const { parser } = connection;
  const { expiresAfterMs, ...more } = parseBatchOptions(wordsFrom(parser, 'BATCHOPEN', 3));
  // What the parser holds is gone when the call is made.
  const body = Buffer.from(parser.argument(2));
  const thenJob = batches.BatchThen.fromPartial({ queue: parser.text(1), body, ...more });
  return connection.hold(async () => {
    const calls = new BatchCalls(session.context);
    const { id } = await calls.open({ thenJob, expiresAfterMs }, refusalOf(session));
    return session.encoder.bulk(id);
  });
}

function answer(
  session: RedisSession,
  connection: Connection,
  ask: (calls: BatchCalls, id: string) => Promise<batches.Batch>,
): Reply {
  const id = connection.parser.text(1);
  return connection.hold(async () =>
    describe(session.encoder, await ask(new BatchCalls(session.context), id)),
  );
}

const refusalOf =
  (session: RedisSession) =>
  (queue: IntakeQueue): BusError | undefined =>
    session.access.pushRefusal(queue);

function describe(encoder: ReplyEncoder, batch: batches.Batch): string {
  const { deliveries, done, dead, discarded } = batch;
  const state = batches.BatchState[batch.state] ?? String(batch.state);
  const errors = batch.errors.map(({ code, count }) => ({ code, count }));
  return encoder.map([
    ['id', encoder.bulk(batch.id)],
    ['state', encoder.bulk(state.toLowerCase())],
    ['then-queue', encoder.bulk(batch.thenQueue)],
    ['then-job', encoder.bulk(batch.thenJobId)],
    ['jobs', encoder.integer(batch.jobs)],
    ['deliveries', encoder.integer(deliveries)],
    ['open', encoder.integer(deliveries - done - dead - discarded)],
    ['done', encoder.integer(done)],
    ['dead', encoder.integer(dead)],
    ['discarded', encoder.integer(discarded)],
    ['errors', encoder.bulk(JSON.stringify(errors))],
    ['opened-at-ms', encoder.integer(batch.openedAtMs)],
    ['closed-at-ms', encoder.integer(batch.closedAtMs)],
    ['ended-at-ms', encoder.integer(batch.endedAtMs)],
    ['expires-at-ms', encoder.integer(batch.expiresAtMs)],
  ]);
}
