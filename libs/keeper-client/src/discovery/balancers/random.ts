import type { Balancer, Candidate } from '@malabar/rpc';

/** Any of them, whatever came before. */
export class RandomBalancer implements Balancer {
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  pick<C extends Candidate>(candidates: readonly C[]): C {
    return candidates[Math.floor(this.#random() * candidates.length)] as C;
  }
}
