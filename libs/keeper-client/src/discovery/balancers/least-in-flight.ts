import type { Balancer, Candidate } from '@malabar/rpc';

/** Where the fewest calls are under way for the weight; those that are alike take turns. */
export class LeastInFlightBalancer implements Balancer {
  #turn: number;

  /** Clients that start together begin at different places. */
  constructor(random: () => number) {
    this.#turn = Math.floor(random() * 0x1_0000);
  }

  pick<C extends Candidate>(candidates: readonly C[]): C {
    this.#turn = (this.#turn + 1) % candidates.length;
    let best = candidates[this.#turn] as C;
    for (let step = 1; step < candidates.length; step++) {
      const other = candidates[(this.#turn + step) % candidates.length] as C;
      if (load(other) < load(best)) best = other;
    }
    return best;
  }
}

/** With one more call. */
function load({ inFlight, weight }: Candidate): number {
  return (inFlight + 1) / weight;
}
