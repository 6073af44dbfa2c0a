import { batches, records } from '@malabar/contracts';
import type { WriteBatch } from '../engine.js';
import type { Store } from '../store.js';
import type { ModelJob } from './words.suite.js';

const { OPEN, CLOSED, ENDED, EXPIRED, ABANDONED } = batches.BatchState;

interface ModelBatch {
  id: string;
  on: batches.BatchOn;
  /** The body of the job that is to follow. */
  follower: string;
  expiresAtMs: number;
  jobs: ModelJob[];
  /** Somebody has asked for it, heard or not. */
  closeAsked: boolean;
  abandonAsked: boolean;
  /** Whoever closed it was told so. */
  isClosed: boolean;
  /** On the disk; undefined while it goes on. */
  ended: batches.Batch | undefined;
}

/** What the model says to this part of it, and hears of it. */
interface Teller {
  fail(message: string): undefined;
  saw(what: string, count?: number): void;
  now(): number;
}

/** What batches must be: with every commit, their records say what the disk says of their deliveries. */
export class BatchModel {
  readonly all = new Map<string, ModelBatch>();
  /** Of jobs that follow, by body. */
  readonly #followers = new Map<string, ModelBatch>();
  /** Records of those that go on, as the disk has them. */
  readonly #records = new Map<string, batches.Batch>();
  /** Ids of those that ended before whoever opened them heard of it. */
  readonly #early = new Set<string>();
  /** Jobs that follow, in the commit under way. */
  #followed = new Set<string>();

  constructor(private readonly tell: Teller) {}

  /** Somebody opens one; whether he will hear of it is open. */
  opening(follower: string, on: batches.BatchOn): (batch: batches.Batch) => void {
    return ({ id, expiresAtMs }) => {
      const known = this.all.get(id);
      if (known !== undefined) return this.tell.fail(`batch ${id} is opened twice`);
      if (this.#early.has(id)) return;
      const news = { jobs: [], closeAsked: false, abandonAsked: false, isClosed: false };
      const made: ModelBatch = { id, on, follower, expiresAtMs, ...news, ended: undefined };
      this.all.set(id, made);
      this.#followers.set(follower, made);
      this.tell.saw('batches opened');
    };
  }

  joined(job: ModelJob): undefined {
    const batch = this.all.get(job.options?.batch ?? '');
    if (batch === undefined) return this.tell.fail(`'${job.body}' is in a batch that is none`);
    if (batch.ended) this.tell.fail(`'${job.body}' joins a batch that has ended`);
    batch.jobs.push(job);
    this.tell.saw('jobs in batches');
  }

  accepted(body: string): void {
    if (this.#followers.has(body)) this.#followed.add(body);
  }

  /** A commit is on the disk. */
  applied({ state }: WriteBatch): void {
    for (const [key, value] of state) {
      if (key[0] === 'B' && value === undefined) this.#records.delete(key.slice(1));
      else if (key[0] === 'B') this.#records.set(key.slice(1), decoded(value));
    }
    for (const [key, value] of state)
      if (key[0] === 'C' && value !== undefined) this.#ended(decoded(value));
    for (const record of this.#records.values()) this.#goesOn(record);
    for (const body of this.#followed)
      this.tell.fail(`'${body}' comes, but its batch does not end with that commit`);
    this.#followed = new Set();
  }

  #goesOn(record: batches.Batch): undefined {
    const batch = this.all.get(record.id);
    // Whoever opened it has not heard of it yet.
    if (batch === undefined) return;
    if (batch.ended) return this.tell.fail(`batch ${record.id} goes on after its end`);
    if (record.state === CLOSED && !batch.closeAsked)
      this.tell.fail(`batch ${record.id} is closed, and nobody asked for it`);
    this.#compare(batch, record);
  }

  #ended(record: batches.Batch): undefined {
    const batch = this.all.get(record.id);
    if (batch === undefined) {
      this.#early.add(record.id);
      return;
    }
    if (batch.ended) return this.tell.fail(`batch ${record.id} ends twice`);
    batch.ended = record;
    this.tell.saw(`batches ${batches.BatchState[record.state]}`);
    this.#compare(batch, record);
    const { ready, done, all } = partsOf(batch);
    const { state, id } = record;
    if (state === ENDED && (!batch.closeAsked || ready > 0))
      this.tell.fail(`batch ${id} has ended, but ${ready} of its deliveries have not`);
    if (state === EXPIRED && (batch.isClosed || batch.expiresAtMs > this.tell.now()))
      this.tell.fail(`batch ${id} has expired before its time`);
    if (state === ABANDONED && !batch.abandonAsked)
      this.tell.fail(`batch ${id} is abandoned, and nobody asked for it`);
    const well = state === ENDED && done === all;
    const always = state === ENDED || (state === EXPIRED && batch.jobs.length > 0);
    const wanted = batch.on === batches.BatchOn.SUCCESS ? well : always;
    this.#checkFollower(batch, record, wanted);
  }

  /** The job that follows is in the very commit that ends the batch, or cannot be. */
  #checkFollower(batch: ModelBatch, record: batches.Batch, wanted: boolean): undefined {
    const came = this.#followed.delete(batch.follower);
    const isGone = record.thenFault?.code === 'UNKNOWN_QUEUE';
    if (isGone) this.tell.saw('batches followed by a queue that is gone');
    if (came) this.tell.saw('batches followed');
    if (came !== (wanted && !isGone))
      return this.tell.fail(`batch ${batch.id} is ${came ? '' : 'not '}followed`);
    if (came === (record.thenJobId === ''))
      this.tell.fail(`batch ${batch.id} is followed by '${record.thenJobId}'`);
  }

  #compare(batch: ModelBatch, { jobs, deliveries, done, dead, discarded }: batches.Batch): void {
    const mine = partsOf(batch);
    const said = [jobs, deliveries, done, dead, discarded].join();
    const true_ = [batch.jobs.length, mine.all, mine.done, mine.dead, mine.discarded].join();
    if (said !== true_) this.tell.fail(`batch ${batch.id} counts ${said} instead of ${true_}`);
  }

  /** Whether a job may be refused because its batch is over. */
  isOver(id: string): boolean {
    return this.all.get(id)?.ended !== undefined;
  }

  /** All is at rest: what can end has ended, and what goes on is known. */
  checkQuiet(store: Store): undefined {
    for (const batch of this.all.values()) {
      const known = store.batches.find(batch.id);
      if (batch.ended) {
        if (known) this.tell.fail(`memory keeps batch ${batch.id}, which has ended`);
        continue;
      }
      if (known === undefined) return this.tell.fail(`batch ${batch.id} is forgotten`);
      this.#compare(batch, known);
      if (batch.isClosed && partsOf(batch).ready === 0)
        this.tell.fail(`batch ${batch.id} is over and does not end`);
      if (known.state !== OPEN && known.state !== CLOSED)
        this.tell.fail(`batch ${batch.id} goes on as ${known.state}`);
    }
  }
}

const decoded = (value: Uint8Array | undefined): batches.Batch =>
  records.BatchRecord.decode(value ?? new Uint8Array()).batch ?? batches.Batch.fromPartial({});

/** What the disk says of the deliveries of a batch. */
function partsOf({ jobs }: ModelBatch) {
  const parts = { all: 0, ready: 0, done: 0, dead: 0, discarded: 0 };
  for (const job of jobs)
    for (const { late, durable } of job.deliveries.values()) {
      if (late || durable === undefined) continue;
      parts.all++;
      parts[durable.state === 'waiting' ? 'ready' : durable.state]++;
    }
  return parts;
}
