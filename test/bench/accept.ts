import { run } from '@malabar/testkit';
import { interleave, printGoal, printSeries, ratio, type Series } from './figures.js';
import type { Stage } from './stage.js';

/** Jobs in one measurement, by pipeline depth: about two seconds each. */
const JOBS: Record<number, number> = { 1: 30_000, 16: 200_000, 100: 500_000 };
const GOALS: Record<number, number> = { 1: 0.6, 16: 1.3, 100: 2 };

/** (a) Jobs accepted durably per second: redis-benchmark with 50 connections, 200-byte bodies. */
export async function benchAccept(stage: Stage, rounds: number, scale: number): Promise<void> {
  const bus = await stage.bus();
  const always = await stage.redis('always');
  const everysec = await stage.redis('everysec');
  for (const pipeline of [1, 16, 100]) {
    const jobs = Math.round((JOBS[pipeline] ?? 0) * scale);
    const series = await interleave(rounds, [
      { name: 'malabar, lmdb', run: () => redisBenchmark(bus.ports.redis, pipeline, jobs) },
      { name: 'redis, AOF always', run: () => redisBenchmark(always.port, pipeline, jobs) },
      { name: 'redis, AOF everysec', run: () => redisBenchmark(everysec.port, pipeline, jobs) },
    ]);
    console.log(`\naccepted, pipeline ${pipeline}, 50 connections`);
    printSeries(series, 'jobs/s', 'redis, AOF always');
    const [ours, theirs] = series as [Series, Series];
    printGoal(
      `G1 pipeline ${pipeline}, x of AOF always`,
      ratio(ours, theirs),
      GOALS[pipeline] ?? 0,
      'more',
    );
  }
  const one = await interleave(rounds, [
    { name: 'malabar, lmdb', run: () => redisBenchmark(bus.ports.redis, 1, 2_000 * scale, 1) },
    { name: 'redis, AOF always', run: () => redisBenchmark(always.port, 1, 2_000 * scale, 1) },
  ]);
  console.log('\naccepted, one producer, one job at a time');
  printSeries(one, 'jobs/s', 'redis, AOF always');
  const [ours, theirs] = one as [Series, Series];
  printGoal('G5 one at a time, x of AOF always', ratio(ours, theirs), 1, 'more');
}

/** LPUSH of 200-byte bodies to the queue `accept`; requests per second as redis-benchmark counts them. */
async function redisBenchmark(
  port: number,
  pipeline: number,
  jobs: number,
  connections = 50,
): Promise<number> {
  const body = 'x'.repeat(200);
  const args = [
    '-p',
    port,
    '-c',
    connections,
    '-P',
    pipeline,
    '-n',
    Math.round(jobs),
    '--csv',
    'LPUSH',
    'accept',
    body,
  ];
  const { stdout } = await run('redis-benchmark', args.map(String), { timeoutMs: 120_000 });
  const fields = (stdout.trim().split('\n').pop() ?? '').split('","');
  return Number(fields[1]?.replaceAll('"', ''));
}
