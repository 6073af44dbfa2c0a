import { common, Encoder, type keeper, type storage } from '@malabar/contracts';
import { BusError, type Clock } from '@malabar/core';
import type { Logger } from '@malabar/telemetry';
import { type AppendLink, createAppendLink } from './append-link.js';
import { Batch, BatchAnswer, type JobOptions, type Waiter } from './batch.js';
import { ScratchPool } from './frame-buffer.js';
import { type JobKeys, jobKeysOf } from './job-keys.js';
import { BODY_BYTES_HARD_MAX, REQUEST_BYTES_MAX } from './limits.js';
import type { IngestMetrics, Protocol } from './metrics.js';
import type { StorageClient } from './storage-client.js';

/** A batch is sent before the turn ends once it holds this much. */
const BATCH_BYTES_MAX = 512 * 1024;
/** Turns of the event loop that a batch may wait for company; tens of microseconds each. */
const GATHERING_TURNS_MAX = 10;
/** Storage that has not answered for so long is given up; longer than any disk should stall. */
export const ANSWER_TIMEOUT_MS = 30_000;

const LOST =
  'storage went away before it answered: the jobs may or may not be stored, push them again ' +
  '(with an idempotency key if a double would hurt)';

/** A queue as the producers' side knows it. */
export interface IntakeQueue {
  readonly name: string;
  /** The newest document; undefined once the queue is no longer configured. */
  config: keeper.QueueConfig | undefined;
  /** Undefined while no topic of the queue cares for keys. */
  keys: JobKeys | undefined;
  /** What this turn has gathered so far. */
  batch: Batch | undefined;
}

export interface IntakeOptions {
  storage: StorageClient;
  clock: Clock;
  random: () => number;
  log: Logger;
  metrics: IngestMetrics;
  /** Bytes of jobs that may wait for storage, over all producers. */
  totalBytesMax: number;
}

/**
 * The way of every job, whatever protocol it came by: into the present batch of its queue, with the
 * batch to storage at the end of the event loop's turn, and its answer back to who waits. Nothing is
 * kept here for later: if storage is away a push fails at once.
 */
export class Intake {
  readonly #options: IntakeOptions;
  readonly #link: AppendLink;
  readonly #pool = new ScratchPool();
  readonly #encoder = new Encoder();
  readonly #queues = new Map<string, IntakeQueue>();
  readonly #sent = new Map<number, Batch>();
  #open: IntakeQueue[] = [];
  #configured = false;
  #scheduled = false;
  /** Bytes that were ever added, now and at the end of the turn before. */
  #gathered = 0;
  #gatheredBefore = 0;
  #turns = 0;
  #requestId = 0;
  #bytesInFlight = 0;
  #largestBody = 0;
  #cancelWatch: () => void;

