import { connect } from 'node:net';
import { type Server, spawnServer } from '../server.js';
import { freePort, tempDir } from '../workspace.js';

export interface RedisOptions {
  /** Default false: nothing on disk. */
  appendonly?: boolean;
  appendfsync?: 'always' | 'everysec' | 'no';
  /** To start again on the data of an earlier one. */
  dir?: string;
  port?: number;
  /** Further lines as on the command line, e.g. `['--requirepass', 'x']`. */
  args?: readonly string[];
}

export interface RedisServer extends Server {
  host: string;
  port: number;
  /** `host:port`. */
  address: string;
  dir: string;
}

/** A real redis-server on 127.0.0.1, without RDB snapshots. Debian package redis-server. */
export async function redisServer(options: RedisOptions = {}): Promise<RedisServer> {
  const { appendonly = false, appendfsync = 'everysec', args = [] } = options;
  const dir = options.dir ?? tempDir('redis');
  const port = options.port ?? (await freePort());
  const settings = {
    port: `${port}`,
    bind: '127.0.0.1',
    dir,
    save: '',
    appendonly: appendonly ? 'yes' : 'no',
    appendfsync,
    daemonize: 'no',
  };
  const server = await spawnServer({
    command: 'redis-server',
    args: [...Object.entries(settings).flatMap(([key, value]) => [`--${key}`, value]), ...args],
    cwd: dir,
    ready: () => pings(port),
  });
  return { ...server, host: '127.0.0.1', port, address: `127.0.0.1:${port}`, dir };
}

/** NOAUTH is an answer too; LOADING is not. */
function pings(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    socket.once('error', reject);
    socket.once('close', () => resolve(false));
    socket.once('data', (reply) => {
      resolve(/^(\+PONG|-NOAUTH)/.test(reply.toString()));
      socket.destroy();
    });
  });
}
