import type { AmqpConsumer, AmqpMessage } from '@malabar/amqp';
import { common, type keeper } from '@malabar/contracts';
import { BusError, type Clock, reconnectDelayMs, sleep, toBusError } from '@malabar/core';
import type { Batch, BatchAnswer, JobOptions, Waiter } from '../batch.js';
import type { Intake } from '../intake.js';
import { Acknowledgements } from './acknowledgements.js';
import { jobOf } from './job-of.js';

const RETRY_MS_MIN = 50;
const RETRY_MS_MAX = 2_000;
const STOP_TIMEOUT_MS = 10_000;
/** What a job's options may take beside its message, on the way to storage. */
const OPTIONS_BYTES_MAX = 400;

export interface SessionOptions {
  config: keeper.SourceConfig;
  intake: Intake;
  clock: Clock;
  random: () => number;
  /** Puts a message aside that cannot become a job; rejects when it may not be safe there. */
  putAside(message: AmqpMessage, reason: BusError): Promise<void>;
  onTaken(): void;
  onAcknowledged(messages: number): void;
  /** A message was put aside. */
  onRefused(message: AmqpMessage, reason: BusError): void;
  /** The session cannot go on. */
  onBroken(reason: string): void;
}

/** A message on its way to storage. */
interface Entry {
  message: AmqpMessage;
  job: Uint8Array;
  bodyBytes: number;
  options: JobOptions;
}

/** Messages of a source in one batch, one after the other. */
class Run implements Waiter {
  readonly protocol = 'rabbitmq';
  readonly entries: Entry[] = [];

  constructor(
    readonly batch: Batch,
    private readonly done: (run: Run, answer: BatchAnswer, index: number) => void,
  ) {}

  settle(answer: BatchAnswer, index: number): void {
    this.done(this, answer, index);
  }
}

/**
 * What one connection's messages go through: each becomes a job and is acknowledged once storage has it,
 * or is put aside. What cannot be taken for now is held and tried again, so that the prefetch is full
 * and RabbitMQ keeps the rest.
 */
export class SourceSession {
  readonly #options: SessionOptions;
  readonly #acknowledgements = new Acknowledgements((tag, all) => this.#consumer?.ack(tag, all));
  #consumer: AmqpConsumer | undefined;
  /** Not taken for now, in their order. */
  #held: Entry[] = [];
  #run: Run | undefined;
  #reason = '';
  #attempt = 0;
  #cancelRetry: (() => void) | undefined;
  /** Messages in batches, or on their way to be put aside. */
  #underWay = 0;
  #onIdle: (() => void) | undefined;
  #aside: Promise<void> = Promise.resolve();
  #ended = false;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /** Messages that are out and not acknowledged. */
  get size(): number {
    return this.#ended ? 0 : this.#acknowledgements.size;
  }

  /** Why messages are held; empty if none is. */
  get reason(): string {
    return this.#reason;
  }

  /** Who acknowledges; set before the first message has been settled. */
  consume(consumer: AmqpConsumer): void {
    this.#consumer = consumer;
  }

