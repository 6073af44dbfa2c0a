import { LOCAL, PEOPLE_DOMAIN } from '@malabar/access';
import {
  BUS_DOMAIN,
  BusFilesReader,
  createPasswordHashes,
  QUEUES_FILE,
  withHashes,
} from '@malabar/config';
import { toBusError } from '@malabar/core';
import type { ConfigStore } from '../config/store.js';
import type { KeeperContext, KeeperPart } from '../part.js';
import { BusFile } from './bus-file.js';
import { createBusFileMetrics, exportRelease } from './metrics.js';
import { hashIn } from './sections.js';

const BY_ITSELF = { name: LOCAL.name, from: LOCAL.name };

/** The bus's own domain with its rules, and malabar.yaml as one of its authors. */
export async function createBusFile(context: KeeperContext): Promise<KeeperPart> {
  const { configFile: path, store, metrics } = context;
  await store.ensureDomain(BUS_DOMAIN, { description: 'queues and systems of the bus' }, BY_ITSELF);
  await store.ensureDomain(PEOPLE_DOMAIN, { description: 'people and tokens' }, BY_ITSELF);
  setRules(store);
  exportRelease(metrics, () => store.domains.get(BUS_DOMAIN)?.record.release ?? 0);
  const file = path === undefined ? undefined : createFile(context, path);
  await file?.start();
  await begin(store);
  return { stop: () => file?.stop() };
}

function createFile({ config, store, clock, log, metrics }: KeeperContext, path: string): BusFile {
  return new BusFile({
    path,
    env: process.env,
    // Of an embedded backend this is the only keeper.
    shared: config.keeper.backend !== 'lmdb',
    releases: store,
    clock,
    log,
    metrics: createBusFileMetrics(metrics),
  });
}

function setRules(store: ConfigStore): void {
  const reader = new BusFilesReader();
  store.addValidator(BUS_DOMAIN, (files) => reader.faults(files));
  store.setForm(BUS_DOMAIN, (files, before) =>
    withHashes(
      files,
      createPasswordHashes((section, key) => hashIn(before, section, key)),
    ),
  );
}

/** A bus without queues is a bus: its services run an empty release rather than none. */
async function begin(store: ConfigStore): Promise<void> {
  const { release } = store.getDomain(BUS_DOMAIN);
  if (release > 0) return;
  const file = { path: QUEUES_FILE, sections: [], parent: '', schema: '' };
  const operations = [{ operation: { $case: 'putFile' as const, value: { file } } }];
  const request = { domain: BUS_DOMAIN, expectedRelease: 0, draftRevision: 0, operations };
  try {
    await store.publish({ ...request, canary: undefined, note: 'the bus begins' }, BY_ITSELF);
  } catch (error) {
    // Another keeper was first.
    if (toBusError(error).code !== 'CONFLICT') throw error;
  }
}
