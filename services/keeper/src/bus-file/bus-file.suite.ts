import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PEOPLE_DOMAIN } from '@malabar/access';
import { BUS_DOMAIN, filesToBusConfig } from '@malabar/config';
import type { config, keeper } from '@malabar/contracts';
import type { Clock } from '@malabar/core';
import { createMetrics, type Logger } from '@malabar/telemetry';
import { logToMemory, type MemoryEntry, seededRandom, tempDir } from '@malabar/testkit';
import { onTestFinished } from 'vitest';
import type { Place } from '../backends.suite.js';
import { secretKey } from '../config/sealing.js';
import { ConfigStore } from '../config/store.js';
import { createConfigMetrics } from '../metrics.js';
import { BusFile } from './bus-file.js';
import { createBusFileMetrics } from './metrics.js';
import { openBusDomain } from './rules.js';

export interface StageOptions {
  /** Written into malabar.yaml. */
  text?: string;
  dir?: string;
  env?: Record<string, string>;
  shared?: boolean;
  /** For file events, which come in real time. */
  clock?: Clock;
}

/** A keeper's store and its file. */
export interface Stage {
  dir: string;
  file: string;
  busFile: BusFile;
  store: ConfigStore;
  entries: MemoryEntry[];
  /** The number of the bus's own release that is in force. */
  release(): number;
  /** What is in force, with secrets. */
  busConfig(): Promise<keeper.BusConfig>;
  files(domain?: string): Promise<readonly config.ConfigFile[]>;
  /** Somebody else writes. */
  edit(...operations: config.Operation[]): Promise<void>;
  figure(name: string): Promise<number>;
  lines(): string[];
}

/** A keeper that starts on what is kept at a place. The file is not read yet. */
export async function stage(place: Place, options: StageOptions = {}): Promise<Stage> {
  const { text, dir = tempDir('keeper'), env = {}, shared = false, clock = place.clock } = options;
  const file = join(dir, 'malabar.yaml');
  if (text !== undefined) writeFileSync(file, text);
  const { log, entries } = logToMemory<Logger>();
  const metrics = createMetrics();
  const store = new ConfigStore({
    backend: await place.another(),
    secretKeys: { current: secretKey('a key of thirty-two characters...'), previous: [] },
    limits: { keys: 10_000, files: 1_000, value: 2 ** 20 },
    history: 1_000,
    clock,
    random: seededRandom(1),
    log,
    metrics: createConfigMetrics(metrics),
  });
  await store.start();
  await openBusDomain(store);
  await store.ensureDomain(PEOPLE_DOMAIN, {}, { name: 'keeper', from: 'test' });
  const busFile = new BusFile({
    path: file,
    env,
    shared,
    releases: store,
    clock,
    log,
    metrics: createBusFileMetrics(metrics),
  });
  onTestFinished(async () => {
    await busFile.stop();
    store.stop();
  });
  const release = (): number => store.getDomain(BUS_DOMAIN).release;
  const files = async (domain = BUS_DOMAIN) =>
    store.unseal(domain, await store.content(domain, store.getDomain(domain).release));
  return {
    ...{ dir, file, busFile, store, entries, release, files },
    busConfig: async () => filesToBusConfig(await files()),
    async edit(...operations) {
      const at = { domain: BUS_DOMAIN, expectedRelease: release(), draftRevision: 0 };
      const request = { ...at, operations, canary: undefined, note: '' };
      await store.publish(request, { name: 'ann', from: 'test' });
    },
    figure: async (name) =>
      (await metrics.registry.getSingleMetric(name)?.get())?.values[0]?.value ?? Number.NaN,
    lines: () => entries.map(({ message }) => message),
  };
}

/** Sets a key of a queue's section. */
export function setKey(queue: string, key: string, type: string, raw: string): config.Operation {
  const value = { file: '/queues.conf', section: queue, key, type, raw };
  return { operation: { $case: 'setKey', value } };
}
