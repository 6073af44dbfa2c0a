import { join } from 'node:path';
import { type EtcdServer, etcdServer, FakeClock, packages, tempDir } from '@malabar/testkit';
import { describe, onTestFinished } from 'vitest';
import type { Backend } from './backend.js';
import { createEtcdBackend } from './backends/etcd.js';
import { createLmdbBackend } from './backends/lmdb.js';

/** Where one test keeps its data. */
export interface Place {
  /** Open; closed when the test is over. */
  backend: Backend;
  /** Lets leases grow older; etcd has a time of its own, for which a test waits with `eventually`. */
  clock: FakeClock;
  /** A further keeper's backend on the same data; where only one can have it, the same again. */
  another(): Promise<Backend>;
}

const etcd = await packages.etcd();
if (etcd.missing) console.warn(`tests on etcd skipped: ${etcd.missing}`);

const KINDS = { lmdb: lmdbPlace, ...(etcd.missing ? {} : { etcd: etcdPlace }) };

export type BackendKind = 'lmdb' | 'etcd';

/** Runs tests of what stands on a backend once for every kind of backend. */
export function describeBackends(
  name: string,
  tests: (place: () => Promise<Place>, kind: BackendKind) => void,
): void {
  for (const [kind, place] of Object.entries(KINDS))
    describe(`${name} on ${kind}`, () => tests(place, kind as BackendKind));
}

/** For tests whose subject is the same on every backend. */
export async function lmdbPlace(): Promise<Place> {
  const clock = new FakeClock();
  const path = join(tempDir('keeper'), 'store');
  const backend = await opened(createLmdbBackend({ path, clock }));
  return { backend, clock, another: async () => backend };
}

let server: Promise<EtcdServer> | undefined;
let places = 0;

/** One etcd for all tests of a worker, and a prefix for each of them. */
async function etcdPlace(): Promise<Place> {
  server ??= etcdServer();
  const { address } = await server;
  const prefix = `/test-${++places}`;
  const another = () => opened(createEtcdBackend({ endpoints: [address], prefix }));
  return { backend: await another(), clock: new FakeClock(), another };
}

async function opened(backend: Backend): Promise<Backend> {
  await backend.open();
  onTestFinished(() => backend.close());
  return backend;
}
