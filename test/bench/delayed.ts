import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { beanstalkd, redisServer, seededRandom } from '@malabar/testkit';
import { type Bus, startBus } from '../harness/bus.js';
import {
  addjobRoute,
  type DelayedRoute,
  grpcRoute,
  putRoute,
  zaddRoute,
} from './delayed-routes.js';
import { interleave, printGoal, printSeries, quantile } from './figures.js';
import { residentMib } from './machine.js';
import { startWorker, type WorkerProcess } from './worker-process.js';

const JOBS = 1_000_000;
/** So many fill caches and compile code before anything is measured. */
const WARM_UP = 100_000;
const YEAR_MS = 365 * 86_400_000;
/** No job of the million falls due while we measure. */
const SOONEST_MS = 3_600_000;
const DUE_SOON = 20_000;
/** Among so many others lies each of those that are due soon. */
const APART = 10;
const LEAD_MS = 30_000;
const WINDOW_MS = 20_000;
const SETTLE_MS = 3_000;
const RESTART_MS = 10_000;
const GOAL_MIB = 64;

const DOCUMENTS = `
queues:
  later: { limits: { ready: 0 }, topics: { worker: { target: grpc, concurrency: 1000 } } }
  later_grpc: { limits: { ready: 0 }, topics: { worker: { target: grpc, concurrency: 1000 } } }
`;

/** A way to leave jobs, the part of them that it is given, and who works on them in the end. */
interface Contestant {
  route: DelayedRoute;
  part: number;
  worker?: () => Promise<WorkerProcess>;
}

/**
 * (f) A million jobs with random due times up to a year ahead: how fast they are taken, what they take,
 * how late those among them are that fall due meanwhile, and what a killed storage knows of them.
 */
export async function benchDelayed(rounds: number, scale: number): Promise<void> {
  const bus = await startBus({ documents: DOCUMENTS, settings: ['log.level=warn'] });
  const always = await redisServer({ appendonly: true, appendfsync: 'always' });
  const everysec = await redisServer({ appendonly: true, appendfsync: 'everysec' });
  const flushing = await beanstalkd({ fsyncMs: 0 });
  const lazy = await beanstalkd({ fsyncMs: 50 });
  const tube = String(lazy.port);
  const contestants: Contestant[] = [
    {
      route: await addjobRoute('malabar, ADDJOB DELAY', bus, 'later'),
      part: 1,
      worker: () => busWorker(bus),
    },
    { route: await grpcRoute('malabar, gRPC batches of 500', bus, 'later_grpc'), part: 1 },
    { route: await zaddRoute('redis ZADD, AOF always', always), part: 1 },
    { route: await zaddRoute('redis ZADD, AOF everysec', everysec), part: 1 },
    // It flushes for each job: a million would take an hour.
    { route: await putRoute('beanstalkd -f0, put with delay', flushing), part: 0.01 },
    {
      route: await putRoute('beanstalkd -f50, put with delay', lazy),
      part: 1,
      worker: () => startWorker('beanstalkd', [tube]),
    },
  ];
  const jobs = Math.round(JOBS * scale);
  const soon = Math.round(DUE_SOON * scale);
  try {
    for (const { route, part } of contestants) await route.leave(WARM_UP * part, someDay(0));
    const before = await memoryOf(contestants);
    await enqueue(contestants, jobs, rounds);
    await show(contestants, before, { jobs, bus });
    await fallDue(contestants, soon);
    await restart(bus, (contestants[0] as Contestant).route, soon);
  } finally {
    for (const { route } of contestants) route.close();
    for (const server of [bus, always, everysec, flushing, lazy]) await server.stop();
  }
}

/** Anywhere from an hour to a year ahead, the same sequence for everybody. */
function someDay(round: number): () => number {
  const random = seededRandom(round + 1);
  return () => SOONEST_MS + random() * (YEAR_MS - SOONEST_MS);
}

async function enqueue(
  contestants: readonly Contestant[],
  jobs: number,
  rounds: number,
): Promise<void> {
  const measured = contestants.map(({ route, part }) => {
    let round = 0;
    const each = Math.ceil((part * jobs) / rounds);
    const run = async (): Promise<number> => {
      const startedAt = performance.now();
      await route.leave(each, someDay(++round));
      return each / ((performance.now() - startedAt) / 1000);
    };
    return { name: route.name, run };
  });
  const series = await interleave(rounds, measured);
  const all = jobs.toLocaleString('en-US');
  console.log(`\n${all} delayed jobs, due up to a year ahead, taken in ${rounds} parts`);
  printSeries(series, 'jobs/s', 'redis ZADD, AOF always');
  const parts = series.map(({ name, values }) => {
    const slower = (values.at(-1) ?? 0) / (values[0] ?? 1);
    return `${name} ${slower.toFixed(2)}`;
  });
  console.log(`  last part, x of the first: ${parts.join('; ')}`);
}