  constructor(options: IntakeOptions) {
    this.#options = options;
    this.#link = createAppendLink({
      ...options,
      onAnswer: (response) => this.#answered(response),
      onBroken: () => this.#broken(),
    });
    this.#cancelWatch = this.#watchAnswers();
  }

  get bytesInFlight(): number {
    return this.#bytesInFlight;
  }

  /** The largest body that any queue takes, in bytes. */
  get largestBody(): number {
    return this.#largestBody;
  }

  get queues(): Iterable<IntakeQueue> {
    return this.#queues.values();
  }

  /** Why nothing can be accepted now; empty when ready. */
  notReady(): string[] {
    const reasons: string[] = [];
    if (!this.#configured) reasons.push('no configuration from the keeper yet');
    if (!this.#link.up) reasons.push('storage is not reachable');
    return reasons;
  }

  /** Takes a release of the configuration into use. */
  configure(config: keeper.BusConfig): void {
    const gone = new Set(this.#queues.keys());
    this.#largestBody = 0;
    for (const document of config.queues) {
      const queue = {
        ...document,
        bodyBytesMax: Math.min(document.bodyBytesMax, BODY_BYTES_HARD_MAX),
      };
      gone.delete(queue.name);
      this.#largestBody = Math.max(this.#largestBody, queue.bodyBytesMax);
      const known = this.#queues.get(queue.name);
      const keys = jobKeysOf(queue);
      if (known) Object.assign(known, { config: queue, keys });
      else
        this.#queues.set(queue.name, { name: queue.name, config: queue, keys, batch: undefined });
    }
    for (const name of gone) {
      (this.#queues.get(name) as IntakeQueue).config = undefined;
      this.#queues.delete(name);
    }
    this.#configured = true;
  }

  find(name: string): IntakeQueue | undefined {
    return this.#queues.get(name);
  }

  /** The queue. Throws UNKNOWN_QUEUE, or UNAVAILABLE before the first configuration. */
  require(name: string): IntakeQueue {
    const queue = this.#queues.get(name);
    if (queue) return queue;
    if (!this.#configured) {
      throw new BusError('UNAVAILABLE', 'ingest has no configuration from the keeper yet');
    }
    throw new BusError('UNKNOWN_QUEUE', `queue ${JSON.stringify(name)} is not configured`);
  }

  /** Why the jobs of one request, `bytes` in all, the longest of `longest`, cannot be taken now. */
  refusal(queue: IntakeQueue, bytes: number, longest: number): BusError | undefined {
    const limit = queue.config?.bodyBytesMax;
    if (limit === undefined) {
      return new BusError('UNKNOWN_QUEUE', `queue ${JSON.stringify(queue.name)} is not configured`);
    }
    if (longest > limit) return tooLarge(queue.name, longest, limit);
    if (bytes > REQUEST_BYTES_MAX) {
      const text = `jobs of ${bytes} bytes in one request, at most ${REQUEST_BYTES_MAX}: push fewer`;
      return new BusError('TOO_LARGE', text);
    }
    if (!this.#link.up) {
      return new BusError('UNAVAILABLE', 'storage is not reachable; nothing was stored, try again');
    }
    if (this.#bytesInFlight + bytes > this.#options.totalBytesMax) {
      return new BusError('BUSY', `${this.#bytesInFlight} bytes already wait for the disk`);
    }
    return undefined;
  }

  /** Counts a refusal and returns it, for callers that answer with it. */
  refused(queue: string, error: BusError, jobs = 1): BusError {
    this.#options.metrics.refused(this.#queues.has(queue) ? queue : '', error.code, jobs);
    return error;
  }

  /** The batch that the next jobs go into; all jobs of one command go into the same. */
  batch(queue: IntakeQueue): Batch {
    const open = queue.batch;
    if (open !== undefined && open.frames.length < BATCH_BYTES_MAX) return open;
    if (open !== undefined) this.#send(queue, open);
    const batch = new Batch(queue.name, ++this.#requestId, this.#pool, queue.keys);
    queue.batch = batch;
    this.#open.push(queue);
    if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => this.#endOfTurn());
    }
    return batch;
  }

  /**
   * Adds a job that is only a body, source[start, end); `rest` are further Job fields, encoded. So
   * many parameters because this is the hottest call of the product.
   */
  addBody(
    batch: Batch,
    waiter: Waiter,
    source: Buffer,
    start: number,
    end: number,
    rest?: Uint8Array,
  ): void {
    const before = batch.frames.length;
    batch.frames.appendBody(source, start, end, rest);
    if (batch.keys !== undefined) {
      const job = common.Job.decode(rest ?? NO_BYTES);
      job.body = source.subarray(start, end);
      this.#keyed(batch, batch.keys.of(job), NO_OPTIONS);
    }
    this.#account(batch, batch.frames.length - before);
    batch.expect(waiter);
  }

  /** A job as `addJob` takes it. */
  encode(job: common.Job): Uint8Array {
    return this.#encoder.encode(common.Job, job);
  }

  /** Adds a job with more than a body: an encoded malabar.common.v1.Job. */
  addJob(batch: Batch, waiter: Waiter, message: Uint8Array, options: JobOptions): void {
    const before = batch.frames.length;
    batch.frames.append(message);
    const keys = batch.keys?.ofMessage(message) ?? [];
    if (keys.length > 0) this.#keyed(batch, keys, options);
    else if (hasAny(options)) batch.options.push({ ...NO_OPTIONS, ...options, index: batch.count });
    this.#account(batch, batch.frames.length - before);
    batch.expect(waiter);
  }

  /** Sends what this turn has gathered, waits for every answer and ends the stream. */
  async close(): Promise<void> {
    this.#flush();
    this.#cancelWatch();
    await this.#link.close();
  }

  #keyed(batch: Batch, keys: storage.JobKey[], options: JobOptions): void {
    if (keys.length > 0)
      batch.options.push({ ...NO_OPTIONS, ...options, keys, index: batch.count });
  }

  #account(batch: Batch, bytes: number): void {
    batch.bytes += bytes;
    this.#gathered += bytes;
    this.#bytesInFlight += bytes;
  }

  /**
   * Sends once a turn of the event loop has brought nothing new. Producers that wait for each reply
   * come back within a few turns of being answered; sending at once would split them into two
   * groups that take turns at the disk, with half the jobs in each commit.
   */
  #endOfTurn(): void {
    const quiet = this.#gathered === this.#gatheredBefore;
    if (quiet || ++this.#turns >= GATHERING_TURNS_MAX) {
      this.#flush();
      return;
    }
    this.#gatheredBefore = this.#gathered;
    setImmediate(() => this.#endOfTurn());
  }

  #flush(): void {
    this.#scheduled = false;
    this.#turns = 0;
    const open = this.#open;
    this.#open = [];
    for (const queue of open) if (queue.batch !== undefined) this.#send(queue, queue.batch);
  }

  #send(queue: IntakeQueue, batch: Batch): void {
    queue.batch = undefined;
    batch.sentAtMs = this.#options.clock.now();
    this.#sent.set(batch.requestId, batch);
    const sent = this.#link.send({
      requestId: batch.requestId,
      queue: batch.queue,
      count: batch.count,
      jobs: batch.frames.take(),
      options: batch.options,
    });
    if (sent) return;
    const error = new BusError('UNAVAILABLE', 'storage is not reachable; nothing was stored');
    this.#settle(batch, BatchAnswer.failed(error));
  }

  #answered(response: storage.AppendResponse): void {
    const batch = this.#sent.get(response.requestId);
    if (batch !== undefined) this.#settle(batch, BatchAnswer.of(response));
  }

  #broken(): void {
    if (this.#sent.size === 0) return;
    const answer = BatchAnswer.failed(new BusError('UNAVAILABLE', LOST));
    for (const batch of [...this.#sent.values()]) this.#settle(batch, answer);
  }

  #settle(batch: Batch, answer: BatchAnswer): void {
    const { clock, metrics, log } = this.#options;
    this.#sent.delete(batch.requestId);
    this.#bytesInFlight -= batch.bytes;
    batch.settle(answer, (error) => log.error({ err: error }, 'answering a producer failed'));
    metrics.batch(batch.count, batch.bytes, clock.now() - batch.sentAtMs);
    this.#count(batch, answer);
  }

  #count(batch: Batch, answer: BatchAnswer): void {
    const { metrics } = this.#options;
    if (answer.error) {
      metrics.refused(batch.queue, answer.error.code, batch.count);
      return;
    }
    if (!answer.whole) {
      for (const code of answer.faultCodes()) metrics.refused(batch.queue, code, 1);
    }
    const heard = (this.#queues.get(batch.queue)?.config?.topics.length ?? 1) > 0;
    for (const [protocol, count] of acceptedByProtocol(batch, answer)) {
      metrics.accepted(batch.queue, protocol, count);
      if (!heard) metrics.unheard(batch.queue, count);
    }
  }

  /** A storage that hangs without breaking the stream must not hold producers for ever. */
  #watchAnswers(): () => void {
    const { clock, log } = this.#options;
    let cancel = clock.after(ANSWER_TIMEOUT_MS / 2, check.bind(this));
    return () => cancel();
    function check(this: Intake): void {
      const [oldest] = this.#sent.values();
      if (oldest && clock.now() - oldest.sentAtMs > ANSWER_TIMEOUT_MS) {
        log.error({ queue: oldest.queue }, 'storage does not answer; giving the stream up');
        this.#link.abandon();
      }
      cancel = clock.after(ANSWER_TIMEOUT_MS / 2, check.bind(this));
    }
  }
}

