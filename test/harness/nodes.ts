import { fileURLToPath } from 'node:url';
import { type Server, spawnServer } from '@malabar/testkit';

const TEST = fileURLToPath(new URL('../', import.meta.url));

/** A program that prints a line of JSON whenever it takes something over. */
export interface Follower extends Server {
  /** Everything that it printed. */
  lines(): object[];
}

/** Starts a TypeScript program of test/ in a process of its own. */
export async function nodeProgram(file: string, args: readonly string[]): Promise<Follower> {
  return follower(
    await spawnServer({
      command: process.execPath,
      args: ['--import', 'tsx', file, ...args],
      cwd: TEST,
      ready: () => true,
    }),
  );
}

/** A process whose lines that begin with `{` are read. */
export function follower(server: Server): Follower {
  const lines = (): string[] => server.log().split('\n');
  return {
    ...server,
    lines: () => lines().flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : [])),
  };
}
