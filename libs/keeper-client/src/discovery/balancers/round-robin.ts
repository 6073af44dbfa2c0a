import type { Balancer, Candidate } from '@malabar/rpc';

/** One after the other. */
export class RoundRobinBalancer implements Balancer {
  #turn: number;

  /** Clients that start together begin at different places. */
  constructor(random: () => number) {
    this.#turn = Math.floor(random() * 0x1_0000);
  }

  pick<C extends Candidate>(candidates: readonly C[]): C {
    this.#turn = (this.#turn + 1) % candidates.length;
    return candidates[this.#turn] as C;
  }
}
