import type { Author } from '@malabar/access';
import { keeperRecords } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { Put } from '../backend.js';
import { keys } from '../keys.js';
import type { AuditRecord, Deed } from './audit.js';
import type { Blob } from './blobs.js';
import { putsOf } from './contents.js';
import type { Parts } from './parts.js';
import { fits, loosePut, stage } from './staging.js';

/** How often a change is thought over again because the domain changed meanwhile. */
const ROUNDS_MAX = 20;

/** A domain as the backend has it now. */
export interface Loaded {
  domain: string;
  /** Undefined if there is no such domain. */
  record: keeperRecords.DomainRecord | undefined;
  revision: number;
}

/** What a change writes: all of it or nothing. */
export interface Writes {
  /** The domain from now on; undefined deletes it. */
  record: keeperRecords.DomainRecord | undefined;
  puts?: Put[];
  deletes?: string[];
  /** Blobs that the new state needs and that are not kept yet. */
  fresh?: Blob[];
  /** Blobs that the old state needed; whether anything else does, the sweeper finds out. */
  loosened?: keeperRecords.FileRef[];
  deed: Deed;
}

/** An answer, and what must be written before it is true. */
export interface Planned<T> {
  answer: T;
  /** Undefined if all is well as it is. */
  writes?: Writes;
}

/**
 * The one way in which a domain changes: load it, plan, write on condition that it is still as loaded.
 * If it is not, think again: the plan says CONFLICT if its author has seen too little. So every
 * acknowledged change is there exactly once, and an unacknowledged one at most once.
 */
export async function change<T>(
  parts: Parts,
  domain: string,
  by: Author,
  plan: (loaded: Loaded) => Promise<Planned<T>>,
): Promise<T> {
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const loaded = await load(parts, domain);
    const { answer, writes } = await plan(loaded);
    if (writes === undefined) return answer;
    const revision = await write(parts, loaded, writes, by);
    if (revision === undefined) continue;
    await parts.view.reached(revision);
    return answer;
  }
  throw new BusError('CONFLICT', `too many change domain ${domain} at the same time; try again`);
}

export async function load({ backend }: Parts, domain: string): Promise<Loaded> {
  const entry = await backend.get(keys.domain(domain));
  if (entry === undefined) return { domain, record: undefined, revision: 0 };
  const record = keeperRecords.DomainRecord.decode(entry.value);
  return { domain, record, revision: entry.revision };
}

/** The record of a domain that must be there. */
export function existing({ domain, record }: Loaded): keeperRecords.DomainRecord {
  if (record !== undefined) return record;
  throw noSuchDomain(domain);
}

export function noSuchDomain(domain: string): BusError {
  return new BusError('NOT_FOUND', `there is no domain ${domain}`);
}

async function write(
  parts: Parts,
  { domain, revision }: Loaded,
  writes: Writes,
  by: Author,
): Promise<number | undefined> {
  const { puts: audit, proof } = parts.audit.record(by, writes.deed);
  const { puts, deletes } = writesOf(parts, domain, writes, audit);
  const conditions = [{ key: keys.domain(domain), revision }];
  const blobs = putsOf(domain, writes.fresh ?? []);
  const whole = { conditions, puts: [...puts, ...blobs], deletes, proof };
  if (fits(parts.backend, whole)) return parts.commit(whole);
  const staged = await stage(parts, domain, writes.fresh ?? []);
  return parts.commit({ conditions, puts, deletes: [...deletes, ...staged], proof });
}

function writesOf(
  parts: Parts,
  domain: string,
  { record, puts = [], deletes = [], loosened = [] }: Writes,
  audit: AuditRecord['puts'],
): { puts: Put[]; deletes: string[] } {
  const key = keys.domain(domain);
  const all = [...puts, ...audit];
  if (loosened.length > 0) all.push(loosePut(parts, domain, loosened));
  if (record === undefined) return { puts: all, deletes: [...deletes, key] };
  all.push({ key, value: keeperRecords.DomainRecord.encode(record).finish() });
  return { puts: all, deletes };
}
