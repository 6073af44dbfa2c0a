import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// Again while a server that is just ending still writes there.
const REMOVE_AT_END_OF_INPUT =
  'read -r line; for try in 1 2 3 4 5; do rm -rf -- "$0" && break; sleep 1; done';

/** A TCP port of 127.0.0.1 that was free a moment ago; for servers that cannot take port 0. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

/** A new empty folder; removed with what it holds when the test worker is gone. */
export function tempDir(name = 'test'): string {
  const dir = mkdtempSync(join(tmpdir(), `malabar-${name}-`));
  // Exit handlers do not run in a worker that is terminated, but its end of a pipe closes always.
  const remover = spawn('sh', ['-c', REMOVE_AT_END_OF_INPUT, dir], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  remover.unref();
  (remover.stdin as Socket).unref();
  return dir;
}
