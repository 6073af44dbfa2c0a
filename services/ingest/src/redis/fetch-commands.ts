import { common } from '@malabar/contracts';
import { BusError, sleep, toBusError } from '@malabar/core';
import { parsePlace } from '../access.js';
import { type Connection, type Reply, Slot } from '../connection.js';
import { errorText } from '../error-text.js';
import { defaultTopic, type FetchedJob, type FetchWish, fetchJobs } from '../fetch.js';
import type { IntakeQueue } from '../intake.js';
import { readReceipt, writeReceipt } from '../receipt.js';
import { ANY_NUMBER, type RedisCommand, type RedisCommands } from './command.js';
import { fetchDetails } from './fetch-details.js';
import { parseNack } from './nack-options.js';
import type { RedisSession } from './session.js';

const COUNT_MAX = 1000;
/** One place: how long one call of storage may wait. Several: how long each gets in turn. */
const WAIT_MS_MAX = 20_000;
const TURN_MS = 100;
const EMPTY_PAUSE_MS = 10;

/** Fetching clients: take, acknowledge, give back, ask for more time. */
export const fetchCommands: RedisCommands = {
  GETJOB: {
    argumentsMin: 2,
    argumentsMax: ANY_NUMBER,
    summary:
      'Leases jobs: GETJOB [NOHANG] [TIMEOUT ms] [COUNT n] [WITHDETAILS] FROM queue/topic ...',
    flags: ['write', 'blocking'],
    key: 0,
    run: getjob,
  },
  ACKJOB: settling('Done: ends the leases of these receipts.', (receipts) => ({
    receipts,
    outcome: { kind: common.OutcomeKind.DONE },
  })),
  NACK: settling(
    'Failed: NACK receipt ... [DEAD | CRASH | RELEASE] [AFTER seconds] [CODE code] [ERROR words]; ' +
      'else the retry policy of the topic decides what follows.',
    parseNack,
  ),
  WORKING: settling('Still at it: the lease starts anew.', (receipts) => ({
    receipts,
    outcome: { kind: common.OutcomeKind.EXTEND },
  })),
};

interface Source {
  /** As the client wrote it. */
  name: string;
  queue: IntakeQueue;
  topic: string;
}

interface GetjobWish {
  waits: boolean;
  /** 0: for ever. */
  timeoutMs: number;
  count: number;
  /** Each job comes with a fourth element: what the bus knows of it. */
  detailed: boolean;
  sources: Source[];
}

/** Receipts with what became of their jobs. */
interface Settlement {
  receipts: readonly string[];
  outcome: Partial<common.Outcome>;
}

function getjob(session: RedisSession, connection: Connection): Reply {
  const { parser } = connection;
  const words = Array.from({ length: parser.count - 1 }, (_, i) => parser.text(i + 1));
  const wish = parseGetjob(session, words);
  return connection.hold(() => take(session, connection, wish));
}

function parseGetjob(session: RedisSession, words: readonly string[]): GetjobWish {
  const wish: GetjobWish = {
    waits: true,
    timeoutMs: 0,
    count: 1,
    detailed: false,
    sources: [],
  };
  for (let i = 0; i < words.length; i++) {
    const option = (words[i] as string).toUpperCase();
    if (option === 'NOHANG') wish.waits = false;
    else if (option === 'WITHDETAILS') wish.detailed = true;
    else if (option === 'TIMEOUT') wish.timeoutMs = whole(option, words[++i], 0, 86_400_000);
    else if (option === 'COUNT') wish.count = whole(option, words[++i], 1, COUNT_MAX);
    else if (option === 'FROM') {
      wish.sources = words.slice(i + 1).map((name) => source(session, name));
      break;
    } else throw new BusError('INVALID', `GETJOB has no option '${words[i]}'`);
  }
  if (wish.sources.length === 0) {
    throw new BusError('INVALID', 'GETJOB needs FROM and at least one queue/topic');
  }
  return wish;
}

function whole(name: string, text: string | undefined, min: number, max: number): number {
  const value = /^\d{1,9}$/.test(text ?? '') ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new BusError('INVALID', `GETJOB ${name} must be ${min} to ${max}, got '${text ?? ''}'`);
}

function source(session: RedisSession, name: string): Source {
  const place = parsePlace(name);
  const queue = session.context.intake.require(place.queue);
  const topic = place.topic ?? defaultTopic(queue);
  const error = session.access.fetchRefusal(queue, topic);
  if (error) throw error;
  return { name, queue, topic };
}

