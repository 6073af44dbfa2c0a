import { SERVICE_NAMES } from '@malabar/config';
import type { keeper } from '@malabar/contracts';
import { BusError, type Clock } from '@malabar/core';

const TTL_LEAST_MS = 1_000;
const TTL_MOST_MS = 5 * 60_000;
// A bus has tens of processes; more than this is a client that invents names.
const INSTANCES_MAX = 10_000;

interface Known {
  instance: keeper.Instance;
  expiresAtMs: number;
}

/** Who runs where. Kept in memory: after a restart every instance announces itself again. */
export class Registry {
  readonly #clock: Clock;
  readonly #known = new Map<string, Known>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Announces or renews; returns when to renew. Throws INVALID for all if one is not whole. */
  register(instances: readonly keeper.Instance[], ttlMs: number): number {
    for (const instance of instances) check(instance);
    this.#prune();
    const ttl = Math.min(TTL_MOST_MS, Math.max(TTL_LEAST_MS, ttlMs));
    const added = instances.filter(({ id }) => !this.#known.has(id)).length;
    if (this.#known.size + added > INSTANCES_MAX) {
      throw new BusError('BUSY', `${INSTANCES_MAX} instances are registered; no more are taken`);
    }
    const expiresAtMs = this.#clock.now() + ttl;
    for (const instance of instances) this.#known.set(instance.id, { instance, expiresAtMs });
    // Two renewals may be lost before the instance is.
    return Math.floor(ttl / 3);
  }

  deregister(ids: readonly string[]): void {
    for (const id of ids) this.#known.delete(id);
  }

  /** The instances that are alive, of one service or of all, oldest first. */
  resolve(service = ''): keeper.Instance[] {
    this.#prune();
    return [...this.#known.values()]
      .map(({ instance }) => instance)
      .filter((instance) => service === '' || instance.service === service)
      .sort((a, b) => a.startedAtMs - b.startedAtMs || (a.id < b.id ? -1 : 1));
  }

  #prune(): void {
    const now = this.#clock.now();
    for (const [id, { expiresAtMs }] of this.#known) if (expiresAtMs <= now) this.#known.delete(id);
  }
}

function check({ id, service, address }: keeper.Instance): void {
  if (id === '') throw new BusError('INVALID', 'an instance needs an id');
  if (!SERVICE_NAMES.some((name) => name === service)) {
    throw new BusError('INVALID', `instance ${id}: '${service}' is not a service of the bus`);
  }
  if (address === '') throw new BusError('INVALID', `instance ${id} needs an address`);
}
