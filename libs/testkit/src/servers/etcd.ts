import { request } from 'node:http';
import { type Server, spawnServer } from '../server.js';
import { freePort, tempDir } from '../workspace.js';

export interface EtcdOptions {
  /** To start again on the data of an earlier one. */
  dir?: string;
  port?: number;
  /** Further words of the command line, e.g. `['--quota-backend-bytes', '2097152']`. */
  args?: readonly string[];
}

export interface EtcdServer extends Server {
  host: string;
  port: number;
  /** `host:port`. */
  address: string;
  dir: string;
}

/** A real etcd of one member on 127.0.0.1. Debian package etcd-server. */
export async function etcdServer(options: EtcdOptions = {}): Promise<EtcdServer> {
  const dir = options.dir ?? tempDir('etcd');
  const port = options.port ?? (await freePort());
  const client = `http://127.0.0.1:${port}`;
  const peer = `http://127.0.0.1:${await freePort()}`;
  const settings = {
    name: 'test',
    'data-dir': dir,
    'listen-client-urls': client,
    'advertise-client-urls': client,
    'listen-peer-urls': peer,
    'initial-advertise-peer-urls': peer,
    'initial-cluster': `test=${peer}`,
  };
  const server = await spawnServer({
    command: 'etcd',
    args: [
      ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
      ...(options.args ?? []),
    ],
    cwd: dir,
    ready: () => isHealthy(port),
  });
  return { ...server, host: '127.0.0.1', port, address: `127.0.0.1:${port}`, dir };
}

/** A member that has no leader yet answers 503. */
function isHealthy(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path: '/health' }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    asked.once('error', reject);
    asked.end();
  });
}
