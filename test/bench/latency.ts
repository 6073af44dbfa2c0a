import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { bullmqRoute, busRoute, printLatencies, push, type Route } from './end-to-end.js';
import { printGoal, quantile } from './figures.js';
import { stampedBody } from './load.js';
import type { Stage } from './stage.js';
import { startWorker } from './worker-process.js';

const PER_SECOND = 100;

/** (d) Push to handler start at 100 jobs per second, one job at a time. */
export async function benchLatency(stage: Stage, rounds: number, scale: number): Promise<void> {
  const routes = [
    await busRoute('malabar, one process', await stage.bus('one-process'), 0),
    await busRoute('malabar, many processes', await stage.bus('many-processes'), 0),
    await bullmqRoute('BullMQ, AOF always', await stage.redis('always'), 0),
    await beanstalkdRoute('beanstalkd -f0', await stage.beanstalkd()),
  ];
  const latencies = new Map<string, number[]>();
  for (let round = 0; round < rounds; round++)
    for (const route of routes) await steadily(route, Math.round(300 * scale), latencies);
  console.log(`\nlatency at ${PER_SECOND} jobs/s`);
  printLatencies(latencies);
  const [ours, many, bullmq, beanstalkd] = routes.map(({ name }) => latencies.get(name) ?? []);
  for (const part of [0.5, 0.99]) {
    const at = (values: number[] | undefined): number => quantile(values ?? [], part);
    const best = Math.min(at(bullmq), at(beanstalkd));
    printGoal(`G6 p${part * 100}, x of the better peer`, at(ours) / best, 1, 'less');
    if (part === 0.5)
      printGoal('G7 p50 of many processes, x of one', at(many) / at(ours), 2.5, 'less');
  }
  for (const route of routes) await route.close();
}

async function steadily(
  route: Route,
  count: number,
  latencies: Map<string, number[]>,
): Promise<void> {
  const target = route.worker.count() + count;
  const startedAt = performance.now();
  for (let i = 0; i < count; i++) {
    const dueMs = startedAt + (i * 1000) / PER_SECOND - performance.now();
    if (dueMs > 0) await pause(dueMs);
    void route.push(1, 1);
  }
  await route.worker.reached(target);
  push(latencies, route.name, await route.worker.takeLatencies());
}

async function beanstalkdRoute(
  name: string,
  { port, pid }: { port: number; pid: number },
): Promise<Route> {
  const worker = await startWorker('beanstalkd', [String(port)]);
  const socket = connect(port, '127.0.0.1');
  socket.setNoDelay(true);
  await new Promise<void>((resolve) => socket.once('connect', resolve));
  socket.resume();
  return {
    name,
    jobs: 0,
    worker,
    pids: [pid],
    async push() {
      const body = stampedBody();
      socket.write(`put 1 0 60 ${body.length}\r\n${body}\r\n`);
    },
    async close() {
      socket.destroy();
      await worker.stop();
    },
  };
}
