import { common, type ingest, storage } from '@malabar/contracts';
import { BusError, Channel, type Clock, jobId, joinFrames, toFault } from '@malabar/core';
import type { StorageClient } from './journal-store.js';
import type { IngestClient } from './submitter.js';

const { READY, LEASED, DONE, DEAD, SCHEDULED } = common.DeliveryState;
const STORE = 1;

interface Kept {
  seq: number;
  id: string;
  job: common.Job;
  state: common.DeliveryState;
  leaseId: number;
  error: string;
}

/**
 * Ingest and storage as the scheduler sees them: queues of one topic, idempotency keys, leases. A test
 * says what goes wrong.
 */
export class BusDouble {
  /** Nothing answers: every call is refused with UNAVAILABLE. */
  away = false;
  /** Jobs are stored, and whoever pushed them never hears of it: the stream breaks. */
  mute = false;
  /** Why a job is not taken. */
  refusal: (queue: string, job: common.Job) => BusError | undefined = () => undefined;
  /** Called when a page of deliveries is asked for. */
  onList: (state: common.DeliveryState) => void = () => undefined;
  /** How many jobs came in each push. */
  readonly pushes: Array<{ queue: string; jobs: number; bytes: number }> = [];
  readonly #queues = new Map<string, Kept[]>();
  #shards: string[] = [];
  #nextLease = 1;

  constructor(private readonly clock: Clock) {}

  get ingest(): IngestClient {
    const submitStream = (
      requests: AsyncIterable<ingest.SubmitStreamRequest>,
      { signal }: { signal?: AbortSignal } = {},
    ): AsyncIterable<ingest.SubmitStreamResponse> => {
      const answers = new Channel<ingest.SubmitStreamResponse>();
      signal?.addEventListener('abort', () => answers.fail(new Error('aborted')));
      void this.#take(requests, answers);
      return answers;
    };
    return { submitStream } as unknown as IngestClient;
  }

  get storage(): StorageClient {
    const there = <Request, Answer>(answer: (request: Request) => Answer) => {
      return async (request: Request): Promise<Answer> => {
        if (this.away) throw new BusError('UNAVAILABLE', 'storage is away');
        return answer(request);
      };
    };
    const client = {
      listJobs: there((request: storage.ListJobsRequest) => this.#list(request)),
      getJob: there((request: storage.GetJobRequest) => this.#get(request)),
      settle: there((request: storage.SettleRequest) => this.#settle(request)),
      fetch: async (request: storage.FetchRequest, { signal }: { signal?: AbortSignal } = {}) => {
        const fetched = there((asked: storage.FetchRequest) => this.#fetch(asked));
        const now = await fetched(request);
        if (now.runs.length > 0 || request.waitMs === 0) return now;
        await this.#pause(request.waitMs, signal);
        return fetched(request);
      },
    };
    return client as unknown as StorageClient;
  }

  /** The bodies of a queue's jobs in their order, whatever became of them. */
  bodies(queue: string): string[] {
    return this.jobs(queue).map(({ job }) => Buffer.from(job.body).toString());
  }

  jobs(queue: string): Kept[] {
    return this.#queues.get(queue) ?? [];
  }

  /** Puts a job into a queue as somebody else would. */
  put(queue: string, body: string): Kept {
    return this.#append(queue, common.Job.fromPartial({ body: Buffer.from(body) })).kept;
  }

  #pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      this.clock.after(ms, resolve);
      signal?.addEventListener('abort', () => reject(new BusError('UNAVAILABLE', 'cut off')));
    });
  }

  async #take(
    requests: AsyncIterable<ingest.SubmitStreamRequest>,
    answers: Channel<ingest.SubmitStreamResponse>,
  ): Promise<void> {
    for await (const { requestId, queue, jobs } of requests) {
      if (this.away) return answers.fail(new BusError('UNAVAILABLE', 'ingest is away'));
      const bytes = jobs.reduce((sum, { body }) => sum + body.length, 0);
      this.pushes.push({ queue, jobs: jobs.length, bytes });
      const results = jobs.map((job) => this.#submit(queue, job));
      if (this.mute) return answers.fail(new BusError('UNAVAILABLE', 'the stream broke'));
      answers.push({ requestId, results, fault: undefined, durability: 1 });
    }
  }

  #submit(queue: string, job: common.Job): ingest.SubmitResult {
    const error = this.refusal(queue, job);
    if (error !== undefined) return { jobId: '', duplicate: false, fault: toFault(error) };
    const { kept, duplicate } = this.#append(queue, job);
    return { jobId: kept.id, duplicate, fault: undefined };
  }

