import { batches, common, records } from '@malabar/contracts';

const { ENDED } = batches.BatchState;
/** Reasons that a batch keeps; further ones are in its counts only. */
const ERRORS_MAX = 10;
const ERROR_TEXT = 512;
const CODE_TEXT = 64;

/** What a delivery counts as in its batch. */
export type BatchPart = 'open' | 'done' | 'dead' | 'discarded';

/** A delivery of a batch has become something else. */
export interface BatchEnd {
  readonly batch: string;
  readonly was: BatchPart;
  /** Why it was dead. */
  readonly codeBefore: string;
  readonly is: BatchPart;
  readonly code: string;
  readonly error: string;
  readonly shard: number;
  readonly topic: string;
}

/** What the appends of a commit change in a batch. */
export interface BatchGrowth {
  readonly jobs: number;
  readonly deliveries: number;
  /** Deliveries that are discarded because a newer job takes their place. */
  readonly replaced: number;
}

/** Adds to what a commit changes in a batch; nothing without an id. */
export function grow(
  growths: Map<string, BatchGrowth>,
  id: string,
  { jobs = 0, deliveries = 0, replaced = 0 }: Partial<BatchGrowth>,
): void {
  if (id === '') return;
  const before = growths.get(id) ?? { jobs: 0, deliveries: 0, replaced: 0 };
  growths.set(id, {
    jobs: before.jobs + jobs,
    deliveries: before.deliveries + deliveries,
    replaced: before.replaced + replaced,
  });
}

/** One batch as memory knows it: counts, however many jobs it has. */
export class LiveBatch {
  readonly batch: batches.Batch;
  readonly #then: batches.BatchThen;

  constructor({ batch, thenJob }: records.BatchRecord) {
    this.batch = batch ?? batches.Batch.fromPartial({});
    this.#then = thenJob ?? batches.BatchThen.fromPartial({});
  }

  get id(): string {
    return this.batch.id;
  }

  /** Bytes of the job that will follow, about. */
  get bytes(): number {
    const { body, headers } = this.#then;
    return body.length + JSON.stringify(headers).length;
  }

  /** It was closed and nothing of it is open. */
  get isOver(): boolean {
    const { deliveries, done, dead, discarded, state } = this.batch;
    return state === batches.BatchState.CLOSED && done + dead + discarded === deliveries;
  }

  count({ was, codeBefore, is, code, error, topic }: BatchEnd, queue: string): void {
    if (was !== 'open') this.batch[was]--;
    if (is !== 'open') this.batch[is]++;
    if (was === 'dead') this.#forgive(codeBefore);
    if (is === 'dead' || is === 'discarded') this.#blame({ code, error, queue, topic });
  }

  grow(growth: BatchGrowth): void {
    Object.assign(this.batch, grown(this.batch, growth));
  }

  end(state: batches.BatchState, now: number): void {
    this.batch.state = state;
    this.batch.endedAtMs = now;
  }

  /** Whether a job follows the end that it has come to. */
  get isFollowed(): boolean {
    const { state, on, jobs, deliveries, done } = this.batch;
    const { ABANDONED, EXPIRED } = batches.BatchState;
    // Opened by a call whose answer was lost: nobody knows of it.
    const isForgotten = state === EXPIRED && jobs === 0;
    if (state === ABANDONED || isForgotten) return false;
    return on !== batches.BatchOn.SUCCESS || (state === ENDED && done === deliveries);
  }

  /** The job that follows is in its queue, or cannot be. */
  follow({ jobId = '', fault }: { jobId?: string; fault: common.Fault | undefined }): void {
    this.batch.thenJobId = fault === undefined ? jobId : '';
    this.batch.thenFault = fault;
  }

  /** The job that follows, encoded. */
  followerJob(): Uint8Array {
    const { body, headers, contentType } = this.#then;
    const totals = totalsText(this.batch);
    const isOwn = body.length > 0;
    return common.Job.encode(
      common.Job.fromPartial({
        body: isOwn ? body : Buffer.from(totals),
        headers: { ...headers, 'malabar-batch-totals': totals },
        contentType: isOwn ? contentType : 'application/json',
        idempotencyKey: `batch/${this.id}`,
      }),
    ).finish();
  }

  /** Its record, perhaps with what an append under way adds. */
  encode(growth?: BatchGrowth): Uint8Array {
    const batch =
      growth === undefined ? this.batch : { ...this.batch, ...grown(this.batch, growth) };
    return records.BatchRecord.encode({ batch, thenJob: this.#then }).finish();
  }

  #blame(reason: Omit<batches.BatchError, 'count'>): void {
    const code = reason.code.slice(0, CODE_TEXT);
    const known = this.batch.errors.find((each) => each.code === code);
    if (known !== undefined) known.count++;
    else if (this.batch.errors.length < ERRORS_MAX)
      this.batch.errors.push({
        ...reason,
        code,
        error: reason.error.slice(0, ERROR_TEXT),
        count: 1,
      });
  }

  #forgive(code: string): void {
    const known = this.batch.errors.find((each) => each.code === code.slice(0, CODE_TEXT));
    if (known !== undefined && --known.count === 0)
      this.batch.errors.splice(this.batch.errors.indexOf(known), 1);
  }
}

/** What a growth makes of the counts of a batch. */
const grown = (batch: batches.Batch, { jobs, deliveries, replaced }: BatchGrowth) => ({
  jobs: batch.jobs + jobs,
  deliveries: batch.deliveries + deliveries,
  discarded: batch.discarded + replaced,
  errors: replaced === 0 ? batch.errors : withReplaced(batch.errors, replaced),
});

function withReplaced(errors: readonly batches.BatchError[], count: number): batches.BatchError[] {
  const code = 'REPLACED';
  if (errors.some((each) => each.code === code))
    return errors.map((one) => (one.code === code ? { ...one, count: one.count + count } : one));
  if (errors.length >= ERRORS_MAX) return [...errors];
  const error = 'a later job took its place';
  return [...errors, { code, count, error, queue: '', topic: '' }];
}

/** What a batch came to, for the job that follows it (docs/batches.md, "Totals"). ASCII, to be a header. */
function totalsText(batch: batches.Batch): string {
  const { id, state, jobs, deliveries, done, dead, discarded, openedAtMs, endedAtMs } = batch;
  const said = {
    v: 1,
    batch: id,
    state: state === ENDED ? 'ended' : 'expired',
    jobs,
    deliveries,
    done,
    dead,
    discarded,
    errors: batch.errors.map(({ code, count }) => ({ code, count })),
    openedAtMs,
    endedAtMs,
  };
  return JSON.stringify(said).replace(/[\u007f-\uffff]/g, escaped);
}

const escaped = (letter: string): string =>
  `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`;