async function take(
  session: RedisSession,
  connection: Connection,
  wish: GetjobWish,
): Promise<string> {
  const { clock } = session.context;
  const { signal } = session.gone;
  const until = wish.timeoutMs > 0 ? clock.now() + wish.timeoutMs : Number.POSITIVE_INFINITY;
  const turnMs = wish.sources.length === 1 ? WAIT_MS_MAX : TURN_MS;
  const items: string[] = [];
  await takeInTurn(session, connection, wish, 0, items);
  while (wish.waits && items.length === 0 && clock.now() < until && !signal.aborted) {
    const began = clock.now();
    const waitMs = Math.min(turnMs, until - began);
    await takeInTurn(session, connection, wish, waitMs, items);
    // A storage that answers "nothing" without waiting must not make us spin.
    if (items.length === 0 && clock.now() === began) await sleep(clock, EMPTY_PAUSE_MS, signal);
  }
  return items.length > 0 ? session.encoder.array(items) : session.encoder.nilArray();
}

/** One round over the sources, oldest wish first; stops when the client has what it asked for. */
async function takeInTurn(
  session: RedisSession,
  connection: Connection,
  wish: GetjobWish,
  waitMs: number,
  items: string[],
): Promise<void> {
  for (const from of wish.sources) {
    if (items.length >= wish.count) return;
    const jobs = await fetchPatiently(session, from.queue, {
      topic: from.topic,
      jobsMax: wish.count - items.length,
      waitMs: items.length > 0 ? 0 : Math.max(0, waitMs),
      settle: false,
      consumer: session.name || session.address,
    });
    if (connection.closed) return giveBack(session, jobs);
    for (const job of jobs) items.push(item(session, from, job, wish.detailed));
  }
}

/** A wait ends empty when the client leaves. */
async function fetchPatiently(
  session: RedisSession,
  queue: IntakeQueue,
  wish: FetchWish,
): Promise<FetchedJob[]> {
  const { storage } = session.context;
  if (wish.waitMs === 0) return fetchJobs(storage, queue, wish);
  const { signal } = session.gone;
  try {
    return await fetchJobs(storage, queue, { ...wish, signal });
  } catch (thrown) {
    if (signal.aborted) return [];
    throw thrown;
  }
}

function item(session: RedisSession, from: Source, fetched: FetchedJob, detailed: boolean): string {
  const { encoder } = session;
  const { jobId, leaseId, job } = fetched;
  const receipt = writeReceipt(from.queue, { topic: from.topic, jobId, leaseId });
  const body = Buffer.from(job.body.buffer, job.body.byteOffset, job.body.length);
  const parts = [encoder.bulk(from.name), encoder.bulk(receipt), encoder.bytes(body)];
  if (detailed) parts.push(fetchDetails(encoder, fetched, session.context.clock.now()));
  return encoder.array(parts);
}

/** The client left while it waited: nobody will work on these. */
function giveBack(session: RedisSession, jobs: readonly FetchedJob[]): void {
  for (const { leaseId } of jobs) {
    const outcome = { leaseId, kind: common.OutcomeKind.RELEASE };
    // If this fails too, the lease ends by itself.
    session.context.settler.settle(common.Outcome.fromPartial(outcome)).catch(() => false);
  }
}

function settling(summary: string, read: (words: string[]) => Settlement): RedisCommand {
  return {
    argumentsMin: 1,
    argumentsMax: ANY_NUMBER,
    summary,
    flags: ['write', 'fast'],
    key: 0,
    run: (session, connection) => settle(session, connection, read),
  };
}

/** Settlements do not wait for each other, so a pipeline of them is one call of storage. */
function settle(
  session: RedisSession,
  connection: Connection,
  read: (words: string[]) => Settlement,
): Reply {
  const { parser } = connection;
  const { intake, settler } = session.context;
  const words = Array.from({ length: parser.count - 1 }, (_, i) => parser.text(i + 1));
  const { receipts, outcome } = read(words);
  const outcomes = receipts.map((text) => {
    const { queue, topic, leaseId } = readReceipt(intake, text);
    const error = session.access.fetchRefusal(intake.require(queue), topic);
    if (error) throw error;
    return common.Outcome.fromPartial({ ...outcome, leaseId });
  });
  const slot = new Slot(connection);
  connection.open(slot, 0);
  Promise.all(outcomes.map((outcome) => settler.settle(outcome))).then(
    // As in Disque: receipts whose lease had ended do not count.
    (current) => slot.resolve(session.encoder.integer(current.filter(Boolean).length)),
    (thrown) => slot.resolve(errorText(toBusError(thrown))),
  );
  return undefined;
}
