import { Queue } from 'bullmq';
import type { Bus } from '../harness/bus.js';
import { interleave, printGoal, printSeries, quantile, ratio, type Series } from './figures.js';
import { RedisLoad, stampedBody } from './load.js';
import { cpuSeconds } from './machine.js';
import type { Stage } from './stage.js';
import { startWorker, type WorkerProcess } from './worker-process.js';

const IN_FLIGHT = 50;

/** A way from a producer in this process to a no-op worker in another one. */
export interface Route {
  name: string;
  jobs: number;
  worker: WorkerProcess;
  /** Processes of the bus or broker, for their CPU time. */
  pids: readonly number[];
  push(count: number, inFlight: number): Promise<void>;
  close(): Promise<void>;
}

/** (b) Jobs per second from push to handler, 50 in flight, and how long each took; (e) CPU per job. */
export async function benchEndToEnd(stage: Stage, rounds: number, scale: number): Promise<void> {
  const routes = [
    await busRoute('malabar, one process', await stage.bus('one-process'), 100_000 * scale),
    await busRoute('malabar, many processes', await stage.bus('many-processes'), 60_000 * scale),
    await bullmqRoute('BullMQ, AOF always', await stage.redis('always'), 8_000 * scale),
    await bullmqRoute('BullMQ, AOF everysec', await stage.redis('everysec'), 8_000 * scale),
  ];
  const latencies = new Map<string, number[]>();
  const cpu = new Map<string, number[]>();
  const contestants = routes.map((route) => ({
    name: route.name,
    run: () => measure(route, latencies, cpu),
  }));
  const series = await interleave(rounds, contestants);
  console.log(`\nend to end, ${IN_FLIGHT} in flight, no-op worker in another process`);
  printSeries(series, 'jobs/s', 'BullMQ, AOF always');
  printLatencies(latencies);
  console.log('  CPU of bus or broker and worker, us/job');
  printSeries(
    [...cpu].map(([name, values]) => ({ name, values })),
    'us/job',
  );
  const [one, many, always] = series as [Series, Series, Series];
  printGoal('G2 x of BullMQ, AOF always', ratio(one, always), 10, 'more');
  printGoal('G7 many processes, x of one process', ratio(many, one), 0.7, 'more');
  for (const route of routes) await route.close();
}

async function measure(
  route: Route,
  latencies: Map<string, number[]>,
  cpu: Map<string, number[]>,
): Promise<number> {
  const pids = [...route.pids, route.worker.pid];
  const target = route.worker.count() + route.jobs;
  const cpuBefore = cpuSeconds(pids);
  const startedAt = performance.now();
  await route.push(route.jobs, IN_FLIGHT);
  await route.worker.reached(target);
  const seconds = (performance.now() - startedAt) / 1000;
  push(cpu, route.name, [((cpuSeconds(pids) - cpuBefore) * 1e6) / route.jobs]);
  push(latencies, route.name, await route.worker.takeLatencies());
  return route.jobs / seconds;
}

export function push(all: Map<string, number[]>, name: string, values: readonly number[]): void {
  const list = all.get(name) ?? [];
  for (const value of values) list.push(value);
  all.set(name, list);
}

export function printLatencies(latencies: ReadonlyMap<string, number[]>): void {
  console.log('  push to handler start, p50 / p99 ms');
  for (const [name, values] of latencies) {
    const [p50, p99] = [quantile(values, 0.5), quantile(values, 0.99)];
    console.log(`  ${name.padEnd(38)} ${p50.toFixed(2)} / ${p99.toFixed(2)}`);
  }
}

export async function busRoute(name: string, bus: Bus, jobs: number): Promise<Route> {
  const port = bus.ports.grpc[bus.parts.includes('all') ? 'all' : 'dispatcher'];
  const worker = await startWorker('grpc', [`127.0.0.1:${port}`, 'work/worker', '1000']);
  const load = new RedisLoad(bus.ports.redis, 'work');
  await load.open();
  return {
    name,
    jobs,
    worker,
    pids: bus.parts.map((part) => bus.pid(part)),
    push: (count, inFlight) => load.push(count, inFlight, stampedBody),
    async close() {
      load.close();
      await worker.stop();
    },
  };
}

export async function bullmqRoute(
  name: string,
  { port, pid }: { port: number; pid: number },
  jobs: number,
): Promise<Route> {
  const worker = await startWorker('bullmq', [String(port), 'bench']);
  const queue = new Queue('bench', { connection: { host: '127.0.0.1', port } });
  const add = async (): Promise<void> => {
    await queue.add('job', { body: stampedBody() }, { removeOnComplete: true });
  };
  return {
    name,
    jobs,
    worker,
    pids: [pid],
    push: (count, inFlight) => concurrently(count, inFlight, add),
    async close() {
      await queue.close();
      await worker.stop();
    },
  };
}

/** Runs `task` `count` times, at most `inFlight` at once. */
async function concurrently(
  count: number,
  inFlight: number,
  task: () => Promise<void>,
): Promise<void> {
  let begun = 0;
  const lane = async (): Promise<void> => {
    while (begun < count) {
      begun++;
      await task();
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
}