/** Once a batch and protocol, because a Prometheus counter costs more than a job. */
function acceptedByProtocol(batch: Batch, answer: BatchAnswer): Map<Protocol, number> {
  const counts = new Map<Protocol, number>();
  let index = 0;
  for (let i = 0; i < batch.waiters.length; i++) {
    const { protocol } = batch.waiters[i] as Waiter;
    const count = batch.counts[i] as number;
    const faults = answer.whole ? 0 : answer.faultCodes(index, count).length;
    counts.set(protocol, (counts.get(protocol) ?? 0) + count - faults);
    index += count;
  }
  return counts;
}

const NO_OPTIONS: Omit<storage.JobOptions, 'index'> = {
  deliverAtMs: 0,
  expiresAtMs: 0,
  priority: 0,
  idempotencyKey: '',
  idempotencyWindowMs: 0,
  maxWaiting: 0,
  leaseMs: 0,
  node: '',
  nodeWaitMs: 0,
  keys: [],
  batch: '',
  debounceMs: 0,
  debounceMaxMs: 0,
};
const NO_BYTES = new Uint8Array(0);

function hasAny(options: JobOptions): boolean {
  return Object.values(options).some((value) => value !== 0 && value !== '' && value !== undefined);
}

/** The error for a body over its queue's limit. */
export function tooLarge(queue: string, bytes: number, limit: number): BusError {
  return new BusError(
    'TOO_LARGE',
    `body of ${bytes} bytes, queue ${JSON.stringify(queue)} takes at most ${limit}`,
  );
}
