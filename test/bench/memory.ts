import { setTimeout as pause } from 'node:timers/promises';
import { startBus } from '../harness/bus.js';
import { printGoal } from './figures.js';
import { RedisLoad, stampedBody } from './load.js';
import { residentMib } from './machine.js';

const SETTLE_MS = 3_000;
const GOAL_MIB = 64;

/** (e) Resident memory with 0, 1 and 5 million jobs waiting. */
export async function benchMemory(scale: number): Promise<void> {
  const bus = await startBus({
    documents: 'queues: { heap: { limits: { ready: 0 }, topics: { waiting: { target: pull } } } }',
    settings: ['log.level=warn'],
  });
  console.log('\nresident memory of the one process, MiB');
  try {
    const load = new RedisLoad(bus.ports.redis, 'heap');
    await load.open();
    // A first hundred thousand jobs and their reading warm the heap and its caches up.
    await load.push(Math.round(100_000 * scale), 1_000, stampedBody);
    let waiting = Math.round(100_000 * scale);
    const base = await show(bus.pid('all'), 0);
    let last = base;
    for (const millions of [1, 5]) {
      const target = Math.round(millions * 1e6 * scale);
      await load.push(target - waiting, 5_000, stampedBody);
      waiting = target;
      last = await show(bus.pid('all'), waiting);
    }
    load.close();
    printGoal('G8 own memory more than with none waiting, MiB', last - base, GOAL_MIB, 'less');
  } finally {
    await bus.stop();
  }
}

async function show(pid: number, waiting: number): Promise<number> {
  await pause(SETTLE_MS);
  const { own, mapped } = residentMib(pid);
  const label = `${waiting.toLocaleString('en-US')} waiting`;
  console.log(
    `  ${label.padEnd(38)} ${own.toFixed(0)} own, ${mapped.toFixed(0)} mapped from files`,
  );
  return own;
}
