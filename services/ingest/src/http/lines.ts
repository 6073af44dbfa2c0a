import type { IncomingMessage, ServerResponse } from 'node:http';
import { BusError } from '@malabar/core';
import type { Batch, BatchAnswer, JobOutcome, Waiter } from '../batch.js';
import { type IntakeQueue, tooLarge } from '../intake.js';
import { LineReader, type LineSink } from './line-reader.js';
import { encodeJob, type HttpJob } from './options.js';
import type { HttpContext } from './server.js';

/** Results that the client has not taken yet, in bytes, beyond which no more lines are read. */
const UNREAD_RESULTS_MAX = 256 * 1024;

/** Each line of the request is a job; each line of the answer says what became of it, in order. */
export async function pushLines(
  context: HttpContext,
  queue: IntakeQueue,
  wish: HttpJob,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  if (wish.options.idempotencyKey) {
    const text = 'Idempotency-Key names one job, but NDJSON carries many; push them one by one';
    throw new BusError('INVALID', text);
  }
  res.writeHead(200, { 'Content-Type': 'application/x-ndjson' });
  res.flushHeaders();
  const push = new LinePush(context, queue, wish, res);
  const lines = new LineReader(queue.config?.bodyBytesMax ?? 0, push);
  for await (const chunk of req as AsyncIterable<Buffer>) {
    lines.feed(chunk);
    await push.room();
  }
  lines.end();
  await push.finished();
  res.end();
}

/** Results that stand next to each other: of jobs in one batch, or of one refused line. */
class Segment implements Waiter {
  readonly protocol = 'http';
  bytes = 0;
  text: string | undefined;

  constructor(
    readonly batch: Batch | undefined,
    private readonly changed: () => void,
  ) {}

  settle(answer: BatchAnswer, index: number, count: number): void {
    this.text = answer.outcomes(index, count).map(describe).join('');
    this.changed();
  }
}

/** Jobs and results of one streaming request. */
class LinePush implements LineSink {
  readonly #context: HttpContext;
  readonly #queue: IntakeQueue;
  readonly #wish: HttpJob;
  readonly #res: ServerResponse;
  #segments: Segment[] = [];
  #bytesInFlight = 0;
  #wake: (() => void) | undefined;

  readonly #changed = (): void => {
    this.#write();
    this.#wake?.();
    this.#wake = undefined;
  };

  constructor(context: HttpContext, queue: IntakeQueue, wish: HttpJob, res: ServerResponse) {
    this.#context = context;
    this.#queue = queue;
    this.#wish = wish;
    this.#res = res;
    res.on('drain', this.#changed);
    res.on('close', this.#changed);
  }

  line(source: Buffer, start: number, end: number): void {
    const { intake } = this.#context;
    const bytes = end - start;
    const error = intake.refusal(this.#queue, bytes, bytes);
    if (error) {
      this.#refuse(error);
      return;
    }
    const batch = intake.batch(this.#queue);
    const segment = this.#segment(batch);
    segment.bytes += bytes;
    this.#bytesInFlight += bytes;
    if (this.#wish.plain) intake.addBody(batch, segment, source, start, end);
    else {
      const body = source.subarray(start, end);
      intake.addJob(batch, segment, encodeJob(this.#wish, body), this.#wish.options);
    }
  }

  oversize(bytes: number): void {
    const limit = this.#queue.config?.bodyBytesMax ?? 0;
    this.#refuse(tooLarge(this.#queue.name, bytes, limit));
  }

  /** Resolves when further lines may be read. */
  async room(): Promise<void> {
    this.#write();
    while (this.#full()) await this.#change();
    if (this.#res.destroyed) throw new BusError('UNAVAILABLE', 'the producer has gone');
  }

  /** Resolves when every result is written. */
  async finished(): Promise<void> {
    this.#write();
    while (this.#segments.length > 0 && !this.#res.destroyed) await this.#change();
  }

  #full(): boolean {
    if (this.#res.destroyed) return false;
    const { bytesMax } = this.#context;
    return this.#bytesInFlight > bytesMax || this.#res.writableLength > UNREAD_RESULTS_MAX;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #segment(batch: Batch): Segment {
    const last = this.#segments.at(-1);
    if (last?.batch === batch) return last;
    const segment = new Segment(batch, this.#changed);
    this.#segments.push(segment);
    return segment;
  }

  #refuse(error: BusError): void {
    this.#context.intake.refused(this.#queue.name, error);
    const segment = new Segment(undefined, this.#changed);
    segment.text = describe({ jobId: '', duplicate: false, error });
    this.#segments.push(segment);
  }

  #write(): void {
    let done = 0;
    let text = '';
    for (const segment of this.#segments) {
      if (segment.text === undefined) break;
      text += segment.text;
      this.#bytesInFlight -= segment.bytes;
      done++;
    }
    if (done === 0) return;
    this.#segments.splice(0, done);
    if (!this.#res.destroyed) this.#res.write(text);
  }
}

function describe({ jobId, duplicate, error }: JobOutcome): string {
  if (error) return `${JSON.stringify({ code: error.code, message: error.message })}\n`;
  return `${JSON.stringify({ id: jobId, duplicate })}\n`;
}
