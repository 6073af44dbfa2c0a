import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EtcdClient } from '@malabar/etcd';
import {
  type CuttingProxy,
  cuttingProxy,
  etcdServer,
  freePort,
  type Server,
  spawnServer,
  tempDir,
} from '@malabar/testkit';

const MALABAR = fileURLToPath(new URL('../../services/cli/bin/malabar.js', import.meta.url));

export interface KeepersOptions {
  count: number;
  /** Further settings, as `--set` takes them. */
  settings?: readonly string[];
}

/** Several real keepers on one real etcd, each with a network to it that a test can cut. */
export interface Keepers {
  /** gRPC addresses, one for each keeper. */
  addresses: readonly string[];
  /** Between each keeper and etcd. */
  networks: readonly CuttingProxy[];
  /** kill -9 of a keeper; resolves when it is gone. */
  kill(keeper: number): Promise<void>;
  /** Starts it again; resolves when it can serve. */
  start(keeper: number): Promise<void>;
  log(keeper: number): string;
  etcd: {
    kill(): Promise<void>;
    start(): Promise<void>;
    /** Forgets the history; how many revisions there have been. */
    compact(): Promise<number>;
  };
  stop(): Promise<void>;
}

interface Keeper {
  address: string;
  network: CuttingProxy;
  start(): Promise<void>;
  server: Server | undefined;
}

/** Starts etcd and then the keepers; resolves when all of them can serve. */
export async function startKeepers({ count, settings = [] }: KeepersOptions): Promise<Keepers> {
  const dir = tempDir('keepers');
  let etcd = await etcdServer();
  const { address, port, dir: etcdDir } = etcd;
  const keepers: Keeper[] = [];
  for (let i = 0; i < count; i++) {
    const network = await cuttingProxy(etcd);
    keepers.push(await createKeeper(join(dir, `keeper-${i}`), network, settings));
  }
  const all: Keepers = {
    addresses: keepers.map((keeper) => keeper.address),
    networks: keepers.map(({ network }) => network),
    async kill(keeper) {
      const server = keepers[keeper]?.server;
      server?.kill('SIGKILL');
      await server?.exited;
    },
    start: async (keeper) => keepers[keeper]?.start(),
    log: (keeper) => keepers[keeper]?.server?.log() ?? '',
    etcd: {
      async kill() {
        etcd.kill('SIGKILL');
        await etcd.exited;
      },
      async start() {
        etcd = await etcdServer({ port, dir: etcdDir });
      },
      compact: () => compact(address),
    },
    async stop() {
      await Promise.all(keepers.map(({ server }) => server?.stop()));
      for (const { network } of keepers) await network.stop();
      await etcd.stop();
    },
  };
  await Promise.all(keepers.map((keeper) => keeper.start()));
  return all;
}

async function createKeeper(
  dir: string,
  network: CuttingProxy,
  settings: readonly string[],
): Promise<Keeper> {
  mkdirSync(dir, { recursive: true });
  const address = `127.0.0.1:${await freePort()}`;
  const ops = await freePort();
  const sets = [
    `data=${dir}`,
    `grpc.listen=${address}`,
    `ops.listen=127.0.0.1:${ops}`,
    'keeper.backend=etcd',
    `keeper.etcd.endpoints=${network.address}`,
    'log.level=warn',
    ...settings,
  ].flatMap((setting) => ['--set', setting]);
  const keeper: Keeper = {
    address,
    network,
    server: undefined,
    async start() {
      keeper.server = await spawnServer({
        command: process.execPath,
        args: [MALABAR, 'start', 'keeper', ...sets],
        cwd: dir,
        ready: () => isReady(ops),
        readyTimeoutMs: 60_000,
      });
    },
  };
  return keeper;
}

async function isReady(port: number): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}/readyz`);
  await response.arrayBuffer();
  return response.ok;
}

async function compact(address: string): Promise<number> {
  const client = new EtcdClient({ endpoints: [address] });
  try {
    const { revision } = await client.list('', { limit: 1 });
    await client.compact(revision);
    return revision;
  } finally {
    client.close();
  }
}
