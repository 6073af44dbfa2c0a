import { LOCAL, PEOPLE_DOMAIN, USERS_FILE } from '@malabar/access';
import {
  BUS_DOMAIN,
  BusFilesReader,
  createPasswordHashes,
  QUEUES_FILE,
  withHashes,
} from '@malabar/config';
import { toBusError } from '@malabar/core';
import type { ConfigStore } from '../config/store.js';
import { hashIn } from './sections.js';

const BY_ITSELF = { name: LOCAL.name, from: LOCAL.name };

/** Makes the domain that the bus itself goes by, and sets the rules of its queues and systems. */
export async function openBusDomain(store: ConfigStore): Promise<void> {
  await store.ensureDomain(BUS_DOMAIN, { description: 'Queues and systems.' }, BY_ITSELF);
  const reader = new BusFilesReader();
  store.addValidator(BUS_DOMAIN, (files) => reader.faults(files));
  store.setForm(BUS_DOMAIN, (files, before) =>
    withHashes(
      files,
      createPasswordHashes((section, key) => hashIn(before, section, key)),
    ),
  );
}

/** A bus without queues or people is a bus: its services run an empty release rather than none. */
export async function publishFirst(store: ConfigStore): Promise<void> {
  await publishEmpty(store, BUS_DOMAIN, QUEUES_FILE);
  await publishEmpty(store, PEOPLE_DOMAIN, USERS_FILE);
}

async function publishEmpty(store: ConfigStore, domain: string, path: string): Promise<void> {
  if (store.getDomain(domain).release > 0) return;
  const file = { path, sections: [], parent: '', schema: '' };
  const operations = [{ operation: { $case: 'putFile' as const, value: { file } } }];
  const request = { domain, expectedRelease: 0, draftRevision: 0, operations };
  try {
    await store.publish({ ...request, canary: undefined, note: 'the bus begins' }, BY_ITSELF);
  } catch (error) {
    // Another keeper was first.
    if (toBusError(error).code !== 'CONFLICT') throw error;
  }
}
