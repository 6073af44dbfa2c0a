import type { discovery } from '@malabar/contracts';
import { type Clock, toBusError } from '@malabar/core';
import { type KeeperServices, stayConnected } from '../connection.js';
import type { KeeperClientLog } from '../log.js';
import type { ServiceList } from './service-list.js';

/** What is known of a service. */
export interface Known {
  /** As the keeper last said it, now or in an earlier life of this program. */
  service: discovery.Service | undefined;
  /** Why nothing is known. */
  reason: string;
}

type Listener = (known: Known) => void;

interface Followed {
  /** Undefined before the first word. */
  known: Known | undefined;
  listeners: Set<Listener>;
}

export interface ServiceWatchOptions {
  client: KeeperServices['discovery'];
  env: string;
  list: ServiceList;
  clock: Clock;
  random: () => number;
  log: KeeperClientLog;
}

/** Follows services over one stream, and keeps to what it knows while no keeper answers. */
export class ServiceWatch {
  readonly #options: ServiceWatchOptions;
  readonly #followed = new Map<string, Followed>();
  #opened: Promise<void> | undefined;
  #running: AbortController | undefined;
  #cutting: AbortController | undefined;

  constructor(options: ServiceWatchOptions) {
    this.#options = options;
  }

  /** Calls back, never at once, as soon as there is something to know and whenever it changes. */
  follow(name: string, listener: Listener): () => void {
    const followed = this.#followed.get(name) ?? this.#begin(name);
    followed.listeners.add(listener);
    const { known } = followed;
    queueMicrotask(() => {
      // What is newer is told already.
      if (known && known === followed.known && followed.listeners.has(listener)) listener(known);
    });
    return () => {
      followed.listeners.delete(listener);
      if (followed.listeners.size > 0 || this.#followed.get(name) !== followed) return;
      this.#followed.delete(name);
      if (this.#followed.size === 0) this.#running?.abort();
    };
  }

  /** Calls nobody any more. */
  stop(): void {
    this.#followed.clear();
    this.#running?.abort();
  }

  #begin(name: string): Followed {
    const followed: Followed = { known: undefined, listeners: new Set() };
    this.#followed.set(name, followed);
    this.#opened ??= this.#options.list.open();
    void this.#opened.then(() => this.#remember(name, followed));
    return followed;
  }

  /** What was known before, until the keeper says something newer. */
  #remember(name: string, followed: Followed): void {
    if (this.#followed.get(name) !== followed) return;
    const service = this.#options.list.get(name);
    if (service !== undefined && followed.known === undefined) {
      this.#tell(followed, { service, reason: '' });
    }
    if (this.#running === undefined || this.#running.signal.aborted) this.#run();
    else this.#cutting?.abort();
  }

  #run(): void {
    const running = new AbortController();
    this.#running = running;
    const { clock, random, log } = this.#options;
    const environment = { what: 'discovery', clock, random, log, signal: running.signal };
    void stayConnected(environment, async (connected) => {
      let cutting: AbortController;
      do {
        cutting = new AbortController();
        this.#cutting = cutting;
        await this.#read(connected, running.signal, cutting.signal);
      } while (cutting.signal.aborted && !running.signal.aborted);
    });
  }

  /** Reads one stream to its end; `cut` ends it because there is more to ask for. */
  async #read(connected: () => void, stop: AbortSignal, cut: AbortSignal): Promise<void> {
    const request = { services: [...this.#followed.keys()], env: this.#options.env };
    const signal = AbortSignal.any([stop, cut]);
    try {
      for await (const { service } of this.#options.client.watch(request, { signal })) {
        connected();
        if (service !== undefined && !signal.aborted) this.#heard(service);
      }
    } catch (thrown) {
      if (signal.aborted) return;
      this.#failed(toBusError(thrown).message);
      throw thrown;
    }
  }

  #heard(service: discovery.Service): void {
    const followed = this.#followed.get(service.name);
    if (followed === undefined) return;
    this.#options.list.set(service);
    this.#tell(followed, { service, reason: '' });
  }

  /** Only news to those who know nothing at all. */
  #failed(reason: string): void {
    for (const followed of this.#followed.values()) {
      if (followed.known?.service) continue;
      this.#tell(followed, { service: undefined, reason });
    }
  }

  #tell(followed: Followed, known: Known): void {
    followed.known = known;
    for (const listener of [...followed.listeners]) listener(known);
  }
}
