import type { dispatcher } from '@malabar/contracts';
import { BusError, Channel, type Clock, toBusError, verifyPassword } from '@malabar/core';
import type { CallContext, Implementation } from '@malabar/rpc';
import type { Delivery } from './delivery.js';
import { CAPACITY_MAX, type WorkerRunner } from './targets/grpc.js';
import { Worker, type WorkerPort } from './targets/worker.js';
import { WorkBatch, type workerServiceDefinition } from './work-encoding.js';

/** A worker that connects and says nothing is sent away after this. */
const FIRST_MESSAGE_MS = 10_000;
/** A call that was cut may look for so long as if its worker had ended its side. */
const CUT_SHOWS_MS = 500;
/** Jobs in one message: clients refuse messages above 4 MiB unless told otherwise. */
const MESSAGE_BYTES_MAX = 1024 * 1024;
const WORKER_NAME_MAX = 128;

export interface WorkerServiceOptions {
  /** The runner of a gRPC topic, by `queue/topic`. Throws UNKNOWN_TOPIC or INVALID. */
  runner(path: string): WorkerRunner;
  clock: Clock;
}

/** What workers in any language connect to: translates and calls, decides nothing. */
export function createWorkerService(
  options: WorkerServiceOptions,
): Implementation<typeof workerServiceDefinition> {
  return { work: (requests, context) => serve(options, requests, context) };
}

function serve(
  options: WorkerServiceOptions,
  requests: AsyncIterable<dispatcher.WorkRequest>,
  context: CallContext,
): AsyncIterable<dispatcher.WorkResponse> {
  const stream = new WorkerStream(options, context);
  context.signal.addEventListener('abort', () => stream.broke(), { once: true });
  void stream.read(requests);
  return stream.out;
}

/** One worker's stream from its first message to its end. */
class WorkerStream {
  readonly out = new Channel<dispatcher.WorkResponse>(() => this.broke());
  #runner: WorkerRunner | undefined;
  #worker: Worker | undefined;
  #left = false;
  #cancelTimer: () => void;

  constructor(
    private readonly options: WorkerServiceOptions,
    private readonly context: CallContext,
  ) {
    this.#cancelTimer = options.clock.after(FIRST_MESSAGE_MS, () =>
      this.#fail(new BusError('INVALID', 'the worker did not name its topic in time')),
    );
  }

  async read(requests: AsyncIterable<dispatcher.WorkRequest>): Promise<void> {
    try {
      for await (const request of requests) {
        if (this.#left) return;
        await this.#take(request);
      }
      this.#requestsEnded();
    } catch (error) {
      this.broke();
      this.out.fail(toBusError(error));
    }
  }

  /** The worker has ended its side in peace, or its connection was cut: that shows a moment later. */
  #requestsEnded(): void {
    const leave = (): void => {
      this.#leave();
      this.out.end();
    };
    if (this.#left || this.#worker === undefined || this.#worker.isLeaving) leave();
    else {
      this.#runner?.stopped(this.#worker);
      this.#cancelTimer = this.options.clock.after(CUT_SHOWS_MS, leave);
    }
  }

  /** It ended without a word of the worker. */
  broke(): void {
    this.#end((runner, worker) => runner.broke(worker));
  }

  #leave(): void {
    this.#end((runner, worker) => runner.leave(worker));
  }

  #end(tell: (runner: WorkerRunner, worker: Worker) => void): void {
    if (this.#left) return;
    this.#left = true;
    this.#cancelTimer();
    if (this.#runner !== undefined && this.#worker !== undefined) tell(this.#runner, this.#worker);
  }

  /** A request that makes no sense is answered with an error, and its worker is alive all the same. */
  async #take(request: dispatcher.WorkRequest): Promise<void> {
    try {
      if (this.#worker === undefined) await this.#open(request);
      this.#handle(request);
    } catch (error) {
      this.#fail(toBusError(error));
    }
  }

  #fail(error: BusError): void {
    this.#leave();
    this.out.fail(error);
  }

  async #open(request: dispatcher.WorkRequest): Promise<void> {
    this.#cancelTimer();
    const runner = this.options.runner(request.topic);
    await authenticate(runner, request, this.context.trusted);
    if (this.#left) return;
    const name = request.worker.slice(0, WORKER_NAME_MAX) || this.context.peer;
    const worker = new Worker(this.#port(name));
    if (request.capacity > 0) worker.capacity = checkedCapacity(request.capacity);
    this.#runner = runner;
    this.#worker = worker;
    runner.join(worker);
  }

  #handle(request: dispatcher.WorkRequest): void {
    const runner = this.#runner;
    const worker = this.#worker;
    if (runner === undefined || worker === undefined) return;
    if (request.capacity > 0 && request.capacity !== worker.capacity)
      runner.setCapacity(worker, checkedCapacity(request.capacity));
    if (request.leaving) runner.leaving(worker);
    if (request.done.length > 0) runner.done(worker, request.done);
    for (const outcome of request.outcomes) runner.outcome(worker, outcome);
  }

  #port(name: string): WorkerPort {
    return {
      name,
      send: (deliveries, timeoutMs) => {
        for (const batch of batchesOf(deliveries)) this.out.push(new WorkBatch(batch, timeoutMs));
      },
      lost: (leaseIds) => this.out.push({ items: [], timeoutMs: 0, lost: leaseIds }),
      end: (error) => this.#fail(error),
    };
  }
}

async function authenticate(
  { passwordHash }: WorkerRunner,
  { topic, password }: dispatcher.WorkRequest,
  trusted: boolean,
): Promise<void> {
  if (passwordHash === '' && trusted) return;
  if (passwordHash === '') {
    const need = 'its workers need the token of the bus (grpc.token)';
    throw new BusError('UNAUTHENTICATED', `topic '${topic}' has no password, so ${need}`);
  }
  if (password === '')
    throw new BusError('UNAUTHENTICATED', `topic '${topic}' asks its workers for a password`);
  if (!(await verifyPassword(password, passwordHash)))
    throw new BusError('WRONG_PASSWORD', `wrong password for topic '${topic}'`);
}

function checkedCapacity(capacity: number): number {
  if (capacity <= CAPACITY_MAX) return capacity;
  throw new BusError('INVALID', `capacity ${capacity} is above ${CAPACITY_MAX}`);
}

function* batchesOf(deliveries: Delivery[]): Generator<Delivery[]> {
  let start = 0;
  let bytes = 0;
  for (let i = 0; i < deliveries.length; i++) {
    const size = (deliveries[i] as Delivery).bytes;
    if (i > start && bytes + size > MESSAGE_BYTES_MAX) {
      yield deliveries.slice(start, i);
      start = i;
      bytes = 0;
    }
    bytes += size;
  }
  yield start === 0 ? deliveries : deliveries.slice(start);
}
