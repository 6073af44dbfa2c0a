import { BusError } from '@malabar/core';
import { survivorKey } from './core/keys.js';
import { decodeRecord, type JobBatch } from './core/log-record.js';
import type { Engine } from './engine.js';

/** Finds jobs by sequence number: the newest and the last read batches in memory, all others in the engine. */
export class LogReader {
  /** By shard, ascending by first sequence number. */
  readonly #cached = new Map<number, JobBatch[]>();
  /** Oldest insertion first. */
  #order: JobBatch[] = [];
  #bytes = 0;

  constructor(
    private readonly engine: Engine,
    private readonly bytesMax: number,
  ) {}

  /** Keeps a batch at hand for its first readers. */
  add(batch: JobBatch): void {
    const batches = this.#cached.get(batch.shard) ?? [];
    this.#cached.set(batch.shard, batches);
    const at = indexBehind(batches, batch.firstSeq);
    if (batches[at - 1]?.firstSeq === batch.firstSeq) return;
    batches.splice(at, 0, batch);
    this.#order.push(batch);
    this.#bytes += batch.jobs.length;
    if (this.#bytes > this.bytesMax) this.#evict();
  }

  /** The batch that holds a job, if it is in memory. */
  cached(shard: number, seq: number): JobBatch | undefined {
    const batches = this.#cached.get(shard);
    if (batches === undefined) return undefined;
    const batch = batches[indexBehind(batches, seq) - 1];
    return batch !== undefined && seq < batch.endSeq ? batch : undefined;
  }

  /** The batch that holds a job. Throws UNKNOWN_JOB if it was trimmed, CORRUPT if it is damaged. */
  async read(shard: number, seq: number): Promise<JobBatch> {
    const cached = this.cached(shard, seq);
    if (cached !== undefined) return cached;
    const entry = await this.engine.readLog(shard, seq);
    const batch = entry && decodeRecord(entry);
    if (batch !== undefined && seq < batch.endSeq) {
      this.add(batch);
      return batch;
    }
    const bytes = await this.engine.get(survivorKey(shard, seq));
    if (bytes !== undefined) return decodeRecord({ shard, firstSeq: seq, bytes });
    throw new BusError('UNKNOWN_JOB', `job ${seq} of shard ${shard} is not kept any more`);
  }

  #evict(): void {
    let gone = 0;
    while (this.#bytes > this.bytesMax / 2 && gone < this.#order.length) {
      const batch = this.#order[gone++] as JobBatch;
      this.#bytes -= batch.jobs.length;
      const batches = this.#cached.get(batch.shard) as JobBatch[];
      batches.splice(indexBehind(batches, batch.firstSeq) - 1, 1);
    }
    this.#order = this.#order.slice(gone);
  }
}

/** Index of the first batch that begins behind `seq`. */
function indexBehind(batches: readonly JobBatch[], seq: number): number {
  let low = 0;
  let high = batches.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((batches[middle] as JobBatch).firstSeq <= seq) low = middle + 1;
    else high = middle;
  }
  return low;
}
