import type { Balancer, Candidate } from '@malabar/rpc';

type Weighted = Pick<Candidate, 'id' | 'weight'>;

/**
 * As often as its weight says, and spread over time: of weights 5, 1, 1 the turns are a a b a c a a,
 * not a a a a a b c. The algorithm of nginx: each gains its weight, and whoever is taken pays all.
 */
export class SmoothWeightedBalancer implements Balancer {
  readonly #gained = new Map<string, number>();

  pick<C extends Weighted>(candidates: readonly C[]): C {
    let best: C | undefined;
    let most = Number.NEGATIVE_INFINITY;
    let total = 0;
    for (const candidate of candidates) {
      const gained = (this.#gained.get(candidate.id) ?? 0) + candidate.weight;
      this.#gained.set(candidate.id, gained);
      total += candidate.weight;
      if (gained <= most) continue;
      best = candidate;
      most = gained;
    }
    const picked = best as C;
    this.#gained.set(picked.id, most - total);
    if (this.#gained.size > 2 * candidates.length) this.#forgetOthers(candidates);
    return picked;
  }

  #forgetOthers(candidates: readonly Weighted[]): void {
    const ids = new Set(candidates.map(({ id }) => id));
    for (const id of this.#gained.keys()) if (!ids.has(id)) this.#gained.delete(id);
  }
}
