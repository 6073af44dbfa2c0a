import { EtcdClient } from '@malabar/etcd';
import { cuttingProxy, type EtcdServer, etcdServer } from '@malabar/testkit';
import { onTestFinished } from 'vitest';
import { createEtcdBackend } from '../etcd.js';
import type { BackendPlace, TroubledPlace } from './harness.js';

let shared: Promise<EtcdServer> | undefined;
let places = 0;

/** One etcd for all tests of a worker, and a prefix for each of them. */
export async function etcdPlace(): Promise<BackendPlace> {
  shared ??= etcdServer();
  const options = { endpoints: [(await shared).address], prefix: `/test-${++places}` };
  // Time passes by itself; tests wait for it with `eventually`.
  return { backend: () => createEtcdBackend(options), pass: async () => {} };
}

/** An etcd of its own behind a proxy that can be cut. */
export async function troubledEtcdPlace(): Promise<TroubledPlace> {
  let server = await etcdServer();
  onTestFinished(() => server.stop());
  const { port, dir, address } = server;
  const proxy = await cuttingProxy({ port });
  onTestFinished(() => proxy.stop());
  const prefix = '/test';
  return {
    backend: () => createEtcdBackend({ endpoints: [proxy.address], prefix }),
    untroubled: () => createEtcdBackend({ endpoints: [address], prefix }),
    pass: async () => {},
    cut: proxy.cut,
    heal: proxy.heal,
    async kill() {
      server.kill('SIGKILL');
      await server.exited;
    },
    async start() {
      server = await etcdServer({ port, dir });
    },
    async compact() {
      const client = new EtcdClient({ endpoints: [address] });
      await client.compact((await client.list('', { limit: 1 })).revision);
      client.close();
    },
  };
}