type Memory = ReadonlyMap<number, number>;

async function memoryOf(contestants: readonly Contestant[]): Promise<Memory> {
  await pause(SETTLE_MS);
  return new Map(contestants.map(({ route: { pid } }) => [pid, residentMib(pid).own]));
}

async function show(
  contestants: readonly Contestant[],
  before: Memory,
  { jobs, bus }: { jobs: number; bus: Bus },
): Promise<void> {
  const after = await memoryOf(contestants);
  console.log('\nown memory before and after, MiB');
  for (const [pid, from] of before) {
    const all = contestants.filter(({ route }) => route.pid === pid);
    const count = all.reduce((sum, { part }) => sum + part * jobs, 0);
    const to = after.get(pid) ?? 0;
    const each = (((to - from) * 2 ** 20) / count).toFixed(1);
    const name = (all[0] as Contestant).route.name.padEnd(38);
    console.log(`  ${name} ${from.toFixed(0)} to ${to.toFixed(0)}, ${each} bytes a job`);
  }
  const stored = 2 * (jobs + WARM_UP);
  const each = bytesOnDisk(join(bus.dir, 'data', 'store')) / stored;
  console.log(`  malabar's store on disk: ${each.toFixed(0)} bytes for a job of 200`);
  const pid = bus.pid('all');
  const grown = (after.get(pid) ?? 0) - (before.get(pid) ?? 0);
  printGoal('own memory more than before, MiB', grown, GOAL_MIB, 'less');
}

function bytesOnDisk(dir: string): number {
  let bytes = 0;
  for (const name of readdirSync(dir)) bytes += lstatSync(join(dir, name)).blocks * 512;
  return bytes;
}

function busWorker(bus: Bus): Promise<WorkerProcess> {
  return startWorker('grpc', [`127.0.0.1:${bus.ports.grpc.all}`, 'later/worker', '1000']);
}

/** Some more whose time comes while a worker waits, far apart from each other among jobs of other days. */
async function fallDue(contestants: readonly Contestant[], count: number): Promise<void> {
  const late = new Map<string, number[]>();
  for (const { route, worker: start } of contestants) {
    if (start === undefined) continue;
    const worker = await start();
    await route.leave(count * APART, dueSoonAmong(someDay(77)));
    await worker.reached(count);
    late.set(route.name, await worker.takeLatencies());
    await worker.stop();
  }
  const [jobs, others] = [count, count * APART].map((each) => each.toLocaleString('en-US'));
  console.log(
    `\n${jobs} among ${others} more fall due in ${WINDOW_MS / 1000} s; late at the worker`,
  );
  printLateness(late);
  const [ours = 0, theirs = 0] = Array.from(late.values(), (values) => quantile(values, 0.99));
  printGoal('lateness p99, x of beanstalkd', ours / theirs, 1, 'less');
}

function dueSoonAmong(others: () => number): () => number {
  const random = seededRandom(78);
  const beginsAtMs = Date.now() + LEAD_MS;
  let i = 0;
  return () => {
    if (i++ % APART > 0) return others();
    return Math.max(0, beginsAtMs + random() * WINDOW_MS - Date.now());
  };
}

function printLateness(late: ReadonlyMap<string, readonly number[]>): void {
  for (const [name, values] of late) {
    const at = (part: number): string => quantile(values, part).toFixed(1);
    const early = values.filter((value) => value < 0).length;
    const worst = Math.max(...values).toFixed(1);
    console.log(
      `  ${name.padEnd(38)} p50 ${at(0.5)}, p99 ${at(0.99)}, worst ${worst} ms, ${early} early`,
    );
  }
}

/** Killed right after its last yes. */
async function restart(bus: Bus, route: DelayedRoute, count: number): Promise<void> {
  const random = seededRandom(78);
  await route.leave(count, () => RESTART_MS + random() * RESTART_MS);
  const before = await waitingOf(bus);
  await bus.kill('all', 'SIGKILL');
  const killedAt = performance.now();
  await bus.start('all');
  const readyMs = performance.now() - killedAt;
  const after = await waitingOf(bus);
  console.log('\nkilled (-9) and started');
  console.log(`  ready after ${(readyMs / 1000).toFixed(2)} s with ${after} of ${before} jobs`);
  const worker = await busWorker(bus);
  await worker.reached(count);
  printLateness(new Map([[`${count} that fell due then`, await worker.takeLatencies()]]));
  await worker.stop();
}

async function waitingOf(bus: Bus): Promise<number> {
  const { queues } = await bus.storage.listQueues({ queue: '' });
  const topics = queues.flatMap((queue) => queue.topics);
  return topics.reduce((sum, { scheduled, ready, leased }) => sum + scheduled + ready + leased, 0);
}
