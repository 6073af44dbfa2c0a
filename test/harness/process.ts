import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, type Server, spawnServer } from '@malabar/testkit';
import { MALABAR } from './bus.js';

export interface BusProcessOptions {
  /** Services that it runs. */
  services: readonly string[];
  /** Its name, and that of its folder. */
  node: string;
  dir: string;
  /** None if it is a keeper itself. */
  keepers: readonly string[];
  /** Further settings, as `--set` takes them. */
  settings?: readonly string[];
}

/** A process of a bus whose keepers run elsewhere, on the same ports in each of its lives. */
export interface BusProcess {
  readonly node: string;
  /** gRPC. */
  readonly address: string;
  start(): Promise<void>;
  /** kill -9; resolves when it is gone. */
  kill(): Promise<void>;
  stop(): Promise<void>;
  log(): string;
}

/** A process that is to be started. */
export async function busProcess(options: BusProcessOptions): Promise<BusProcess> {
  const { services, node, keepers, settings = [] } = options;
  const dir = join(options.dir, node);
  mkdirSync(dir, { recursive: true });
  const address = `127.0.0.1:${await freePort()}`;
  const ops = `127.0.0.1:${await freePort()}`;
  const sets = [
    `data=${dir}`,
    `node=${node}`,
    `grpc.listen=${address}`,
    `ops.listen=${ops}`,
    ...(keepers.length > 0 ? [`addresses.keeper=${keepers.join(',')}`] : []),
    ...settings,
  ].flatMap((setting) => ['--set', setting]);
  let server: Server | undefined;
  return {
    node,
    address,
    async start() {
      server = await spawnServer({
        command: process.execPath,
        args: [MALABAR, 'start', ...services, ...sets],
        cwd: dir,
        ready: async () => (await fetch(`http://${ops}/readyz`)).ok,
        readyTimeoutMs: 60_000,
      });
    },
    async kill() {
      server?.kill('SIGKILL');
      await server?.exited;
    },
    stop: async () => server?.stop(),
    log: () => server?.log() ?? '',
  };
}
