import { discovery } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { InstanceView } from './instance-view.js';
import { list } from './listing.js';
import type { Policies } from './policies.js';

// Consumers ask for the services and envs that exist; whoever invents names costs no memory.
const CACHED_MAX = 1_000;

/** One who reads along. */
interface Reader {
  readonly services: ReadonlySet<string>;
  /** What it has not heard of yet. */
  readonly dirty: Set<string>;
  wake(): void;
}

/** A service as consumers see it, and the same encoded, without its version, to compare. */
interface Shown {
  service: discovery.Service;
  bytes: Buffer;
}

/** What consumers see: instances and policies together. */
export class Catalog {
  readonly #view: InstanceView;
  readonly #policies: Policies;
  readonly #readers = new Set<Reader>();
  readonly #cache = new Map<string, Shown>();
  #version = 0;
  #closed = false;

  constructor(view: InstanceView, policies: Policies) {
    this.#view = view;
    this.#policies = policies;
    view.onChange((service) => this.#changed(service));
    policies.onChange(() => this.#changed());
  }

  /** How many read along. */
  get watchers(): number {
    return this.#readers.size;
  }

  /** The services asked for, or else all that have instances, by name. */
  resolve(services: readonly string[], env: string): discovery.Service[] {
    const names = new Set(services.length > 0 ? services : this.#view.services);
    return [...names].sort().map((name) => this.#show(name, env).service);
  }

  /** Ends every watch, so that nobody holds the process up; new ones are refused. */
  close(): void {
    this.#closed = true;
    for (const reader of this.#readers) reader.wake();
  }

  /**
   * Each service at once, then whenever it changes. Nothing is queued: who reads slowly misses what
   * was replaced meanwhile.
   */
  async *watch(
    services: readonly string[],
    env: string,
    signal: AbortSignal,
  ): AsyncGenerator<discovery.Service, void, undefined> {
    if (this.#closed) throw new BusError('UNAVAILABLE', 'the keeper is stopping');
    const sent = new Map<string, Buffer>();
    const reader = { services: new Set(services), dirty: new Set(services), wake: () => {} };
    this.#readers.add(reader);
    try {
      while (!this.#closed && !signal.aborted) {
        const [name] = reader.dirty;
        if (name === undefined) {
          await woken(reader, signal);
          continue;
        }
        reader.dirty.delete(name);
        const { service, bytes } = this.#show(name, env);
        if (sent.get(name)?.equals(bytes)) continue;
        sent.set(name, bytes);
        yield service;
      }
    } finally {
      this.#readers.delete(reader);
    }
  }

  /** A service has changed, or all of them. */
  #changed(service?: string): void {
    this.#version++;
    this.#cache.clear();
    for (const reader of this.#readers) {
      if (service !== undefined && !reader.services.has(service)) continue;
      for (const name of service === undefined ? reader.services : [service]) {
        reader.dirty.add(name);
      }
      reader.wake();
    }
  }

  #show(name: string, env: string): Shown {
    const key = `${name}/${env}`;
    const known = this.#cache.get(key);
    if (known !== undefined) return known;
    const { policy, instance: policyOf } = this.#policies.of(name);
    const { instances, held } = list(this.#view.instances(name), env, policy.protectBelow);
    const online = instances
      .map((instance) => ({ ...instance, weight: policyOf(instance.id).weight }))
      .filter(({ id }) => policyOf(id).online);
    const service = { name, instances: online, policy, protected: held, version: 0 };
    const bytes = Buffer.from(discovery.Service.encode(service).finish());
    const shown = { service: { ...service, version: this.#version }, bytes };
    if (this.#cache.size >= CACHED_MAX) this.#cache.clear();
    this.#cache.set(key, shown);
    return shown;
  }
}

function woken(reader: Reader, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = (): void => {
      signal.removeEventListener('abort', wake);
      resolve();
    };
    reader.wake = wake;
    signal.addEventListener('abort', wake, { once: true });
  });
}
