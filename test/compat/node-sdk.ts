import { fileURLToPath } from 'node:url';
import { common, type storage } from '@malabar/contracts';
import type { WorkerOptions } from '@malabar/sdk';
import { eventually, type Server, spawnServer } from '@malabar/testkit';
import { expect } from 'vitest';
import type { Bus } from '../harness/bus.js';
import { recordFile, type Start } from './php-application.js';

const SCRIPT = fileURLToPath(new URL('./node/sdk/worker.ts', import.meta.url));
const { DONE, DEAD } = common.DeliveryState;

/** Runs a TypeScript file by its sources and those of its packages. */
export const FROM_SOURCE = ['--conditions=source', '--import', 'tsx'];

/** A line that act.ts wrote: when a handler began, or when it ended. */
export interface Line extends Start {
  what: 'begin' | 'end';
  at: number;
  aborted: boolean;
}

/** A file for the `record` of events, and what handlers wrote there. */
export function recorded() {
  const { record, starts } = recordFile();
  const lines = (what: Line['what']) => (starts() as Line[]).filter((line) => line.what === what);
  return { record, begun: () => lines('begin'), ended: () => lines('end') };
}

/** A worker in a process of its own; it ends with the test that stops it. */
export function startWorker(
  address: string,
  paths: readonly string[],
  options: WorkerOptions = {},
): Promise<Server> {
  return spawnServer({
    command: process.execPath,
    args: [...FROM_SOURCE, SCRIPT, address, JSON.stringify(options), ...paths],
    ready: (server) => server.log().includes('working'),
    stopGraceMs: 20_000,
  });
}

/** The delivery of a job to a topic of its queue, once it is done or dead. */
export function endedAt(bus: Bus, task: string, jobId: string): Promise<storage.Delivery> {
  return eventually(
    async () => {
      const { deliveries } = await bus.storage.getJob({ jobId });
      const found = deliveries.find(({ topic }) => topic === task);
      expect([DONE, DEAD]).toContain(found?.state);
      return found as storage.Delivery;
    },
    { timeoutMs: 30_000, everyMs: 20 },
  );
}

/** What a topic counts. */
export async function counts(bus: Bus, queue: string): Promise<storage.TopicStats> {
  const { queues } = await bus.storage.listQueues({ queue });
  return queues[0]?.topics[0] as storage.TopicStats;
}
