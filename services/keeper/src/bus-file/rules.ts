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
import { hashIn } from './sections.js';

const BY_ITSELF = { name: LOCAL.name, from: LOCAL.name };

/** Makes the domains that the bus itself goes by, and sets the rules of its queues and systems. */
export async function openBusDomains(store: ConfigStore): Promise<void> {
  await store.ensureDomain(BUS_DOMAIN, { description: 'queues and systems of the bus' }, BY_ITSELF);
  await store.ensureDomain(PEOPLE_DOMAIN, { description: 'people and their tokens' }, BY_ITSELF);
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
export async function publishFirst(store: ConfigStore): Promise<void> {
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
