import { config, type keeperRecords } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { keys, lastPart } from '../keys.js';
import { existing, type Loaded } from './change.js';
import type { Parts } from './parts.js';

/** Entries that are looked at to find out who changed the settings. */
const AUDIT_LOOKED_AT = 50;

/** Throws CONFLICT, naming who was first, unless the release in force is the one that was seen. */
export async function checkRelease(parts: Parts, loaded: Loaded, seen: number): Promise<void> {
  const { release } = existing(loaded);
  if (release !== seen) {
    throw conflict(`${await releaseText(parts, loaded.domain, release)}; you saw ${seen}`);
  }
}

/** Throws CONFLICT, naming who was first, unless the draft is the one that was seen; 0 for none. */
export function checkDraft({ draft }: keeperRecords.DomainRecord, seen: number): void {
  const summary = draft?.summary;
  const revision = summary?.revision ?? 0;
  if (revision === seen) return;
  if (summary === undefined) {
    throw conflict(`the draft was published or discarded; you saw its revision ${seen}`);
  }
  const by = summary.authors.at(-1);
  throw conflict(
    `draft revision ${revision} by ${by} at ${time(summary.changedAtMs)} came first; you saw ${seen}`,
  );
}

/** Throws CONFLICT if a release is on trial. */
export function checkNoCanary({ canary }: keeperRecords.DomainRecord): void {
  if (canary === undefined) return;
  const since = time(canary.sinceMs);
  throw conflict(
    `release ${canary.release} is on trial with a canary since ${since}: promote or abort it first`,
  );
}

/** Throws CONFLICT, naming who was first, unless the settings are those that were seen. */
export async function checkSettingsSeen(
  parts: Parts,
  { domain, record }: Loaded,
  seen: number,
): Promise<void> {
  const revision = record?.settingsRevision ?? 0;
  if (revision === seen) return;
  if (record === undefined)
    throw new BusError('NOT_FOUND', `there is no domain ${domain} any more`);
  const by = await settingsText(parts, domain);
  throw conflict(`settings revision ${revision}${by} came first; you saw ${seen}`);
}

/** `release 8 by ann at 2030-01-01T00:00:00.000Z came first` */
export async function releaseText(parts: Parts, domain: string, number: number): Promise<string> {
  if (number === 0) return `domain ${domain} has no release yet`;
  const { release } = await parts.contents.release(domain, number);
  return `release ${number} by ${release?.author} at ${time(release?.atMs ?? 0)} came first`;
}

async function settingsText({ backend }: Parts, domain: string): Promise<string> {
  const options = { limit: AUDIT_LOOKED_AT, reverse: true };
  const { entries } = await backend.list(keys.auditOf(domain), options);
  for (const { key } of entries) {
    const entry = await backend.get(keys.audit(lastPart(key)));
    const found = entry && config.AuditEntry.decode(entry.value);
    if (found?.action === 'settings') return ` by ${found.author} at ${time(found.atMs)}`;
  }
  return '';
}

export function conflict(message: string): BusError {
  return new BusError('CONFLICT', message);
}

function time(ms: number): string {
  return new Date(ms).toISOString();
}
