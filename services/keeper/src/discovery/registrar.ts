import { type discovery, keeperRecords } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { Backend, Put } from '../backend.js';
import {
  canonical,
  checkCount,
  checkInstance,
  checkInstanceName,
  INSTANCES_MAX,
  sameInstance,
} from './instance.js';
import type { InstanceView, KnownInstance } from './instance-view.js';
import { aliveKey, type InstanceName, recordKey } from './keys.js';

const TTL_LEAST_MS = 1_000;
const TTL_MOST_MS = 5 * 60_000;
// A bus has tens of processes; more than this is a client that invents names.
const KNOWN_MAX = 10_000;
const ATTEMPTS_MAX = 5;

type Known = Pick<KnownInstance, 'record' | 'revision'>;

/** An instance that a call announces, and what is kept of it so far. */
interface Announced {
  instance: discovery.Instance;
  known: Known | undefined;
}

/** Writes who runs where. The instances of one call share a lease: they are one process. */
export class Registrar {
  readonly #backend: Backend;
  readonly #view: InstanceView;

  constructor(backend: Backend, view: InstanceView) {
    this.#backend = backend;
    this.#view = view;
  }

  /**
   * Announces or renews; returns when to renew. Nothing is written for what is known as it is.
   * Throws INVALID, for all of them if one is not whole, and BUSY if too many are known.
   */
  async register(instances: readonly discovery.Instance[], ttl: number): Promise<number> {
    checkCount('instances', instances.length, INSTANCES_MAX);
    for (const instance of instances) checkInstance(instance);
    const ttlMs = Math.min(TTL_MOST_MS, Math.max(TTL_LEAST_MS, Math.floor(ttl)));
    const wanted = unique(instances);
    this.#checkRoom(wanted);
    let announced: Announced[] = wanted.map((instance) => ({
      instance,
      known: this.#view.get(instance),
    }));
    for (let attempt = 0; !(await this.#renewOrWrite(announced, ttlMs)); attempt++) {
      if (attempt === ATTEMPTS_MAX) throw contested(wanted);
      announced = await Promise.all(wanted.map((instance) => this.#stored(instance)));
    }
    // Two renewals may be lost before the instance is.
    return Math.floor(ttlMs / 3);
  }

  /** Takes instances away at once; one that is not known is no fault. */
  async deregister(names: readonly InstanceName[]): Promise<void> {
    checkCount('instances', names.length, INSTANCES_MAX);
    for (const name of names) checkInstanceName(name);
    const stored = await Promise.all(names.map((name) => this.#read(name)));
    const deletes = names.flatMap((name) => [recordKey(name), aliveKey(name)]);
    const revision = await this.#backend.commit({ deletes: [...new Set(deletes)] });
    if (revision !== undefined) await this.#view.reached(revision);
    const leases = new Set(stored.flatMap((known) => known?.record.leaseId ?? []));
    for (const lease of leases) if (!this.#view.uses(lease)) await this.#backend.revoke(lease);
  }

  /** Forgets one that is dead, unless it has come back: any keeper may try. */
  async purge(name: InstanceName, { revision }: KnownInstance): Promise<void> {
    const conditions = [
      { key: recordKey(name), revision },
      { key: aliveKey(name), revision: 0 },
    ];
    await this.#backend.commit({ conditions, deletes: [recordKey(name)] });
  }

  /** False if somebody else has written one of them meanwhile. */
  async #renewOrWrite(announced: readonly Announced[], ttlMs: number): Promise<boolean> {
    const standing = await this.#keepAlive(announced, ttlMs);
    const toWrite = announced.filter(
      ({ instance, known }) =>
        known === undefined ||
        !standing.has(known.record.leaseId) ||
        !sameInstance(known.record.instance, instance),
    );
    return toWrite.length === 0 || this.#write(toWrite, standing, ttlMs);
  }

  /** Renews the leases that have the right time to live; returns those that stand. */
  async #keepAlive(announced: readonly Announced[], ttlMs: number): Promise<Set<string>> {
    const leases = new Set(
      announced.flatMap(({ known }) => (known?.record.ttlMs === ttlMs ? known.record.leaseId : [])),
    );
    const answers = await Promise.all([...leases].map((lease) => this.#backend.keepAlive(lease)));
    return new Set([...leases].filter((_, index) => answers[index]));
  }

  async #write(
    announced: readonly Announced[],
    standing: ReadonlySet<string>,
    ttlMs: number,
  ): Promise<boolean> {
    const kept = ({ known }: Announced): string | undefined =>
      known && standing.has(known.record.leaseId) ? known.record.leaseId : undefined;
    const fresh = announced.every(kept) ? '' : await this.#backend.grant(ttlMs);
    const revision = await this.#backend.commit({
      conditions: announced.map(({ instance, known }) => ({
        key: recordKey(instance),
        revision: known?.revision ?? 0,
      })),
      puts: announced.flatMap((one) => puts(one.instance, kept(one) ?? fresh, ttlMs)),
    });
    if (revision !== undefined) await this.#view.reached(revision);
    else if (fresh !== '') await this.#backend.revoke(fresh);
    return revision !== undefined;
  }

  async #stored(instance: discovery.Instance): Promise<Announced> {
    return { instance, known: await this.#read(instance) };
  }

  async #read(name: InstanceName): Promise<Known | undefined> {
    const entry = await this.#backend.get(recordKey(name));
    if (entry === undefined) return undefined;
    return { record: keeperRecords.InstanceRecord.decode(entry.value), revision: entry.revision };
  }

  #checkRoom(instances: readonly InstanceName[]): void {
    const added = instances.filter((name) => this.#view.get(name) === undefined).length;
    if (added === 0 || this.#view.count + added <= KNOWN_MAX) return;
    throw new BusError('BUSY', `${KNOWN_MAX} instances are registered; no more are taken`);
  }
}

/** The record and, so that it is alive, the key that goes with the lease. */
function puts(instance: discovery.Instance, leaseId: string, ttlMs: number): Put[] {
  const record = keeperRecords.InstanceRecord.encode({ instance, leaseId, ttlMs }).finish();
  return [
    { key: recordKey(instance), value: record },
    { key: aliveKey(instance), value: Buffer.from(leaseId), leaseId },
  ];
}

/** In the form in which they are kept; of two with one name the last counts. */
function unique(instances: readonly discovery.Instance[]): discovery.Instance[] {
  const byName = new Map(instances.map((each) => [recordKey(each), canonical(each)]));
  return [...byName.values()];
}

function contested(instances: readonly InstanceName[]): BusError {
  const names = instances.map(({ service, id }) => `${id} of ${service}`).join(', ');
  return new BusError('CONFLICT', `others register ${names} at the same time`);
}
