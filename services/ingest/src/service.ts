import { type common, ingest } from '@malabar/contracts';
import { BusError, Channel, type Clock, toBusError, toFault } from '@malabar/core';
import type { CallContext, Implementation } from '@malabar/rpc';
import type { JobOptions, JobOutcome } from './batch.js';
import { BatchCalls, inBatch } from './batch-calls.js';
import { type Caller, type CallerRules, callerOf } from './caller.js';
import type { Intake } from './intake.js';
import { debounceFault } from './job-debounce.js';
import { headersFault } from './job-headers.js';
import { timesFault } from './job-times.js';
import type { StorageClient } from './storage-client.js';
import { Submission } from './submission.js';

/** Bytes of one stream's jobs that may wait for storage before its requests are read on. */
const STREAM_BYTES_MAX = 4 * 1024 * 1024;
const STREAM_REQUESTS_MAX = 1024;

/** What a job's options may take beside its message, on the way to storage. */
const OPTIONS_BYTES_MAX = 64;

const DURABILITY = ingest.Durability.FSYNC;

export interface IngestServiceOptions extends CallerRules {
  intake: Intake;
  storage: StorageClient;
  clock: Clock;
}

/** The contract of ingest: translates and calls, decides nothing. */
export function createIngestService(
  options: IngestServiceOptions,
): Implementation<typeof ingest.IngestServiceDefinition> {
  const batches = new BatchCalls(options);
  return {
    async openBatch({ thenJob, expiresAfterMs }, context) {
      const { pushRefusal } = await callerOf(options, context);
      return { batch: await batches.open({ thenJob, expiresAfterMs }, pushRefusal) };
    },
    async closeBatch({ id }, context) {
      const { pushRefusal } = await callerOf(options, context);
      return { batch: await batches.close(id, pushRefusal) };
    },
    async getBatch({ id }, context) {
      const { pushRefusal } = await callerOf(options, context);
      return { batch: await batches.get(id, pushRefusal) };
    },
    async submit({ queue, job }, context) {
      const caller = await callerOf(options, context);
      if (!job) throw new BusError('INVALID', 'the request carries no job');
      const [outcome] = await submit(options, caller, queue, [job]);
      if (outcome?.error) throw outcome.error;
      const { jobId, duplicate } = outcome as JobOutcome;
      return { jobId, duplicate, durability: DURABILITY };
    },
    async submitBatch({ queue, jobs }, context) {
      const caller = await callerOf(options, context);
      const outcomes = await submit(options, caller, queue, jobs);
      return { results: outcomes.map(toResult), durability: DURABILITY };
    },
    submitStream: (requests, context) => submitStream(options, requests, context),
  };
}

async function submit(
  { intake, clock }: IngestServiceOptions,
  caller: Caller,
  queueName: string,
  jobs: readonly common.Job[],
  idempotencyWindowMs = 0,
): Promise<JobOutcome[]> {
  const queue = intake.require(queueName);
  const denied = caller.pushRefusal(queue);
  if (denied) throw intake.refused(queueName, denied, jobs.length);
  if (jobs.length === 0) return [];
  // A job that is refused by itself does not refuse the others.
  const refused = jobs.map(
    (job) => invalid(job, caller) ?? intake.refusal(queue, 0, job.body.length),
  );
  const good = jobs.filter((_, i) => refused[i] === undefined);
  const messages = good.map((job) => intake.encode(inBatch(job)));
  let total = 0;
  for (const message of messages) total += message.length + OPTIONS_BYTES_MAX;
  const error = intake.refusal(queue, total, 0);
  if (error) throw intake.refused(queueName, error, jobs.length);
  const outcomes = good.length === 0 ? [] : await appended();
  let next = 0;
  return refused.map((each) =>
    each
      ? { jobId: '', duplicate: false, error: intake.refused(queueName, each) }
      : (outcomes[next++] as JobOutcome),
  );

  function appended(): Promise<JobOutcome[]> {
    return new Promise((resolve) => {
      const submission = new Submission('grpc', resolve);
      const batch = intake.batch(queue);
      messages.forEach((message, i) => {
        const options = optionsOf(good[i] as common.Job, clock, idempotencyWindowMs);
        intake.addJob(batch, submission, message, options);
      });
    });
  }
}

