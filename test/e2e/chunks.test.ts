import { common, storage } from '@malabar/contracts';
import { eventually } from '@malabar/testkit';
import { afterEach, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';
import { startHttpConsumer } from './http-consumer.js';

const PATIENCE = { timeoutMs: 60_000, everyMs: 100 };
const JOBS = 30;
const POISON = 7;
const open: Array<{ stop(): Promise<void> }> = [];

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.stop();
});

/** The numbers of the jobs in one request of the pepperbus form. */
function numbersIn(form: string): number[] {
  const jobs = JSON.parse(new URLSearchParams(form).get('jobs') ?? '[]');
  return jobs.map((job: { content: string }) => Number(job.content));
}

const documents = (url: string): string => `
queues:
  batched:
    topics:
      consume:
        target: { http: { url: '${url}', format: pepperbus } }
        chunk: 10
        concurrency: 1
        retry: { attempts: 4, backoff: fixed, min: 100ms, jitter: 0 }
`;

async function countsOf(bus: Bus) {
  const { queues } = await bus.storage.listQueues({ queue: 'batched' });
  return queues[0]?.topics[0] as storage.TopicStats;
}

test('a job that always fails takes its neighbours with it once, and is dead alone', async () => {
  const consumer = await startHttpConsumer(({ body }, response) => {
    response.setHeader('Code', numbersIn(body).includes(POISON) ? 500 : 200).end();
  });
  open.push(consumer);
  const bus = await startBus({ documents: documents(consumer.url) });
  open.push(bus);
  const jobs = Array.from({ length: JOBS }, (_, n) =>
    common.Job.fromPartial({ body: Buffer.from(String(n)) }),
  );
  await bus.ingest.submitBatch({ queue: 'batched', jobs });
  await eventually(async () => {
    const { done, dead } = await countsOf(bus);
    return done + dead === JOBS;
  }, PATIENCE);
  expect(await countsOf(bus)).toMatchObject({ done: JOBS - 1, dead: 1 });
  const requests = consumer.bodies().map(numbersIn);
  const tries = Array.from(
    { length: JOBS },
    (_, n) => requests.filter((request) => request.includes(n)).length,
  );
  expect(tries[POISON]).toBe(4);
  expect(Math.max(...tries.filter((_, n) => n !== POISON))).toBeLessThanOrEqual(2);
  const seen = new Set<number>();
  for (const request of requests) {
    if (request.some((n) => seen.has(n))) expect(request).toHaveLength(1);
    for (const n of request) seen.add(n);
  }
  const { deliveries } = await bus.storage.listJobs(
    storage.ListJobsRequest.fromPartial({
      queue: 'batched',
      topic: 'consume',
      state: common.DeliveryState.DEAD,
      limit: 10,
      withBody: true,
    }),
  );
  expect(deliveries.map(({ job }) => Buffer.from(job?.body ?? []).toString())).toEqual(['7']);
}, 120_000);
