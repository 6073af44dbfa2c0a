import { join } from 'node:path';
import { FakeClock, tempDir } from '@malabar/testkit';
import { describe, onTestFinished } from 'vitest';
import type { Backend } from './backend.js';
import { createLmdbBackend } from './backends/lmdb.js';

/** Where one test keeps its data. */
export interface Place {
  /** Open; closed when the test is over. */
  backend: Backend;
  /** What the backend takes for the time; etcd has its own. */
  clock: FakeClock;
  /** A further keeper's backend on the same data; where only one can have it, the same again. */
  another(): Promise<Backend>;
}

const KINDS = { lmdb: lmdbPlace } satisfies Record<string, () => Promise<Place>>;

/** Runs tests of what stands on a backend once for every kind of backend. */
export function describeBackends(
  name: string,
  tests: (place: () => Promise<Place>, kind: keyof typeof KINDS) => void,
): void {
  for (const [kind, place] of Object.entries(KINDS))
    describe(`${name} on ${kind}`, () => tests(place, kind as keyof typeof KINDS));
}

async function lmdbPlace(): Promise<Place> {
  const clock = new FakeClock();
  const backend = await opened(
    createLmdbBackend({ path: join(tempDir('keeper'), 'store'), clock }),
  );
  return { backend, clock, another: async () => backend };
}

async function opened(backend: Backend): Promise<Backend> {
  await backend.open();
  onTestFinished(() => backend.close());
  return backend;
}
