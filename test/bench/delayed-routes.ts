import { common, ingest } from '@malabar/contracts';
import { Channel } from '@malabar/core';
import { connect } from '@malabar/rpc';
import type { Bus } from '../harness/bus.js';
import { bodyStamped, LineLoad, redisCommand } from './load.js';

const IN_FLIGHT = 5_000;
const BATCH = 500;
const BATCHES_IN_FLIGHT = 10;

/** A way to leave jobs until their time. */
export interface DelayedRoute {
  name: string;
  /** The process that keeps the jobs. */
  pid: number;
  /** Leaves `count` jobs, each due `delayMs()` from now; resolves when all are safe. */
  leave(count: number, delayMs: () => number): Promise<void>;
  close(): void;
}

export async function addjobRoute(name: string, bus: Bus, queue: string): Promise<DelayedRoute> {
  const load = new LineLoad(bus.ports.redis, { begins: '$', lines: 2 });
  return lineRoute({ name, pid: bus.pid('all'), load }, (delayMs) => {
    const body = bodyStamped(Date.now() + delayMs);
    return redisCommand('ADDJOB', queue, body, '0', 'DELAY', (delayMs / 1000).toFixed(3));
  });
}

/** A sorted set by due time, as queues on Redis keep their delayed jobs. */
export async function zaddRoute(
  name: string,
  { port, pid }: { port: number; pid: number },
): Promise<DelayedRoute> {
  const load = new LineLoad(port, { begins: ':', lines: 1 });
  let id = 0;
  return lineRoute({ name, pid, load }, (delayMs) => {
    const dueAtMs = Date.now() + delayMs;
    // The same body twice would be one member.
    const member = bodyStamped(dueAtMs).slice(0, -8) + String(id++).padStart(8, '0');
    return redisCommand('ZADD', 'later', String(dueAtMs), member);
  });
}

/** beanstalkd knows whole seconds. */
export async function putRoute(
  name: string,
  { port, pid }: { port: number; pid: number },
): Promise<DelayedRoute> {
  const load = new LineLoad(port, { begins: 'I', lines: 1 });
  return lineRoute({ name, pid, load }, (delayMs) => {
    const seconds = Math.round(delayMs / 1000);
    const body = bodyStamped(Date.now() + seconds * 1000);
    return `put 1 ${seconds} 60 ${body.length}\r\n${body}\r\n`;
  });
}

async function lineRoute(
  { name, pid, load }: { name: string; pid: number; load: LineLoad },
  request: (delayMs: number) => string,
): Promise<DelayedRoute> {
  await load.open();
  return {
    name,
    pid,
    leave: (count, delayMs) => load.send(count, IN_FLIGHT, () => request(Math.round(delayMs()))),
    close: () => load.close(),
  };
}

/** Batches on one stream, some under way at once. */
export async function grpcRoute(name: string, bus: Bus, queue: string): Promise<DelayedRoute> {
  const address = `127.0.0.1:${bus.ports.grpc.all}`;
  const client = connect(ingest.IngestServiceDefinition, { address });
  const requests = new Channel<ingest.SubmitStreamRequest>();
  const answers = client.submitStream(requests)[Symbol.asyncIterator]();
  const take = async (): Promise<void> => {
    const { value } = (await answers.next()) as { value?: ingest.SubmitStreamResponse };
    const fault = value?.fault ?? value?.results.find((result) => result.fault)?.fault;
    if (value === undefined || fault) throw new Error(`refused: ${fault?.message}`);
  };
  return {
    name,
    pid: bus.pid('all'),
    async leave(count, delayMs) {
      let underWay = 0;
      for (let left = count; left > 0; left -= BATCH) {
        const jobs = Array.from({ length: Math.min(left, BATCH) }, () => jobDueIn(delayMs()));
        requests.push(ingest.SubmitStreamRequest.fromPartial({ queue, jobs }));
        if (++underWay < BATCHES_IN_FLIGHT) continue;
        await take();
        underWay--;
      }
      while (underWay-- > 0) await take();
    },
    close() {
      requests.end();
      client.close();
    },
  };
}

function jobDueIn(delayMs: number): common.Job {
  const deliverAtMs = Math.round(Date.now() + delayMs);
  return common.Job.fromPartial({ body: Buffer.from(bodyStamped(deliverAtMs)), deliverAtMs });
}