  take(message: AmqpMessage): void {
    if (this.#ended) return;
    this.#acknowledgements.add(message.tag);
    this.#options.onTaken();
    try {
      this.#offer(this.#read(message));
    } catch (thrown) {
      this.#refuse(message, toBusError(thrown));
    }
  }

  /** The connection is gone: what is out comes again. */
  end(): void {
    this.#ended = true;
    this.#held = [];
    this.#reason = '';
    this.#cancelRetry?.();
  }

  /** Takes no more; resolves when what is on its way has ended and is acknowledged. */
  async stop(): Promise<void> {
    const patience = new AbortController();
    const late = sleep(this.#options.clock, STOP_TIMEOUT_MS, patience.signal);
    await Promise.race([late, this.#consumer?.cancel().catch(() => {})]);
    this.#held = [];
    this.#cancelRetry?.();
    await Promise.race([late, this.#idle()]);
    patience.abort();
    this.end();
  }

  /** Throws the reason if no job can come of it, whenever it is tried. */
  #read(message: AmqpMessage): Entry {
    const { intake, config } = this.#options;
    const queue = intake.find(config.push);
    // A serialized body says no more than the job's: what is too large need not be parsed.
    const large = queue && intake.refusal(queue, 0, message.body.length);
    if (large?.code === 'TOO_LARGE') throw large;
    const job = jobOf(message, config);
    const { idempotencyKey, priority } = job;
    const encoded = common.Job.encode(job).finish();
    const options = { idempotencyKey, priority };
    return { message, job: encoded, bodyBytes: job.body.length, options };
  }

  #offer(entry: Entry): void {
    const error = this.#held.length > 0 ? undefined : this.#append(entry);
    if (error !== undefined && isFinal(error)) this.#refuse(entry.message, error);
    else if (error !== undefined || this.#held.length > 0) this.#hold([entry], error);
  }

  /** Adds it to the present batch, or says why not. */
  #append(entry: Entry): BusError | undefined {
    const { intake, config } = this.#options;
    const queue = intake.find(config.push);
    if (queue === undefined)
      return new BusError('UNAVAILABLE', `queue '${config.push}' is not configured here`);
    const error = intake.refusal(queue, entry.job.length + OPTIONS_BYTES_MAX, entry.bodyBytes);
    if (error !== undefined) return error;
    const batch = intake.batch(queue);
    if (this.#run?.batch !== batch) this.#run = new Run(batch, this.#settled);
    this.#run.entries.push(entry);
    this.#underWay++;
    intake.addJob(batch, this.#run, entry.job, entry.options);
    return undefined;
  }

  readonly #settled = (run: Run, answer: BatchAnswer, index: number): void => {
    const { entries } = run;
    if (this.#run === run) this.#run = undefined;
    this.#underWay -= entries.length;
    if (!this.#ended) this.#judge(entries, answer, index);
    this.#checkIdle();
  };

  #judge(entries: readonly Entry[], answer: BatchAnswer, index: number): void {
    const accepted: number[] = [];
    const held: Entry[] = [];
    let why: BusError | undefined;
    const outcomes = answer.whole ? [] : answer.outcomes(index, entries.length);
    entries.forEach((entry, i) => {
      const error = outcomes[i]?.error;
      if (error === undefined) accepted.push(entry.message.tag);
      else if (isFinal(error)) this.#refuse(entry.message, error);
      else {
        why = error;
        held.push(entry);
      }
    });
    this.#acknowledgements.settle(accepted);
    this.#options.onAcknowledged(accepted.length);
    if (accepted.length > 0) this.#attempt = 0;
    if (held.length > 0) this.#hold(held, why);
    else if (this.#held.length === 0) this.#reason = '';
  }

  #hold(entries: readonly Entry[], why: BusError | undefined): void {
    this.#held.push(...entries);
    this.#held.sort((a, b) => a.message.tag - b.message.tag);
    if (why !== undefined) this.#reason = why.message;
    const { clock, random } = this.#options;
    if (this.#cancelRetry !== undefined) return;
    const pauseMs = reconnectDelayMs(this.#attempt++, random, RETRY_MS_MIN, RETRY_MS_MAX);
    this.#cancelRetry = clock.after(pauseMs, () => this.#retry());
  }

  #retry(): void {
    this.#cancelRetry = undefined;
    const held = this.#held;
    this.#held = [];
    for (const [at, entry] of held.entries()) {
      const error = this.#append(entry);
      if (error === undefined) continue;
      if (isFinal(error)) this.#refuse(entry.message, error);
      else {
        this.#hold(held.slice(at), error);
        break;
      }
    }
  }

  /** One after the other: there are few of them, or something is very wrong. */
  #refuse(message: AmqpMessage, reason: BusError): void {
    const { putAside, onRefused, onBroken } = this.#options;
    this.#underWay++;
    this.#aside = this.#aside.then(async () => {
      try {
        if (this.#ended) return;
        await putAside(message, reason);
        this.#acknowledgements.settle([message.tag]);
        onRefused(message, reason);
      } catch (error) {
        onBroken(`cannot put a message aside: ${(error as Error).message}`);
      } finally {
        this.#underWay--;
        this.#checkIdle();
      }
    });
  }

  #idle(): Promise<void> {
    if (this.#underWay === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onIdle = resolve;
    });
  }

  #checkIdle(): void {
    if (this.#underWay === 0) this.#onIdle?.();
  }
}

/** Whether it is the fault of the message, which does not change by trying again. */
const isFinal = ({ code }: BusError): boolean => code === 'INVALID' || code === 'TOO_LARGE';
