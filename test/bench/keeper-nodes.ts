import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Received } from './workers/keeper-nodes.js';

const WORKER = fileURLToPath(new URL('./workers/keeper-nodes.ts', import.meta.url));

/** Many nodes in as many processes as the machine has processors. */
export interface KeeperNodes {
  pids: readonly number[];
  /** Everything that was pushed to them since the last call. */
  take(): Promise<Received[]>;
  stop(): Promise<void>;
}

/** Starts `count` nodes; resolves when each of them runs the release in force. */
export async function startKeeperNodes(address: string, count: number): Promise<KeeperNodes> {
  const processes = availableParallelism();
  const share = Math.ceil(count / processes);
  const children = await Promise.all(
    Array.from({ length: processes }, (_, at) =>
      startNodes(address, at * share, Math.min(share, count - at * share)),
    ),
  );
  return {
    pids: children.map(({ pid }) => pid ?? 0),
    take: async () => (await Promise.all(children.map(ask))).flat(),
    async stop() {
      for (const child of children) child.kill('SIGKILL');
      await Promise.all(children.map((child) => child.exitCode ?? once(child, 'exit')));
    },
  };
}

async function startNodes(address: string, first: number, count: number): Promise<ChildProcess> {
  // The libraries as they were built: tsx would wrap every closure of the sources. And memory for what
  // hundreds of nodes leave behind, collected between two changes: alone in its process a node has
  // next to nothing to collect, and here each would stop for all others.
  const memory = ['--min-semi-space-size=64', '--max-semi-space-size=64', '--expose-gc'];
  const execArgv = ['--import', 'tsx', ...memory];
  const child = fork(WORKER, [address, String(first), String(count)], { execArgv });
  await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => {
      throw new Error(`nodes ended with ${code}`);
    }),
  ]);
  return child;
}

async function ask(child: ChildProcess): Promise<Received[]> {
  const answer = once(child, 'message');
  child.send('take');
  return (await answer)[0];
}
