import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// Again while a server that is just ending still writes there.
const REMOVE_AT_END_OF_INPUT =
  'read -r line; for try in 1 2 3 4 5; do rm -rf -- "$0" && break; sleep 1; done';

const PORT_LEAST = 15_000;
/** Linux hands out ports from 32768 on, others from 49152 on. Each test worker has a slice for itself. */
const SLICE_PORTS = 2_000;
const SLICES = 8;
/** So that no two servers of a test are promised the same port before they listen. */
const promised = new Set<number>();

/**
 * A TCP port of 127.0.0.1 that was free a moment ago; for servers that cannot take port 0. It lies
 * below the range that systems hand out: there, an outgoing connection may take the port of a
 * server that is just being restarted (a client that reconnects to it even connects to itself).
 * Nor does another worker's test get the port of a server that is just being restarted here.
 */
export async function freePort(): Promise<number> {
  const slice = Number(process.env.VITEST_POOL_ID ?? 0) % SLICES;
  const least = PORT_LEAST + slice * SLICE_PORTS;
  for (;;) {
    const port = least + Math.floor(Math.random() * SLICE_PORTS);
    if (promised.has(port) || !(await isFree(port))) continue;
    promised.add(port);
    return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
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
