import type { common, ingest } from '@malabar/contracts';
import { BusError, Channel, type Clock, toBusError } from '@malabar/core';
import type { Client } from '@malabar/rpc';

export type IngestClient = Client<typeof ingest.IngestServiceDefinition>;

/** Ingest that has not answered for so long is given up; what it had been sent may be stored or not. */
const ANSWER_TIMEOUT_MS = 10_000;

interface Pending {
  jobs: number;
  resolve(results: ingest.SubmitResult[]): void;
  reject(error: BusError): void;
  cancel(): void;
}

interface Stream {
  requests: Channel<ingest.SubmitStreamRequest>;
  abort: AbortController;
  pending: Map<number, Pending>;
}

/** One stream of jobs into ingest, opened when it is needed. It repeats nothing: its callers know what may be. */
export class Submitter {
  #stream: Stream | undefined;
  #requestId = 0;

  constructor(private readonly options: { ingest: IngestClient; clock: Clock }) {}

  /** Jobs of one queue in their order; what became of each. Throws if nothing is known of any. */
  submit(
    queue: string,
    jobs: readonly common.Job[],
    idempotencyWindowMs: number,
  ): Promise<ingest.SubmitResult[]> {
    const stream = this.#stream ?? this.#open();
    const requestId = ++this.#requestId;
    return new Promise((resolve, reject) => {
      const late = new BusError('TIMEOUT', 'ingest does not answer');
      const giveUp = (): void => this.#break(stream, late);
      const cancel = this.options.clock.after(ANSWER_TIMEOUT_MS, giveUp);
      stream.pending.set(requestId, { jobs: jobs.length, resolve, reject, cancel });
      stream.requests.push({ requestId, queue, jobs: [...jobs], idempotencyWindowMs });
    });
  }

  close(): void {
    if (this.#stream !== undefined)
      this.#break(this.#stream, new BusError('UNAVAILABLE', 'the scheduler stops'));
  }

  #open(): Stream {
    const stream: Stream = {
      requests: new Channel(),
      abort: new AbortController(),
      pending: new Map(),
    };
    this.#stream = stream;
    this.#read(stream).catch((thrown: unknown) => this.#break(stream, toBusError(thrown)));
    return stream;
  }

  async #read({ requests, abort, pending }: Stream): Promise<void> {
    const metadata = { 'malabar-service': 'scheduler' };
    const answers = this.options.ingest.submitStream(requests, { metadata, signal: abort.signal });
    for await (const { requestId, results, fault } of answers) {
      const asked = pending.get(requestId);
      pending.delete(requestId);
      asked?.cancel();
      const refused = { jobId: '', duplicate: false, fault };
      asked?.resolve(fault === undefined ? results : Array(asked.jobs).fill(refused));
    }
    throw new BusError('UNAVAILABLE', 'ingest ended the stream');
  }

  #break(stream: Stream, error: BusError): void {
    if (this.#stream === stream) this.#stream = undefined;
    for (const { reject, cancel } of stream.pending.values()) {
      cancel();
      reject(error);
    }
    stream.pending.clear();
    stream.requests.end();
    stream.abort.abort(error);
  }
}
