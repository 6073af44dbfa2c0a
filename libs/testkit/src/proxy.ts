import { connect, createServer, type Socket } from 'node:net';
import { freePort } from './workspace.js';

export interface CuttingProxy {
  host: string;
  port: number;
  /** `host:port`. */
  address: string;
  /**
   * Lets nothing through any more, as a network does that has lost its middle: connections stay open,
   * bytes in both directions wait, new connections are taken and never answered.
   */
  cut(): void;
  /** Lets everything through again, also what has waited. */
  heal(): void;
  /** Resets all connections; new ones are taken unless it is cut. */
  reset(): void;
  /** Every chunk waits so long in each direction. */
  delayMs: number;
  stop(): Promise<void>;
}

interface Pair {
  near: Socket;
  far: Socket;
}

/** A proxy on 127.0.0.1 in front of a TCP port, which a test can cut. */
export async function cuttingProxy(target: { port: number }): Promise<CuttingProxy> {
  const pairs = new Set<Pair>();
  let isCut = false;
  const port = await freePort();

  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ port: target.port, host: '127.0.0.1', allowHalfOpen: true });
    const pair = { near, far };
    pairs.add(pair);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.setNoDelay(true);
      from.on('data', (chunk) => later(() => to.writable && to.write(chunk)));
      from.on('end', () => later(() => to.end()));
      from.on('error', () => to.destroy());
      from.on('close', () => pairs.delete(pair));
    }
    if (isCut) pause(pair);
  });

  const proxy: CuttingProxy = {
    host: '127.0.0.1',
    port,
    address: `127.0.0.1:${port}`,
    delayMs: 0,
    cut() {
      isCut = true;
      for (const pair of pairs) pause(pair);
    },
    heal() {
      isCut = false;
      for (const { near, far } of pairs) {
        near.resume();
        far.resume();
      }
    },
    reset() {
      for (const { near, far } of pairs) {
        near.resetAndDestroy();
        far.resetAndDestroy();
      }
    },
    async stop() {
      proxy.reset();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };

  function later(run: () => void): void {
    if (proxy.delayMs === 0) run();
    else setTimeout(run, proxy.delayMs);
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return proxy;
}

function pause({ near, far }: Pair): void {
  near.pause();
  far.pause();
}
