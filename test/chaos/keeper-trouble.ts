import { setTimeout as pause } from 'node:timers/promises';
import type { Keepers } from '../harness/keepers.js';

/** Makes trouble for keepers, one after the other, until the time is over; then all is well again. */
export class Trouble {
  readonly counts: Record<string, number> = {};
  #ahead: Array<[name: string, run: () => Promise<unknown>]> = [];

  constructor(
    private readonly keepers: Keepers,
    private readonly random: () => number,
  ) {}

  async makeFor(ms: number): Promise<void> {
    const endAtMs = performance.now() + ms;
    while (performance.now() < endAtMs) {
      await this.#between(1000, 4000);
      const [name, run] = this.#next();
      this.counts[name] = (this.counts[name] ?? 0) + 1;
      await run();
    }
  }

  readonly #kinds: Record<string, () => Promise<unknown>> = {
    'etcd killed': async () => {
      const { etcd } = this.keepers;
      await etcd.kill();
      await this.#between(100, 2000);
      await etcd.start();
    },
    'keeper cut off': async () => {
      const network = this.#pick(this.keepers.networks);
      network.cut();
      await this.#between(500, 7000);
      network.heal();
    },
    'keeper cut off while the history goes': async () => {
      const network = this.#pick(this.keepers.networks);
      network.cut();
      await this.#between(500, 2000);
      await this.keepers.etcd.compact();
      network.heal();
    },
    'connections reset': async () => this.#pick(this.keepers.networks).reset(),
    'history compacted': () => this.keepers.etcd.compact(),
    'keeper killed': async () => {
      const keeper = Math.floor(this.random() * this.keepers.addresses.length);
      await this.keepers.kill(keeper);
      await this.#between(100, 1500);
      await this.keepers.start(keeper);
    },
  };

  /** Each kind once, in another order each time. */
  #next(): [name: string, run: () => Promise<unknown>] {
    if (this.#ahead.length === 0) this.#ahead = Object.entries(this.#kinds);
    const at = Math.floor(this.random() * this.#ahead.length);
    return this.#ahead.splice(at, 1)[0] as [string, () => Promise<unknown>];
  }

  #between(least: number, most: number): Promise<void> {
    return pause(least + this.random() * (most - least));
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.random() * from.length)] as T;
  }
}
