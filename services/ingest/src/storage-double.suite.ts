import { common, type keeper, storage } from '@malabar/contracts';
import { BusError, Channel, frameBody, frameOffsets, joinFrames } from '@malabar/core';
import { bind, local } from '@malabar/rpc';
import type { StorageClient } from './storage-client.js';

/** The job behind request i of the double. */
export interface ReceivedJob {
  queue: string;
  body: string;
  seq: number;
  job: common.Job;
  options: storage.JobOptions | undefined;
}

/**
 * Storage in memory, for tests of how the protocols behave when storage answers late, refuses or
 * breaks. That jobs are safe is proven elsewhere, against the real one.
 */
export class StorageDouble {
  readonly client: StorageClient;
  readonly jobs: ReceivedJob[] = [];
  readonly batches: storage.AppendRequest[] = [];
  readonly outcomes: common.Outcome[] = [];
  readonly fetches: storage.FetchRequest[] = [];
  /** Answers wait until `release`. */
  holding = false;
  /** Calls fail as if nobody listened. */
  down = false;
  /** Changes an answer before it goes out. */
  answer: (response: storage.AppendResponse, request: storage.AppendRequest) => void = () => {};
  stale: number[] = [];
  #streams = new Set<Channel<storage.AppendResponse>>();
  #held: Array<() => void> = [];
  #seq = 0;
  #lease = 1;

  constructor() {
    const definition = storage.StorageServiceDefinition;
    const missing = (): never => {
      throw new BusError('UNSUPPORTED', 'not in the double');
    };
    const binding = bind(definition, {
      append: (requests) => this.#append(requests),
      listQueues: async ({ queue }) => this.#list(queue),
      fetch: async (request) => this.#fetch(request),
      settle: async ({ outcomes }) => {
        this.outcomes.push(...outcomes);
        return { staleLeaseIds: this.stale };
      },
      getJob: missing,
      deliver: missing,
      listJobs: missing,
      replay: missing,
      discardDead: missing,
      discard: missing,
      verify: missing,
      openBatch: missing,
      closeBatch: missing,
      getBatch: missing,
      listBatches: missing,
      abandonBatches: missing,
    });
    this.client = local<typeof definition>(binding);
  }

  get held(): number {
    return this.#held.length;
  }

  bodies(): string[] {
    return this.jobs.map(({ body }) => body);
  }

  /** Lets the first `count` held answers go, default all. */
  release(count = this.#held.length): void {
    for (const go of this.#held.splice(0, count)) go();
  }

  /** Ends every stream, as a crash would. */
  breakStreams(): void {
    this.#held = [];
    for (const stream of this.#streams)
      stream.fail(new BusError('UNAVAILABLE', 'broken by a test'));
    this.#streams.clear();
  }

  #append(requests: AsyncIterable<storage.AppendRequest>): AsyncIterable<storage.AppendResponse> {
    if (this.down) throw new BusError('UNAVAILABLE', 'down');
    const answers = new Channel<storage.AppendResponse>();
    this.#streams.add(answers);
    const read = async (): Promise<void> => {
      for await (const request of requests) this.#take(request, answers);
      if (!this.holding) answers.end();
    };
    read().catch((error) => answers.fail(error));
    return answers;
  }

  #take(request: storage.AppendRequest, answers: Channel<storage.AppendResponse>): void {
    this.batches.push(request);
    this.#keep(request);
    const response = storage.AppendResponse.fromPartial({
      requestId: request.requestId,
      store: 3,
      shard: 1,
      firstSeq: this.#seq,
      acceptedAtMs: 1_700_000_000_000,
      ready: this.jobs.length,
    });
    this.answer(response, request);
    this.#seq += request.count - response.exceptions.length;
    if (this.holding) this.#held.push(() => answers.push(response));
    else answers.push(response);
  }

  #keep({ queue, jobs, count, options }: storage.AppendRequest): void {
    const offsets = frameOffsets(jobs) ?? [];
    if (offsets.length !== count + 1) throw new Error(`${offsets.length} frames for ${count}`);
    for (let i = 0; i < count; i++) {
      const frame = frameBody(jobs, offsets[i] as number, offsets[i + 1] as number);
      const job = common.Job.decode(frame);
      const body = Buffer.from(job.body).toString('latin1');
      const seq = this.#seq + i;
      this.jobs.push({ queue, body, seq, job, options: options.find((each) => each.index === i) });
    }
  }

  #list(queue: string): storage.ListQueuesResponse {
    if (this.down) throw new BusError('UNAVAILABLE', 'down');
    const ready = this.jobs.filter((each) => each.queue === queue).length;
    const stats = { queue, topics: [{ topic: 'inbox', ready }] };
    return storage.ListQueuesResponse.fromPartial({ queues: [stats] });
  }

  #fetch(request: storage.FetchRequest): storage.FetchResponse {
    this.fetches.push(request);
    const at = this.jobs.findIndex((each) => each.queue === request.queue);
    if (at < 0) return { runs: [] };
    const [found] = this.jobs.splice(at, 1) as [ReceivedJob];
    const run = {
      store: 3,
      shard: 1,
      firstSeq: found.seq,
      firstLeaseId: this.#lease++,
      count: 1,
      acceptedAtMs: 1_700_000_000_000,
      jobs: joinFrames([common.Job.encode(found.job).finish()]),
      attempt: 1,
    };
    return storage.FetchResponse.fromPartial({ runs: [run] });
  }
}

/** A queue's document with what the tests care about. */
export function queueConfig(
  name: string,
  { password = '', bodyBytesMax = 1024, topics = ['inbox'] } = {},
): keeper.QueueConfig {
  return {
    name,
    system: '',
    passwordHash: password,
    retentionMs: 0,
    bodyBytesMax,
    waitingMax: 0,
    topics: topics.map((topic) => topicConfig(topic)),
  };
}

function topicConfig(name: string): keeper.TopicConfig {
  const [plain = '', password = ''] = name.split(':');
  return {
    name: plain,
    passwordHash: password,
    target: { $case: 'pull', value: {} },
    concurrencyEach: false,
    concurrency: 1,
    timeoutMs: 30_000,
    delayMs: 0,
    retry: undefined,
    result: undefined,
    rate: undefined,
    key: undefined,
    start: 1,
    paused: false,
    chunk: 1,
  };
}
