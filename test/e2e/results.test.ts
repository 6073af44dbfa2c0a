import { common, storage } from '@malabar/contracts';
import { eventually, seededRandom } from '@malabar/testkit';
import { afterEach, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';
import { startHttpConsumer } from './http-consumer.js';

const KILLS = 4;
const JOBS_BEFORE_EACH = 24;
const PATIENCE = { timeoutMs: 60_000, everyMs: 100 };
const open: Array<{ stop(): Promise<void> }> = [];

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.stop();
});

async function keep<T extends { stop(): Promise<void> }>(started: Promise<T>): Promise<T> {
  const one = await started;
  open.push(one);
  return one;
}

interface Said {
  jobId: string;
  attempt: number;
  status: string;
  params: { kind: string; n: number };
  [field: string]: unknown;
}

/** Every result that storage holds, each once. */
async function resultsOf(bus: Bus): Promise<Said[]> {
  const said: Said[] = [];
  for (const state of [common.DeliveryState.READY, common.DeliveryState.DONE]) {
    let cursor = '';
    do {
      const page = await bus.storage.listJobs(
        storage.ListJobsRequest.fromPartial({
          queue: 'told',
          topic: 'log',
          state,
          limit: 500,
          cursor,
          withBody: true,
        }),
      );
      for (const { job } of page.deliveries)
        said.push(JSON.parse(Buffer.from(job?.body ?? []).toString()));
      cursor = page.nextCursor;
    } while (cursor !== '');
  }
  return said;
}

async function push(bus: Bus, kinds: readonly string[], first: number): Promise<string[]> {
  const jobs = kinds.map((kind, i) =>
    common.Job.fromPartial({
      body: Buffer.from(JSON.stringify({ kind, n: first + i })),
      headers: { user: `u${first + i}` },
    }),
  );
  const { results } = await bus.ingest.submitBatch({ queue: 'paid', jobs });
  return results.map(({ jobId }) => jobId);
}

const EXPECTED: Record<string, string[]> = {
  good: ['1 done'],
  flaky: ['1 retrying', '2 done'],
  bad: ['1 retrying', '2 dead'],
  refused: ['1 failed'],
};

/** `good` says yes, `flaky` at its second attempt, `bad` never, `refused` wants no other attempt. */
function answerTo(body: string, attempt: string | undefined): [code: number, text: string] {
  const { kind } = JSON.parse(body) as Said['params'];
  if (kind === 'refused') return [410, 'never'];
  const isGood = kind === 'good' || (kind === 'flaky' && attempt === '2');
  return isGood ? [200, ''] : [500, `no luck with ${kind}`];
}

test('whenever storage is killed, each outcome has its one result, and each result its outcome', async () => {
  const random = seededRandom(4);
  const ship = await keep(
    startHttpConsumer(({ body, headers }, response) => {
      const [code, text] = answerTo(body, headers['malabar-attempt'] as string);
      setTimeout(() => response.writeHead(code).end(text), 20 * random());
    }),
  );
  const log = await keep(startHttpConsumer());
  const retry = 'retry: { attempts: 2, min: 50ms, max: 50ms, backoff: fixed }';
  const all = '[done, retrying, failed, dead, discarded]';
  const bus = await keep(
    startBus({
      mode: 'many-processes',
      documents: `
queues:
  paid: { topics: { ship: { target: '${ship.url}', ${retry}, result: { queue: told, of: ${all} } } } }
  told: { topics: { log: { target: '${log.url}' } } }
`,
    }),
  );
  const names = Object.keys(EXPECTED);
  const kinds: string[] = [];
  const ids: string[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    const before = ship.received.length;
    const some = Array.from({ length: JOBS_BEFORE_EACH }, (_, n) => names[n % names.length] ?? '');
    ids.push(...(await push(bus, some, kinds.length)));
    kinds.push(...some);
    const enough = before + 1 + Math.floor(random() * JOBS_BEFORE_EACH);
    await eventually(() => expect(ship.received.length).toBeGreaterThanOrEqual(enough), {
      ...PATIENCE,
      everyMs: 1,
    });
    await bus.kill('storage', 'SIGKILL');
    await bus.start('storage');
    await bus.ready();
  }
  const said = await eventually(async () => {
    const results = await resultsOf(bus);
    const wanted = kinds.flatMap((kind) => EXPECTED[kind]);
    expect(results.length).toBe(wanted.length);
    return results;
  }, PATIENCE);
  for (const [n, jobId] of ids.entries()) {
    const mine = said.filter((one) => one.jobId === jobId);
    const told = mine.map(({ attempt, status }) => `${attempt} ${status}`).sort();
    expect(told, `job ${n}, ${kinds[n]}`).toEqual(EXPECTED[kinds[n] as string]);
    for (const one of mine) expect(one).toMatchObject(factsOf(n, kinds[n] as string));
  }
  const told = () => new Set(log.received.map(({ body }) => body)).size;
  await eventually(() => expect(told()).toBe(said.length), PATIENCE);
}, 180_000);

function factsOf(n: number, kind: string): object {
  return {
    v: 1,
    queue: 'paid',
    topic: 'ship',
    event: 'paid',
    task: 'ship',
    headers: { user: `u${n}` },
    params: { kind, n },
    startedAtMs: expect.any(Number),
    durationMs: expect.any(Number),
    consumer: expect.stringMatching(/./),
  };
}
