import type { ingest } from '@malabar/contracts';
import {
  BusError,
  Channel,
  type Clock,
  fromFault,
  reconnectDelayMs,
  toBusError,
} from '@malabar/core';
import type { Client } from '@malabar/rpc';
import { toPublishError } from '../errors.js';
import type { Log } from '../log.js';
import type { Entry } from './entry.js';

/** Requests under way at once: enough to fill the time of a commit, few enough that they grow. */
const REQUESTS_MAX = 32;
/** Ingest reads no further when it holds so much of one stream. */
const BYTES_IN_FLIGHT_MAX = 4 * 1024 * 1024;
const BATCH_JOBS_MAX = 1_000;
const BATCH_BYTES_MAX = 512 * 1024;
const RECONNECT_MS_MIN = 50;
const RECONNECT_MS_MAX = 2_000;
/** Answers that pass: the same events are sent again under the same keys. */
const PASSING: readonly string[] = ['UNAVAILABLE', 'BUSY', 'TIMEOUT'];
/** Ends of a stream that say for sure that nothing of it was taken. */
const TURNED_AWAY: readonly string[] = [
  'UNAUTHENTICATED',
  'WRONG_PASSWORD',
  'FORBIDDEN',
  'UNSUPPORTED',
];

export interface LaneOptions {
  client: Client<typeof ingest.IngestServiceDefinition>;
  /** Who publishes. */
  metadata: Record<string, string>;
  clock: Clock;
  random: () => number;
  log: Log;
}

interface Batch {
  entries: Entry[];
  bytes: number;
}

/**
 * One stream to ingest and what waits for it. What is published in one turn of the event loop travels
 * together, and while the stream is full batches grow. A broken stream is opened again, and what had
 * no answer goes first: under the keys that it had, so the bus takes it once.
 */
export class Lane {
  readonly #options: LaneOptions;
  /** By queue and window of its keys: one request has one of each. */
  readonly #waiting = new Map<string, Entry[]>();
  readonly #sent = new Map<number, Batch>();
  #bytesInFlight = 0;
  #out: Channel<ingest.SubmitStreamRequest> | undefined;
  #lastId = 0;
  #failures = 0;
  #isPaused = false;
  #isScheduled = false;
  /** Why the last try failed: what events hear whose time runs out. */
  #trouble: BusError | undefined;

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  /** Why nothing goes through at the moment; undefined if it does. */
  get trouble(): BusError | undefined {
    return this.#trouble;
  }

  add(entry: Entry): void {
    this.#group(entry).push(entry);
    this.#schedule();
  }

  /** Ends the stream; nothing may be waiting. */
  close(): void {
    this.#out?.end();
    this.#out = undefined;
  }

