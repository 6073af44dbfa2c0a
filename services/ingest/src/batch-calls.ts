import type { batches, common, storage } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { Intake, IntakeQueue } from './intake.js';
import { headersFault } from './job-headers.js';
import type { StorageClient } from './storage-client.js';

const TIMEOUT_MS = 30_000;
const BATCH_HEADER = 'malabar-batch';

/** Why the caller must not push into a queue; undefined if he may. */
type PushRefusal = (queue: IntakeQueue) => BusError | undefined;

/** Batches for producers: who may push into the queue of the job that follows may do everything with one. */
export class BatchCalls {
  constructor(private readonly options: { intake: Intake; storage: StorageClient }) {}

  /** Throws what a push of the job that follows would be refused with. */
  async open(
    { thenJob, expiresAfterMs }: storage.OpenBatchRequest,
    pushRefusal: PushRefusal,
  ): Promise<batches.Batch> {
    const { intake, storage } = this.options;
    if (thenJob === undefined)
      throw new BusError('INVALID', 'a batch needs a job that follows it: then_job');
    const queue = intake.require(thenJob.queue);
    const { length } = thenJob.body;
    const error =
      pushRefusal(queue) ?? intake.refusal(queue, length, length) ?? headersFault(thenJob.headers);
    if (error) throw error;
    const asked = { thenJob, expiresAfterMs };
    return found((await storage.openBatch(asked, { timeoutMs: TIMEOUT_MS })).batch);
  }

  /** Throws NOT_FOUND, or CONFLICT for one that has expired or was abandoned. */
  async close(id: string, pushRefusal: PushRefusal): Promise<batches.Batch> {
    await this.get(id, pushRefusal);
    const { batch } = await this.options.storage.closeBatch({ id }, { timeoutMs: TIMEOUT_MS });
    return found(batch);
  }

  /** Throws NOT_FOUND. */
  async get(id: string, pushRefusal: PushRefusal): Promise<batches.Batch> {
    const { intake, storage } = this.options;
    const batch = found((await storage.getBatch({ id }, { timeoutMs: TIMEOUT_MS })).batch);
    const error = pushRefusal(intake.require(batch.thenQueue));
    if (error) throw error;
    return batch;
  }
}

function found(batch: batches.Batch | undefined): batches.Batch {
  if (batch !== undefined) return batch;
  throw new BusError('INTERNAL', 'storage has answered without a batch');
}

/** A job as it is stored: its consumers learn of its batch. */
export function inBatch(job: common.Job): common.Job {
  if (job.batch === '') return job;
  return { ...job, headers: { ...job.headers, [BATCH_HEADER]: job.batch } };
}