  #append(queue: string, job: common.Job): { kept: Kept; duplicate: boolean } {
    const list = this.jobs(queue);
    this.#queues.set(queue, list);
    const { idempotencyKey: key } = job;
    const known = list.find((one) => key !== '' && one.job.idempotencyKey === key);
    if (known !== undefined) return { kept: known, duplicate: true };
    if (!this.#shards.includes(queue)) this.#shards.push(queue);
    const seq = list.length;
    const id = jobId(this.clock.now(), STORE, this.#shards.indexOf(queue), seq);
    const kept: Kept = { seq, id, job, state: READY, leaseId: 0, error: '' };
    list.push(kept);
    return { kept, duplicate: false };
  }

  #list({ queue, state, cursor, limit }: storage.ListJobsRequest): storage.ListJobsResponse {
    this.onList(state);
    const all = this.jobs(queue).filter((kept) => kept.state === state);
    const from = Number(cursor || 0);
    const page = all.slice(from, from + limit);
    const next = from + limit < all.length ? String(from + limit) : '';
    const deliveries = page.map(({ id, job }) =>
      storage.Delivery.fromPartial({ jobId: id, queue, state, job }),
    );
    return { deliveries, nextCursor: next };
  }

  #get({ jobId: id }: storage.GetJobRequest): storage.GetJobResponse {
    for (const [queue, list] of this.#queues)
      for (const { id: one, job, state, error } of list)
        if (one === id) {
          const delivery = storage.Delivery.fromPartial({ jobId: id, queue, state, error });
          return storage.GetJobResponse.fromPartial({ job, deliveries: [delivery] });
        }
    throw new BusError('UNKNOWN_JOB', `there is no job ${id}`);
  }

  #fetch({ queue, maxJobs, leaseMs }: storage.FetchRequest): storage.FetchResponse {
    const ready = this.jobs(queue).filter(({ state }) => state === READY);
    const runs = ready.slice(0, maxJobs).map((kept) => {
      kept.state = LEASED;
      const leaseId = this.#nextLease++;
      kept.leaseId = leaseId;
      this.clock.after(leaseMs, () => {
        if (kept.leaseId === leaseId && kept.state === LEASED) kept.state = READY;
      });
      const jobs = joinFrames([common.Job.encode(kept.job).finish()]);
      const place = { store: STORE, firstSeq: kept.seq, firstLeaseId: kept.leaseId };
      return common.JobRun.fromPartial({ ...place, count: 1, jobs, attempt: 1 });
    });
    return { runs };
  }

  #settle({ outcomes }: storage.SettleRequest): storage.SettleResponse {
    const stale: number[] = [];
    for (const { leaseId, kind } of outcomes) {
      const kept = [...this.#queues.values()].flat().find((one) => one.leaseId === leaseId);
      if (kept?.state !== LEASED) stale.push(leaseId);
      else kept.state = kind === common.OutcomeKind.DONE ? DONE : READY;
    }
    return { staleLeaseIds: stale };
  }

  /** What became of a job: a consumer of its queue has said so. */
  end(kept: Kept, state: typeof DONE | typeof DEAD | typeof SCHEDULED, error = ''): void {
    kept.state = state;
    kept.error = error;
  }
}
