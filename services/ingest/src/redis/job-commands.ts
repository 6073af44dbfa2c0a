import { common } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { parsePlace } from '../access.js';
import type { BatchAnswer, JobOptions, Waiter } from '../batch.js';
import { inBatch } from '../batch-calls.js';
import { type Connection, type Reply, Slot } from '../connection.js';
import { errorText } from '../error-text.js';
import { parseAddjob } from './addjob-options.js';
import { ANY_NUMBER, type RedisCommand, type RedisCommands } from './command.js';
import type { RedisSession } from './session.js';
import { show } from './show-command.js';
import { wordsFrom } from './words.js';

const COUNT_TIMEOUT_MS = 5_000;

const length: RedisCommand = {
  argumentsMin: 1,
  argumentsMax: 1,
  summary: 'Ready deliveries of queue/topic, or of the fullest topic of the queue.',
  flags: ['readonly'],
  key: 1,
  run(session, connection) {
    const name = connection.parser.text(1);
    const count = countReady(session, name);
    return connection.hold(async () => session.encoder.integer(await count()));
  },
};

/** Commands about jobs and queues, beside the hot LPUSH and RPUSH. */
export const jobCommands: RedisCommands = {
  ADDJOB: {
    argumentsMin: 3,
    argumentsMax: ANY_NUMBER,
    summary:
      'Pushes one job and answers its id: ADDJOB queue body timeout [DELAY s] [TTL s] [RETRY s] ' +
      '[KEY k] [UNIQUE id [WINDOW s] [DEBOUNCE s [MAXWAIT s]]] [PRIORITY 0-9] [MAXLEN n] ' +
      '[BATCH id] [HEADER name value] ...',
    flags: ['write'],
    key: 1,
    run: addjob,
  },
  LLEN: length,
  QLEN: length,
  SHOW: show,
};

/** Checks at once, counts when called. */
function countReady(session: RedisSession, name: string): () => Promise<number> {
  const { intake, storage } = session.context;
  const place = parsePlace(name);
  const queue = intake.require(place.queue);
  const error =
    place.topic === undefined
      ? session.access.pushRefusal(queue)
      : session.access.fetchRefusal(queue, place.topic);
  if (error) throw error;
  return async () => {
    const { queues } = await storage.listQueues(
      { queue: queue.name },
      { timeoutMs: COUNT_TIMEOUT_MS },
    );
    const topics = (queues[0]?.topics ?? []).filter(
      (each) => place.topic === undefined || each.topic === place.topic,
    );
    return Math.max(0, ...topics.map((each) => each.ready));
  };
}

class AddedJob extends Slot implements Waiter {
  readonly protocol = 'redis';

  constructor(
    connection: Connection,
    readonly session: RedisSession,
  ) {
    super(connection);
  }

  /** Stops the producer's own timeout. */
  cancelTimeout: (() => void) | undefined;

  settle(answer: BatchAnswer, index: number): void {
    this.cancelTimeout?.();
    const [outcome] = answer.outcomes(index, 1);
    if (outcome?.error) this.resolve(errorText(outcome.error));
    else this.resolve(this.session.encoder.bulk(outcome?.jobId ?? ''));
  }
}

function addjob(session: RedisSession, connection: Connection): Reply {
  const { parser } = connection;
  const { intake, clock } = session.context;
  const queue = intake.require(parser.text(1));
  const body = parser.argument(2);
  const words = wordsFrom(parser, 'ADDJOB', 3);
  const wish = parseAddjob(words, clock.now());
  const error =
    session.access.pushRefusal(queue) ?? intake.refusal(queue, body.length, body.length);
  if (error) throw intake.refused(queue.name, error);
  const slot = new AddedJob(connection, session);
  connection.open(slot, body.length);
  const options: JobOptions = wish.options;
  const job = common.Job.fromPartial({ ...wish.job, headers: wish.headers, body });
  intake.addJob(intake.batch(queue), slot, intake.encode(inBatch(job)), options);
  if (wish.timeoutMs > 0) {
    const text = `not on disk within ${wish.timeoutMs} ms; the job may still be stored`;
    const late = (): void => slot.resolve(errorText(new BusError('TIMEOUT', text)));
    slot.cancelTimeout = clock.after(wish.timeoutMs, late);
  }
  return undefined;
}
