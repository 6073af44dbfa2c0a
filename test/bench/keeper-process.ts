import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { config } from '@malabar/contracts';
import { type Client, connect } from '@malabar/rpc';
import { etcdServer, freePort, type Server, spawnServer, tempDir } from '@malabar/testkit';

const MALABAR = fileURLToPath(new URL('../../services/cli/bin/malabar.js', import.meta.url));

export type BackendName = 'lmdb' | 'etcd';

/** A keeper alone in its process, as `malabar start keeper` runs it. */
export interface KeeperProcess {
  pid: number;
  address: string;
  config: Client<config.ConfigServiceDefinition>;
  stop(): Promise<void>;
}

/** Starts it on an empty store: LMDB in a folder of its own, or an etcd of its own. */
export async function startKeeper(backend: BackendName): Promise<KeeperProcess> {
  const etcd = backend === 'etcd' ? await etcdServer() : undefined;
  const address = `127.0.0.1:${await freePort()}`;
  const ops = await freePort();
  const server = await spawn(address, ops, backend, etcd?.address);
  const client = connect(config.ConfigServiceDefinition, { address });
  return {
    pid: server.pid,
    address,
    config: client,
    async stop() {
      client.close();
      await server.stop();
      await etcd?.stop();
    },
  };
}

function spawn(
  address: string,
  ops: number,
  backend: BackendName,
  etcd: string | undefined,
): Promise<Server> {
  const dir = tempDir('keeper-bench');
  const settings = [
    `data=${join(dir, 'data')}`,
    `grpc.listen=${address}`,
    `ops.listen=127.0.0.1:${ops}`,
    `keeper.backend=${backend}`,
    `keeper.secret_key=${'benchmark'.repeat(4)}`,
    ...(etcd ? [`keeper.etcd.endpoints=${etcd}`] : []),
    'log.level=warn',
  ];
  return spawnServer({
    command: process.execPath,
    args: [MALABAR, 'start', 'keeper', ...settings.flatMap((setting) => ['--set', setting])],
    cwd: dir,
    ready: async () => (await fetch(`http://127.0.0.1:${ops}/readyz`)).ok,
  });
}
