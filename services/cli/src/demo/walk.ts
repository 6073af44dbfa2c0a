import { common, type storage } from '@malabar/contracts';
import { type Clock, sleep } from '@malabar/core';
import type { Client } from '@malabar/rpc';
import { printQueues } from '../commands/queues.js';
import { plural } from '../format.js';
import { printJob } from '../job-view.js';
import type { Terminal } from '../terminal.js';
import { connectRedis } from './redis-producer.js';
import type { Story } from './story.js';

const QUEUE = 'demo';
const ORDERS = ['A-1', 'A-2', 'A-3', 'A-4'];
const LATE_S = 60;
const PATIENCE_MS = 30_000;
const LOOK_MS = 200;

/** What the walk through the demo works with. */
export interface Walk {
  terminal: Terminal;
  clock: Clock;
  story: Story;
  storage: Client<storage.StorageServiceDefinition>;
  /** host:port of the Redis listener. */
  redis: string;
  signal: AbortSignal;
}

/** Resolves when the process says that it is ready, or patience ends. */
export async function untilReady(opsAddress: string, clock: Clock): Promise<void> {
  const endMs = clock.now() + PATIENCE_MS;
  while (clock.now() < endMs) {
    const { ok } = await fetch(`http://${opsAddress}/readyz`);
    if (ok) return;
    await sleep(clock, LOOK_MS);
  }
}

/** Says what an earlier run left, pushes some jobs, waits for them and shows what the bus knows. */
export async function walk(walk: Walk): Promise<void> {
  await tellBacklog(walk);
  const ids = await push(walk);
  await settled(walk, ids);
  if (!walk.signal.aborted) await show(walk, ids[0] ?? '');
}

async function tellBacklog({ terminal, storage }: Walk): Promise<void> {
  const waiting = await countWaiting(storage);
  if (waiting === 0) return;
  const text = `Going on where it stopped: ${plural(waiting, 'delivery was', 'deliveries were')} kept.`;
  terminal.line(terminal.style('bold', text));
  terminal.line();
}

/** Deliveries of all topics that are not settled. */
export async function countWaiting(
  client: Client<storage.StorageServiceDefinition>,
): Promise<number> {
  const { queues } = await client.listQueues({ queue: '' });
  const topics = queues.flatMap((queue) => queue.topics);
  return topics.reduce((sum, { ready, scheduled, leased }) => sum + ready + scheduled + leased, 0);
}

async function push({ redis, story }: Walk): Promise<string[]> {
  const producer = await connectRedis(redis);
  const ids: string[] = [];
  try {
    for (const order of ORDERS) {
      const body = JSON.stringify({ order });
      const jobId = String(await producer.send('ADDJOB', QUEUE, body, '0'));
      story.accepted({ jobId, body }, '');
      ids.push(jobId);
    }
    const body = JSON.stringify({ order: 'later' });
    const jobId = await producer.send('ADDJOB', QUEUE, body, '0', 'DELAY', String(LATE_S));
    story.accepted({ jobId: String(jobId), body }, `, due in ${LATE_S}s`);
  } finally {
    producer.close();
  }
  return ids;
}

/** Resolves when every topic has the jobs behind it, or patience ends. */
async function settled({ storage, clock, signal }: Walk, ids: string[]): Promise<void> {
  const endMs = clock.now() + PATIENCE_MS;
  const open = new Set(ids);
  while (open.size > 0 && clock.now() < endMs && !signal.aborted) {
    await sleep(clock, LOOK_MS, signal);
    for (const jobId of open) {
      const { deliveries } = await storage.getJob({ jobId });
      if (deliveries.every(({ state }) => END.has(state))) open.delete(jobId);
    }
  }
}

const END = new Set([
  common.DeliveryState.DONE,
  common.DeliveryState.DEAD,
  common.DeliveryState.DISCARDED,
]);

async function show({ terminal, storage }: Walk, jobId: string): Promise<void> {
  terminal.line();
  terminal.line(
    terminal.style('bold', 'What the bus remembers of the first job (malabar jobs show):'),
  );
  terminal.line();
  printJob(terminal, jobId, await storage.getJob({ jobId }), false);
  terminal.line();
  terminal.line(terminal.style('bold', 'All topics (malabar queues):'));
  terminal.line();
  const { queues } = await storage.listQueues({ queue: '' });
  printQueues(terminal, queues);
  terminal.line();
}
