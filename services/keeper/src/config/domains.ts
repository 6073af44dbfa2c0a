import type { Author } from '@malabar/access';
import { type config, keeperRecords } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { keys } from '../keys.js';
import { change, existing, type Loaded } from './change.js';
import { checkRelease, checkSettingsSeen, conflict } from './conflicts.js';
import { checkDeletable, checkDomainName, checkSettings, DOMAINS_MAX } from './limits.js';
import type { Parts } from './parts.js';
import { NO_SETTINGS, toDomain } from './settings.js';

/** Makes a domain or changes its settings. */
export async function putDomain(
  parts: Parts,
  { domain, settings = NO_SETTINGS, settingsRevision }: config.PutDomainRequest,
  by: Author,
): Promise<config.Domain> {
  checkDomainName(domain);
  checkSettings(settings);
  return change(parts, domain, by, async (loaded) => {
    if (settingsRevision === 0 && loaded.record !== undefined) {
      throw conflict(`there is a domain ${domain} already`);
    }
    await checkSettingsSeen(parts, loaded, settingsRevision);
    const before = loaded.record ?? (await newRecord(parts, loaded));
    const record = { ...before, settings, settingsRevision: before.settingsRevision + 1 };
    return {
      answer: toDomain(domain, record),
      writes: { record, deed: { domain, action: 'settings', note: noteOf(before, settings) } },
    };
  });
}

/**
 * Takes a domain away; its releases go with the next sweep, its audit stays. What keeps its numbers
 * stays, too: should it be made again, no node takes a new release for an old one.
 */
export async function deleteDomain(
  parts: Parts,
  { domain, expectedRelease }: config.DeleteDomainRequest,
  by: Author,
): Promise<void> {
  checkDeletable(domain);
  await change(parts, domain, by, async (loaded) => {
    const { settingsRevision, release, nextRelease, draftRevision, draft } = existing(loaded);
    await checkRelease(parts, loaded, expectedRelease);
    const tombstone = keeperRecords.DomainRecord.fromPartial({
      settingsRevision,
      nextRelease,
      oldestRelease: nextRelease,
      draftRevision,
    });
    const value = keeperRecords.DomainRecord.encode(tombstone).finish();
    return {
      answer: undefined,
      writes: {
        record: undefined,
        puts: [{ key: keys.tombstone(domain), value }],
        loosened: draft?.content?.files ?? [],
        deed: { domain, action: 'delete', release },
      },
    };
  });
}

async function newRecord(
  { backend, view }: Parts,
  { domain }: Loaded,
): Promise<keeperRecords.DomainRecord> {
  if (view.domains.size >= DOMAINS_MAX) {
    throw new BusError('TOO_LARGE', `${view.domains.size} domains: the limit is ${DOMAINS_MAX}`);
  }
  const tombstone = await backend.get(keys.tombstone(domain));
  if (tombstone !== undefined) return keeperRecords.DomainRecord.decode(tombstone.value);
  return keeperRecords.DomainRecord.fromPartial({ nextRelease: 1, oldestRelease: 1 });
}

/** What the audit says of settings: those before, if there were any, and those from now on. */
function noteOf(before: keeperRecords.DomainRecord, settings: config.DomainSettings): string {
  const now = settingsText(settings);
  return before.settings === undefined ? now : `${now}; before: ${settingsText(before.settings)}`;
}

function settingsText({ system, fourEyes, history }: config.DomainSettings): string {
  const parts = [
    `system ${system || 'none'}`,
    `four eyes ${fourEyes ? 'on' : 'off'}`,
    `history ${history || 'as the keeper'}`,
  ];
  return parts.join(', ');
}
