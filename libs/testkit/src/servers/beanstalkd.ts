import { connect } from 'node:net';
import { type Server, spawnServer } from '../server.js';
import { freePort, tempDir } from '../workspace.js';

export interface Beanstalkd extends Server {
  host: string;
  port: number;
}

/** A real beanstalkd with a write-ahead log; `fsyncMs` 0 flushes each write. */
export async function beanstalkd({ fsyncMs = 0 } = {}): Promise<Beanstalkd> {
  const port = await freePort();
  const dir = tempDir('beanstalkd');
  const args = ['-l', '127.0.0.1', '-p', `${port}`, '-b', dir, '-f', `${fsyncMs}`];
  const ready = () =>
    new Promise<void>((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => resolve(void socket.destroy()));
      socket.once('error', reject);
    });
  const server = await spawnServer({ command: 'beanstalkd', args, ready });
  return { ...server, host: '127.0.0.1', port };
}
