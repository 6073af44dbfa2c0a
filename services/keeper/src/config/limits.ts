import type { config } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { domainFault } from '@malabar/typed-config';

/** Bytes of all files of a domain: what a node may ask for must fit into one message, with room. */
export const CONTENT_BYTES_MAX = 12 * 1024 * 1024;
export const DOMAINS_MAX = 1_000;
/** In one request: a domain's keys, each set and each taken away. */
const OPERATIONS_MAX = 20_000;
const NOTE_CHARS_MAX = 1_000;
const CANARY_IDS_MAX = 1_000;
const CANARY_TAGS_MAX = 64;
const NAME_CHARS_MAX = 256;
const HISTORY_MAX = 100_000;
const SETTING_CHARS_MAX = 1_000;
const PAGE_DEFAULT = 50;
const PAGE_MAX = 1_000;
const OWN_DOMAIN = /^malabar($|\.)/;

/** Throws INVALID unless it can name a domain. */
export function checkDomainName(domain: string): void {
  const fault = domainFault(domain);
  if (fault !== undefined) throw invalid(fault);
}

export function checkOperations(operations: readonly unknown[]): void {
  if (operations.length <= OPERATIONS_MAX) return;
  throw tooMany(`${operations.length} operations`, `${OPERATIONS_MAX} in one request`);
}

export function checkNote(note: string): void {
  if (note.length > NOTE_CHARS_MAX) {
    throw tooMany(`a note of ${note.length} characters`, `${NOTE_CHARS_MAX}`);
  }
}

export function checkCanary(rule: config.CanaryRule | undefined): void {
  if (rule === undefined) return;
  const { nodeIds, tags, percent } = rule;
  const names = [...nodeIds, ...Object.entries(tags).flat()];
  if (nodeIds.length > CANARY_IDS_MAX) {
    throw tooMany(`a canary of ${nodeIds.length} node ids`, `${CANARY_IDS_MAX}`);
  }
  if (Object.keys(tags).length > CANARY_TAGS_MAX) {
    throw tooMany(`a canary of ${Object.keys(tags).length} tags`, `${CANARY_TAGS_MAX}`);
  }
  if (names.some((name) => name.length > NAME_CHARS_MAX)) {
    throw tooMany('a node id or tag of the canary', `${NAME_CHARS_MAX} characters`);
  }
  if (!(percent >= 0 && percent <= 100)) throw invalid(`${percent} is not a percentage`);
  if (names.length === 0 && percent === 0) {
    throw invalid('a canary names node ids, tags or a percentage');
  }
}

export function checkSettings({ system, description, history }: config.DomainSettings): void {
  if (history > HISTORY_MAX) throw tooMany(`a history of ${history} releases`, `${HISTORY_MAX}`);
  if (Math.max(system.length, description.length) > SETTING_CHARS_MAX) {
    throw tooMany('the system or the description', `${SETTING_CHARS_MAX} characters`);
  }
}

/** Throws INVALID for a domain that the bus itself needs. */
export function checkDeletable(domain: string): void {
  if (OWN_DOMAIN.test(domain)) throw invalid(`domain ${domain} is the bus's own and stays`);
}

/** Entries of a page. */
export function pageSize(limit: number): number {
  return limit === 0 ? PAGE_DEFAULT : Math.min(limit, PAGE_MAX);
}

function invalid(message: string): BusError {
  return new BusError('INVALID', message);
}

function tooMany(what: string, limit: string): BusError {
  return new BusError('TOO_LARGE', `${what}: the limit is ${limit}`);
}