  #group({ queue, windowMs }: Entry): Entry[] {
    const key = `${queue} ${windowMs}`;
    const group = this.#waiting.get(key) ?? [];
    this.#waiting.set(key, group);
    return group;
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isPaused) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      if (!this.#isPaused) this.#flush();
    });
  }

  #flush(): void {
    while (this.#sent.size < REQUESTS_MAX && this.#bytesInFlight < BYTES_IN_FLIGHT_MAX) {
      const batch = this.#nextBatch();
      if (batch === undefined) return;
      this.#send(batch);
    }
  }

  /** From the group that has waited longest; it goes to the end, so that no queue starves another. */
  #nextBatch(): Batch | undefined {
    for (const [key, group] of this.#waiting) {
      this.#waiting.delete(key);
      const batch: Batch = { entries: [], bytes: 0 };
      let taken = 0;
      for (const entry of group) {
        const isFull = batch.entries.length > 0 && batch.bytes + entry.bytes > BATCH_BYTES_MAX;
        if (isFull || batch.entries.length === BATCH_JOBS_MAX) break;
        taken++;
        if (entry.isSettled) continue;
        batch.entries.push(entry);
        batch.bytes += entry.bytes;
      }
      if (taken < group.length) this.#waiting.set(key, group.slice(taken));
      if (batch.entries.length > 0) return batch;
    }
    return undefined;
  }

  #send(batch: Batch): void {
    const { queue, windowMs } = batch.entries[0] as Entry;
    for (const entry of batch.entries) {
      entry.isRepeated = entry.isSent;
      entry.isSent = true;
    }
    const requestId = ++this.#lastId;
    this.#sent.set(requestId, batch);
    this.#bytesInFlight += batch.bytes;
    const jobs = batch.entries.map(({ job }) => job);
    this.#open().push({ requestId, queue, jobs, idempotencyWindowMs: windowMs });
  }

  #open(): Channel<ingest.SubmitStreamRequest> {
    if (this.#out === undefined) {
      this.#out = new Channel();
      void this.#read(this.#out);
    }
    return this.#out;
  }

  async #read(out: Channel<ingest.SubmitStreamRequest>): Promise<void> {
    const { client, metadata } = this.#options;
    let ended = new BusError('UNAVAILABLE', 'ingest has ended the stream');
    try {
      for await (const answer of client.submitStream(out, { metadata })) this.#answered(answer);
    } catch (thrown) {
      ended = toBusError(thrown);
    }
    out.end();
    if (this.#out !== out) return;
    this.#out = undefined;
    const entries = [...this.#sent.values()].flatMap((batch) => batch.entries);
    this.#sent.clear();
    this.#bytesInFlight = 0;
    this.#failed(entries, ended, !TURNED_AWAY.includes(ended.code));
  }

  #answered({ requestId, results, fault }: ingest.SubmitStreamResponse): void {
    const batch = this.#sent.get(requestId);
    if (batch === undefined) return;
    this.#sent.delete(requestId);
    this.#bytesInFlight -= batch.bytes;
    if (fault !== undefined) this.#failed(batch.entries, fromFault(fault));
    else this.#settle(batch, results);
  }

  #settle(batch: Batch, results: readonly ingest.SubmitResult[]): void {
    this.#failures = 0;
    this.#trouble = undefined;
    const again: Entry[] = [];
    let passing: BusError | undefined;
    batch.entries.forEach((entry, at) => {
      const result = results[at];
      const error = result?.fault && fromFault(result.fault);
      if (error !== undefined && PASSING.includes(error.code)) {
        again.push(entry);
        passing = error;
      } else if (error !== undefined) entry.reject(toPublishError(error));
      else entry.resolve({ id: result?.jobId ?? '', duplicate: result?.duplicate ?? false });
    });
    if (passing !== undefined) this.#failed(again, passing);
    else this.#schedule();
  }

  /** Sent again after a pause, or told to whom they belong. */
  #failed(entries: readonly Entry[], error: BusError, mayHaveHappened = false): void {
    if (!PASSING.includes(error.code)) {
      for (const entry of entries) entry.reject(toPublishError(error, { mayHaveHappened }));
      this.#schedule();
      return;
    }
    this.#trouble = error;
    this.#putBack(entries);
    if (this.#isPaused || (entries.length === 0 && this.#waiting.size === 0)) return;
    const { clock, random, log } = this.#options;
    if (this.#failures === 0) log.warn({ reason: error.message }, 'events wait for the bus');
    this.#isPaused = true;
    const pauseMs = reconnectDelayMs(this.#failures++, random, RECONNECT_MS_MIN, RECONNECT_MS_MAX);
    clock.after(pauseMs, () => {
      this.#isPaused = false;
      this.#flush();
    });
  }

  /** In front of what has never been sent. */
  #putBack(entries: readonly Entry[]): void {
    const back = new Map<Entry[], Entry[]>();
    for (const entry of entries) {
      const group = this.#group(entry);
      const own = back.get(group) ?? [];
      own.push(entry);
      back.set(group, own);
    }
    for (const [group, own] of back) group.splice(0, 0, ...own);
  }
}
