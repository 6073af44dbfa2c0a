import type { config, keeperRecords } from '@malabar/contracts';
import { BusError } from '@malabar/core';

export const NO_SETTINGS: config.DomainSettings = {
  system: '',
  description: '',
  fourEyes: false,
  history: 0,
};

export function settingsOf(record: keeperRecords.DomainRecord): config.DomainSettings {
  return record.settings ?? NO_SETTINGS;
}

/** A domain as people see it. */
export function toDomain(name: string, record: keeperRecords.DomainRecord): config.Domain {
  const { settingsRevision, release, canary, draft, nextRelease } = record;
  const settings = settingsOf(record);
  return { name, settings, settingsRevision, release, canary, draft: draft?.summary, nextRelease };
}

/**
 * Whether a release can be restored: those of the history, and those in use, which may be older. What
 * is not kept the sweeper takes away.
 */
export function isKept(record: keeperRecords.DomainRecord, number: number): boolean {
  const { release, canary, draft, oldestRelease } = record;
  const inUse = [release, canary?.release, draft?.summary?.baseRelease];
  return number >= oldestRelease || inUse.includes(number);
}

/** The number, if that release is kept: else NOT_FOUND, also while it waits to be swept away. */
export function keptRelease(
  domain: string,
  record: keeperRecords.DomainRecord,
  number: number,
): number {
  if (isKept(record, number)) return number;
  throw new BusError('NOT_FOUND', `domain ${domain} keeps no release ${number}`);
}
