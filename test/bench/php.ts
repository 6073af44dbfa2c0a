import { setTimeout as pause } from 'node:timers/promises';
import { systemClock } from '@malabar/core';
import { createFastcgiPool } from '@malabar/fastcgi';
import type { Bus } from '../harness/bus.js';
import { interleave, printGoal, printSeries, ratio, type Series } from './figures.js';
import { RedisLoad, stampedBody } from './load.js';
import { PHP, type Stage } from './stage.js';

const JOBS = 8_000;
const IN_FLIGHT = 200;
/** Asking costs the bus CPU time that the jobs need. */
const POLL_MS = 25;

/** (c) Jobs per second through php-fpm, beside a bare pooled FastCGI client on the same pool. */
export async function benchPhp(stage: Stage, rounds: number, scale: number): Promise<void> {
  const fpm = await stage.phpFpm();
  const bus = await stage.bus();
  const jobs = Math.round(JOBS * scale);
  const series = await interleave(rounds, [
    { name: 'bare pooled FastCGI client', run: () => bareClient(fpm.address, jobs) },
    { name: 'malabar, one job a request', run: () => throughBus(bus, 'php_single', jobs) },
    { name: 'malabar, chunks of 20', run: () => throughBus(bus, 'php_chunk', jobs * 5) },
  ]);
  console.log('\nend to end through php-fpm, 4 connections');
  printSeries(series, 'jobs/s', 'bare pooled FastCGI client');
  const [bare, single, chunk] = series as [Series, Series, Series];
  printGoal('G3 one job a request, x of the bare client', ratio(single, bare), 0.85, 'more');
  printGoal('G4 chunks of 20, x of one job a request', ratio(chunk, single), 8, 'more');
}

/** The same form that the bus sends, from a loop around the pool and nothing else. */
async function bareClient(address: string, jobs: number): Promise<number> {
  const pool = createFastcgiPool({
    address,
    connectionsMax: 4,
    connectTimeoutMs: 1_000,
    idleTimeoutMs: 3_000,
    requestsPerConnection: 100_000,
    clock: systemClock,
  });
  const startedAt = performance.now();
  let begun = 0;
  const lane = async (): Promise<void> => {
    while (begun++ < jobs) {
      const { headers } = await pool.request(request(stampedBody()));
      if (headers.get('code') !== '200') throw new Error('the script did not say yes');
    }
  };
  await Promise.all([lane(), lane(), lane(), lane()]);
  const seconds = (performance.now() - startedAt) / 1000;
  await pool.close();
  return jobs / seconds;
}

function request(content: string): Parameters<ReturnType<typeof createFastcgiPool>['request']>[0] {
  const job = {
    id: '0190163d-8694-739b-aea5-966c26f8ad91',
    inTraceId: '0190163d-8694-739b-aea5-966c26f8ad91',
    content,
    retrying: 0,
    RetryTimes: 1,
    RetryTime: 1_700_000_000,
    IsRetry: true,
    BeginRetry: false,
    RetryResidueTime: 0,
  };
  const jobs = encodeURIComponent(JSON.stringify([job]));
  const stdin = Buffer.from(
    `IS_PEPPER_BUS_REQUEST=true&jobs=${jobs}&outTraceId=0&queue=php_single&topic=php&type=data`,
  );
  const params = {
    SCRIPT_FILENAME: `${PHP}/consume.php`,
    REQUEST_METHOD: 'POST',
    CONTENT_LENGTH: String(stdin.length),
    CONTENT_TYPE: 'application/x-www-form-urlencoded',
  };
  return { params, stdin, timeoutMs: 10_000, stdoutBytesMax: 65_536 };
}

async function throughBus(bus: Bus, queue: string, jobs: number): Promise<number> {
  const load = new RedisLoad(bus.ports.redis, queue);
  await load.open();
  const before = await doneCount(bus, queue);
  const startedAt = performance.now();
  await load.push(jobs, IN_FLIGHT, stampedBody);
  while ((await doneCount(bus, queue)) < before + jobs) await pause(POLL_MS);
  const seconds = (performance.now() - startedAt) / 1000;
  load.close();
  return jobs / seconds;
}

async function doneCount(bus: Bus, queue: string): Promise<number> {
  const { queues } = await bus.storage.listQueues({ queue });
  return queues[0]?.topics[0]?.done ?? 0;
}
