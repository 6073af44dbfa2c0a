import { discovery } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { InstanceName } from './keys.js';

// A service is named by a file of the policy and an instance by a section of it: both must fit there.
const SERVICE = /^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,119}$/;
const NAME = /^[A-Za-z0-9_.:@-]{1,128}$/;
const ADDRESS = /^[\x21-\x7e]{1,512}$/;
const ENTRIES_MAX = 64;
const TEXT_MAX = 1_024;
const INSTANCE_BYTES_MAX = 16 * 1024;

/** Instances that one call may name; two writes and a condition each fit into one transaction. */
export const INSTANCES_MAX = 32;

/** Services that one call may name. */
const SERVICES_MAX = 256;

/** An instance as it is kept: maps in order, and without what the keeper fills in for consumers. */
export function canonical(instance: discovery.Instance): discovery.Instance {
  return {
    ...instance,
    addresses: sorted(instance.addresses),
    tags: sorted(instance.tags),
    metadata: sorted(instance.metadata),
    weight: 0,
    suspect: false,
  };
}

/** Whether two canonical instances are the same. */
export function sameInstance(
  one: discovery.Instance | undefined,
  other: discovery.Instance | undefined,
): boolean {
  if (one === undefined || other === undefined) return one === other;
  return encoded(one).equals(encoded(other));
}

/** Throws INVALID unless the whole instance can be kept and shown. */
export function checkInstance(instance: discovery.Instance): void {
  checkInstanceName(instance);
  const { service, id, zone, env, hostname, addresses, tags, metadata } = instance;
  const what = `instance ${id} of ${service}`;
  if (zone !== '') checkName(`zone of ${what}`, zone);
  if (env !== '') checkName(`env of ${what}`, env);
  checkText(`hostname of ${what}`, hostname);
  if (Object.keys(addresses).length === 0) throw invalid(`${what} has no address`);
  checkEntries(`addresses of ${what}`, addresses);
  for (const [scheme, address] of Object.entries(addresses)) {
    if (!ADDRESS.test(address)) throw invalid(`${what}: '${address}' is no address for ${scheme}`);
  }
  checkEntries(`tags of ${what}`, tags);
  checkEntries(`metadata of ${what}`, metadata);
  const bytes = encoded(instance).length;
  if (bytes > INSTANCE_BYTES_MAX) {
    throw invalid(`${what} has ${bytes} bytes; ${INSTANCE_BYTES_MAX} are allowed`);
  }
}

/** Throws INVALID unless these are names. */
export function checkInstanceName({ service, id }: InstanceName): void {
  checkServiceName(service);
  checkName(`instance of ${service}`, id);
}

/** Throws INVALID for what cannot be a service. */
function checkServiceName(service: string): void {
  if (SERVICE.test(service)) return;
  throw invalid(
    `${shown(service)} is no name of a service: 1 to 120 of A-Z a-z 0-9 _ . - and no dot first`,
  );
}

/** Throws INVALID unless a call may ask for these services. */
export function checkServices(services: readonly string[], least = 0): void {
  if (services.length < least) throw invalid('no service is named');
  checkCount('services', services.length, SERVICES_MAX);
  for (const service of services) checkServiceName(service);
}

/** Throws INVALID for more of something than one call may name. */
export function checkCount(what: string, count: number, most: number): void {
  if (count > most) throw invalid(`${count} ${what} in one call; ${most} are allowed`);
}

function checkName(what: string, name: string): void {
  if (NAME.test(name) && name !== '.' && name !== '..') return;
  throw invalid(`${what}: ${shown(name)} is no name; 1 to 128 of A-Z a-z 0-9 _ . : @ -`);
}

function shown(name: string): string {
  return JSON.stringify(name.slice(0, 140));
}

function checkEntries(what: string, entries: Readonly<Record<string, string>>): void {
  const names = Object.keys(entries);
  if (names.length > ENTRIES_MAX) {
    throw invalid(`${what}: ${names.length} entries; ${ENTRIES_MAX} are allowed`);
  }
  for (const name of names) checkText(what, name);
  for (const [name, text] of Object.entries(entries)) checkText(`${what}, ${name}`, text);
}

function checkText(what: string, text: string): void {
  if (text.length <= TEXT_MAX) return;
  throw invalid(`${what}: ${text.length} characters; ${TEXT_MAX} are allowed`);
}

function invalid(message: string): BusError {
  return new BusError('INVALID', message);
}

function encoded(instance: discovery.Instance): Buffer {
  return Buffer.from(discovery.Instance.encode(instance).finish());
}

function sorted(entries: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(entries).sort(([a], [b]) => (a < b ? -1 : 1)));
}
