import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ageMs } from './load.js';

/** What a worker process tells: how many jobs it has had, and how old they were when they came. */
interface Report {
  count: number;
  latencies: number[];
}

/** A consumer in a process of its own. */
export interface WorkerProcess {
  pid: number;
  /** Jobs so far. */
  count(): number;
  /** Resolves when the worker has had `count` jobs in all. */
  reached(count: number): Promise<void>;
  /** Milliseconds from push to handler start, of every job since the last call. */
  takeLatencies(): Promise<number[]>;
  stop(): Promise<void>;
}

const TICK_MS = 5;

/** Starts `workers/<name>.ts` with arguments; resolves when it says that it is ready. */
export async function startWorker(name: string, args: readonly string[]): Promise<WorkerProcess> {
  const file = fileURLToPath(new URL(`./workers/${name}.ts`, import.meta.url));
  const child = fork(file, [...args], { execArgv: process.execArgv, stdio: 'inherit' });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  let count = 0;
  let onReport: ((report: Report) => void) | undefined;
  const waiting = new Set<() => void>();
  await new Promise<void>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`worker ${name} ended with ${code}`)));
    child.on('message', (message: 'ready' | number | Report) => {
      if (message === 'ready') return resolve();
      if (typeof message === 'number') count = message;
      else onReport?.(message as Report);
      for (const wake of waiting) wake();
    });
  });
  return {
    pid: child.pid ?? 0,
    count: () => count,
    reached: (target) => until(waiting, () => count >= target),
    takeLatencies: () =>
      new Promise((resolve) => {
        onReport = ({ latencies }) => resolve(latencies);
        child.send('report');
      }),
    stop: () => stop(child, exited),
  };
}

function until(waiting: Set<() => void>, done: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const wake = (): void => {
      if (!done()) return;
      waiting.delete(wake);
      resolve();
    };
    waiting.add(wake);
    wake();
  });
}

async function stop(child: ChildProcess, exited: Promise<void>): Promise<void> {
  child.kill('SIGKILL');
  await exited;
}

/** The worker's side: call `job` with each body, `ready` once connected. */
export function workerSide(): { ready(): void; job(body: Uint8Array): void } {
  let count = 0;
  let told = 0;
  let latencies: number[] = [];
  setInterval(() => {
    if (count !== told) process.send?.(count);
    told = count;
  }, TICK_MS);
  process.on('message', () => {
    process.send?.({ count, latencies });
    latencies = [];
  });
  return {
    ready: () => process.send?.('ready'),
    job(body) {
      latencies.push(ageMs(body));
      count++;
    },
  };
}