function invalid(job: common.Job, { ours }: Caller): BusError | undefined {
  const { priority, node, headers } = job;
  if (priority > 9) return new BusError('INVALID', `priority ${priority}: 0 (usual) to 9 (first)`);
  if (node !== '' && !ours)
    return new BusError('INVALID', 'node: only the bus itself says which node gets a job');
  // What the bus says itself in headers it may say.
  return timesFault(job) ?? debounceFault(job) ?? (ours ? undefined : headersFault(headers));
}

function optionsOf(job: common.Job, clock: Clock, idempotencyWindowMs: number): JobOptions {
  return {
    // A time that has passed is no delay.
    deliverAtMs: job.deliverAtMs > clock.now() ? job.deliverAtMs : 0,
    expiresAtMs: job.expiresAtMs,
    priority: job.priority,
    node: job.node,
    nodeWaitMs: job.nodeWaitMs,
    batch: job.batch,
    idempotencyKey: job.idempotencyKey,
    debounceMs: job.debounceMs,
    debounceMaxMs: job.debounceMaxMs,
    ...(job.idempotencyKey !== '' && { idempotencyWindowMs }),
  };
}

function toResult({ jobId, duplicate, error }: JobOutcome): ingest.SubmitResult {
  return { jobId, duplicate, fault: error && toFault(error) };
}

/** Requests are taken while others wait for the disk; answers keep their order. */
function submitStream(
  options: IngestServiceOptions,
  requests: AsyncIterable<ingest.SubmitStreamRequest>,
  context: CallContext,
): AsyncIterable<ingest.SubmitStreamResponse> {
  const window = new Window(options, context);
  window.read(requests);
  return window.answers;
}

/** The requests of one stream that are under way. */
class Window {
  readonly answers = new Channel<ingest.SubmitStreamResponse>(() => this.#wake?.());
  readonly #options: IngestServiceOptions;
  readonly #context: CallContext;
  #tail: Promise<void> = Promise.resolve();
  #bytes = 0;
  #requests = 0;
  #wake: (() => void) | undefined;

  constructor(options: IngestServiceOptions, context: CallContext) {
    this.#options = options;
    this.#context = context;
  }

  async read(requests: AsyncIterable<ingest.SubmitStreamRequest>): Promise<void> {
    try {
      const caller = await callerOf(this.#options, this.#context);
      for await (const request of requests) {
        this.#take(caller, request);
        while (this.#full() && !this.answers.ended) await this.#change();
      }
      await this.#tail;
      this.answers.end();
    } catch (thrown) {
      this.answers.fail(toBusError(thrown));
    }
  }

  #take(caller: Caller, request: ingest.SubmitStreamRequest): void {
    let bytes = 0;
    for (const job of request.jobs) bytes += job.body.length;
    this.#bytes += bytes;
    this.#requests++;
    const answer = this.#answer(caller, request);
    this.#tail = this.#tail.then(async () => {
      this.answers.push(await answer);
      this.#bytes -= bytes;
      this.#requests--;
      this.#wake?.();
    });
  }

  async #answer(
    caller: Caller,
    { requestId, queue, jobs, idempotencyWindowMs }: ingest.SubmitStreamRequest,
  ): Promise<ingest.SubmitStreamResponse> {
    try {
      const outcomes = await submit(this.#options, caller, queue, jobs, idempotencyWindowMs);
      const results = outcomes.map(toResult);
      return { requestId, results, fault: undefined, durability: DURABILITY };
    } catch (thrown) {
      const durability = ingest.Durability.UNSPECIFIED;
      return { requestId, results: [], fault: toFault(thrown), durability };
    }
  }

  /** Answers that the producer does not read count too: they wait in the channel. */
  #full(): boolean {
    return (
      this.#bytes > STREAM_BYTES_MAX || this.#requests + this.answers.size > STREAM_REQUESTS_MAX
    );
  }

  async #change(): Promise<void> {
    const changed = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    await Promise.race([changed, this.answers.drained()]);
  }
}
