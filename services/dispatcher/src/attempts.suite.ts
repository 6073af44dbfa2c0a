import { common } from '@malabar/contracts';
import { joinFrames } from '@malabar/core';
import { type Delivery, deliveriesOf } from './delivery.js';
import type { Attempt } from './target.js';

interface RunOptions {
  attempt?: number;
  acceptedAtMs?: number;
}

/** Leased deliveries of jobs with these bodies, or of these jobs. */
export function leased(
  jobs: ReadonlyArray<string | Partial<common.Job>>,
  { attempt = 1, acceptedAtMs = Date.UTC(2030, 0, 1) }: RunOptions = {},
): Delivery[] {
  const encoded = jobs.map((job) => {
    const fields = typeof job === 'string' ? { body: Buffer.from(job) } : job;
    return common.Job.encode(common.Job.fromPartial(fields)).finish();
  });
  const run: common.JobRun = {
    crashes: 0,
    store: 1,
    shard: 2,
    firstSeq: 7,
    firstLeaseId: 4_294_967_300,
    count: jobs.length,
    acceptedAtMs,
    jobs: joinFrames(encoded),
    attempt,
    leaseUntilMs: acceptedAtMs + 60_000,
    subscriptionId: 1,
  };
  const deliveries = deliveriesOf(run, 1);
  if (deliveries === undefined) throw new Error('the run is damaged');
  return deliveries;
}

/** One request for `queue/topic` of one job, unless a test wants it otherwise. */
export function attemptOf(
  changes: Partial<Attempt> & { jobs?: Parameters<typeof leased>[0] } = {},
): Attempt {
  const { jobs = ['{"order":"FB138"}'], ...rest } = changes;
  return {
    queue: 'orders',
    topic: 'ship',
    deliveries: leased(jobs),
    retry: undefined,
    timeoutMs: 10_000,
    ...rest,
  };
}
